"""A person's path from nothing to the first verdict: the real inspection on a simulated station without a profile, the
real panel, a real browser, and nothing in between that is not the product's own.
"""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from browser import CHROMIUM, free_port
from panel_site import PIN, a_device
from test_setup_browser import TRUE, Person, chromium

from calibration.setup_report import SetupReport
from edge_agent import config, profile_check, profile_history, state, station
from edge_agent.config import DeviceConfig
from edge_agent.pin import Pin
from edge_agent.profile_history import ProfilePlace
from edge_agent.records import Case

__all__ = ["chromium"]
ROOT = Path(__file__).resolve().parent.parent
pytestmark = [pytest.mark.full, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")]
EMPTY = 7
"""Immersions without a unit, 14 s each: as long as nobody would lower one yet."""
PATIENCE_MS = 240_000
NOTICED_LOOKS = 150
"""Of 0.2 s each: the inspection looks every ten seconds."""


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[DeviceConfig]:
    """A device whose two processes run, as they are started in a plant, and that was never set up."""
    device = msgspec.structs.replace(
        a_device(tmp_path, port=free_port()), camera=f"twin:seed=1,profile=demo,live=1,empty={EMPTY}"
    )
    (tmp_path / "device.toml").write_bytes(config.dump(device))
    device.folder.mkdir()
    Pin(device.folder).set(PIN)
    command = [sys.executable, str(ROOT / "tankwatch.py"), "agent"]
    with (
        open(tmp_path / "log", "wb") as log,
        subprocess.Popen(
            [*command, "inspect", "--config", str(tmp_path / "device.toml")], stdout=log, stderr=log, cwd=ROOT
        ) as inspect,
        subprocess.Popen(
            [*command, "panel", "--config", str(tmp_path / "device.toml")], stderr=subprocess.PIPE, text=True, cwd=ROOT
        ) as panel,
    ):
        assert panel.stderr is not None
        assert "screen: http" in panel.stderr.readline()
        yield device
        for process in (inspect, panel):
            process.terminate()


def test_from_nothing_to_the_first_verdict(chromium, floor: DeviceConfig) -> None:
    person = Person(chromium, f"http://127.0.0.1:{floor.panel.port}")
    _measured_and_saved(person)
    person.sees("sees all markers in their places")
    place = ProfilePlace(Path(floor.station), floor.folder / "profiles")
    _, sha256 = station.load(place.station)
    assert profile_check.checked(place.folder) == sha256
    person.goes_on("Begin the empty cycles", "cycles")
    for number in (1, 2, 3):
        person.goes_on(f"Cycle {number} is done", "cycles")
    assert _cases(floor) == [], "nobody has lowered a unit yet"
    person.goes_on("Begin the real cycles", "cycles")
    person.page.get_by_role("button", name="Go on: make the report").wait_for(timeout=PATIENCE_MS)
    person.goes_on("Go on: make the report", "report")
    person.looks("story-report")
    report = msgspec.json.decode((place.folder / "reports" / f"{sha256}.json").read_bytes(), type=SetupReport)
    assert report.cycles.passed and report.cycles.good >= 3 and report.cycles.empty_cases == 0
    good = {cycle.case_id for cycle in report.cycles.real if cycle.good}
    verdicts = {case.case_id: (case.verdict, case.decision, case.profile_sha256) for case in _cases(floor)}
    for case_id in good:
        verdict, decision, profile = verdicts[case_id]
        assert (verdict != "not_tested", decision != "none", profile) == (True, True, sha256)
    assert [entry.new for entry in profile_history.trail(place).entries] == [sha256]
    said = state.read(floor.state_path)
    assert said is not None and said.profile_sha256 == sha256
    _changes_by_hand(person, place)


def _changes_by_hand(person: Person, place: ProfilePlace) -> None:
    """In an editor; the running inspection has it in the history by itself."""
    profile, _ = station.load(place.station)
    place.station.write_bytes(station.dump(msgspec.structs.replace(profile, required_hold_s=3.0)))
    for _ in range(NOTICED_LOOKS):
        if profile_history.trail(place).entries[-1].through == "by hand":
            break
        person.page.wait_for_timeout(200)
    entry = profile_history.trail(place).entries[-1]
    assert (entry.through, entry.reason) == ("by hand", "the file was changed by hand")


def _measured_and_saved(person: Person) -> None:
    """The first four steps."""
    page = person.page
    page.get_by_role("link", name="Begin", exact=True).click()
    page.fill("#who", "Erna")
    page.fill("#station", "TANK1")
    person.goes_on("Go on: aim the camera", "aim")
    person.sees("All four markers are seen")
    person.looks("story-aim")
    person.goes_on("Go on: mark the lamps", "lamps")
    person.sees_the_picture()
    person.drags(TRUE["ok"])
    page.locator("input[name=drawn][value=leak]").check()
    person.drags(TRUE["leak"])
    page.locator("[data-word=leak][data-read=dark]").wait_for()
    person.goes_on("Go on: measure", "measure")
    page.fill("#required_hold_s", "4")
    person.goes_on("The tank is empty: measure", "measure")
    person.sees("all four markers found")
    person.looks("story-measured")
    person.goes_on("Save: this profile holds", "cycles")


def _cases(device: DeviceConfig) -> list[Case]:
    if not device.outbox_path.exists():
        return []
    with closing(sqlite3.connect(f"{device.outbox_path.as_uri()}?mode=ro", uri=True)) as rows:
        found = rows.execute("SELECT payload FROM cases ORDER BY sequence").fetchall()
    return [msgspec.json.decode(payload, type=Case) for (payload,) in found]
