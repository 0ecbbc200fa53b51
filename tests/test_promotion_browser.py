"""The way of a bundle as a quality engineer walks it in a browser: heard, rolled out, halted, taken back."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from test_desk_stories import CHROMIUM, Desk, chromium, desk, sign_in

from cloud_sync import db, desire, registry, rollouts
from cloud_sync.dead_letters import Message
from edge_agent import wire
from edge_agent.bundle import Bundle, open_bundle, write_bundle
from edge_agent.inspection import shipped_bundle
from edge_agent.messages import Status
from edge_agent.records import BundleRef

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
__all__ = ["chromium", "desk", "sign_in"]
STATIONS = ("TANK1", "TANK2", "TANK3")


@pytest.fixture
def pair(desk: Desk, tmp_path: Path) -> Iterator[tuple[Bundle, Bundle]]:
    """A champion that speaks at every station, and a candidate of the next version."""
    shipped = open_bundle(shipped_bundle())
    manifest = msgspec.structs.replace(shipped.manifest, version=shipped.manifest.version + 1)
    newer = write_bundle(tmp_path / "newer.bundle", manifest, shipped.nets, shipped.features, golden=shipped.golden)
    for path in (Path(shipped_bundle()), tmp_path / "newer.bundle"):
        registry.keep(desk.config, path)
    with desk.engine.begin() as connection:
        for bundle in (shipped, newer):
            registry.add(connection, bundle, who="ada", reason="made for this", now=db.now())
        registry.move(connection, shipped.sha256, "champion", who="ada", reason="the first", now=db.now())
    for station in STATIONS:
        says(desk, station, shipped.ref)
    yield shipped, newer


def says(desk: Desk, station: str, bundle: BundleRef) -> None:
    status = Status(status="online", mode="shadow", bundle=bundle, software="1", since="2026-11-29T14:00:00Z")
    message = Message(wire.Topics("plant", station).status, wire.encode(status))
    desk._intake.handle([message], db.now())


def wanted(desk: Desk) -> dict[str, str | None]:
    """Station -> the bundle that it is asked to run."""
    with desk.engine.connect() as connection:
        asked = {station: desire.wanted(connection, ("plant", station)).bundle for station in STATIONS}
    return {station: ref.sha256 if ref else None for station, ref in asked.items()}


def test_a_candidate_is_heard_beside_the_champion_until_somebody_stops_it(desk: Desk, sign_in, pair) -> None:
    page = sign_in("quinn", "/parallel")
    for station in STATIONS[:2]:
        page.get_by_label(f"plant/{station}").check()
    page.get_by_role("button", name="Begin").click()
    page.wait_for_url("**/parallel/1")
    assert "more judged" in page.inner_text("#needed")
    with desk.engine.connect() as connection:
        heard = [desire.wanted(connection, ("plant", station)).challenger for station in STATIONS]
        assert registry.find(connection, pair[1].sha256).state == "challenger"
    assert heard == [pair[1].ref, pair[1].ref, None]
    page.get_by_label("Reason").fill("its lamp reader is wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("#ended")
    assert "its lamp reader is wrong" in page.inner_text("#ended")
    with desk.engine.connect() as connection:
        assert desire.wanted(connection, ("plant", "TANK1")).challenger is None


def test_a_rollout_is_begun_halted_and_taken_back_by_buttons_and_one_device_was_touched(
    desk: Desk, sign_in, pair
) -> None:
    page = sign_in("quinn", "/rollouts")
    page.get_by_label("Bundle").select_option(pair[1].sha256)
    page.get_by_label("Reason").fill("better on false alarms")
    page.keyboard.press("Enter")
    page.wait_for_url("**/rollouts/1")
    rollouts.step(desk.engine, db.now())
    touched = [station for station, sha256 in wanted(desk).items() if sha256 == pair[1].sha256]
    assert len(touched) == 1
    says(desk, touched[0], pair[1].ref)
    rollouts.step(desk.engine, db.now())
    page.reload()
    assert page.locator(".steps [aria-current]").inner_text().endswith("soaking")
    for verb, label, state in (("halt", "Halt", "halted"), ("back", "Roll back", "rolling back")):
        page.fill(f"#reason-{verb}", "the inspector wonders")
        page.get_by_role("button", name=label).click()
        page.wait_for_selector(f".heading .chip:has-text('{state}')")
    assert wanted(desk)[touched[0]] == pair[0].sha256
    says(desk, touched[0], pair[0].ref)
    rollouts.step(desk.engine, db.now())
    page.reload()
    page.wait_for_selector(".heading .chip:has-text('rolled back')")
    assert "the inspector wonders" in page.inner_text("main")


def test_a_mode_without_evidence_is_refused_with_what_is_missing_and_a_part_is_registered(
    desk: Desk, sign_in, pair
) -> None:
    page = sign_in("quinn", "/automation/plant/TANK1")
    page.get_by_label("partial").check()
    page.get_by_label("Reason").fill("we would like it")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert]")
    assert page.inner_text("#ordered") == "shadow"
    page.goto(f"{desk.address}/challenge")
    page.get_by_label("Serial, as read").fill("R-0001")
    page.get_by_label("Leak rate").fill("1e-3")
    page.keyboard.press("Enter")
    page.wait_for_selector("td.id:has-text('R-0001')")
    with desk.engine.connect() as connection:
        assert desire.wanted(connection, ("plant", "TANK1")).challenge_serials == ("R-0001",)
