"""The history, undo, compare and report of a station on the command line, and `fit` that records what it saves."""

import getpass
import json
from pathlib import Path

import msgspec
import pytest
from fakes_camera import profile
from setup_site import Station

from calibration.profile import calibrate
from edge_agent import profile_history, station
from edge_agent.errors import ConfigError, StationError

CONFIG = ["--config", "device.toml"]


@pytest.fixture
def site(tmp_path: Path) -> Station:
    return Station(tmp_path)


def run(site: Station, *argv: str) -> int:
    return calibrate(list(argv), lambda _: site.device)


def fitted(site: Station) -> int:
    """A twin's lamps, one after the other."""
    return run(
        site, "fit", *CONFIG, "--station", "TANK1", "--marker-mm", "60", "--lamp", "ok:611,173,28,28",
        "--lamp", "leak:611,250,28,28", "--hold-s", "4", "--reason", "first",
    )  # fmt: skip


def test_fit_saves_a_devices_profile_from_its_own_pictures_and_records_it(site: Station, capsys) -> None:
    assert fitted(site) == 0
    entry = profile_history.trail(site.device.place).entries[-1]
    assert (entry.who, entry.through, entry.reason) == (getpass.getuser(), "command line", "first")
    saved, sha256 = station.load(site.device.place.station)
    assert (saved.required_hold_s, len(saved.lamps), entry.new) == (4.0, 2, sha256)
    assert run(site, "history", *CONFIG, "--json") == 0
    assert json.loads(capsys.readouterr().out)["new"] == sha256


def test_a_fit_keeps_what_is_no_matter_of_measuring(site: Station) -> None:
    fitted(site)
    saved, _ = station.load(site.device.place.station)
    site.device.place.station.write_bytes(station.dump(msgspec.structs.replace(saved, tolerance_shift_px=3.5)))
    run(site, "fit", *CONFIG, "--station", "TANK1")
    again, _ = station.load(site.device.place.station)
    assert (again.tolerance_shift_px, again.required_hold_s) == (3.5, 4.0)
    assert [entry.through for entry in profile_history.trail(site.device.place).entries] == [
        "command line",
        "by hand",
        "command line",
    ]


def test_fit_needs_a_place_to_write_to_and_requirements_that_can_be(site: Station) -> None:
    with pytest.raises(ConfigError, match="give SOURCE and --out, or --config"):
        run(site, "fit", "--station", "TANK1")
    with pytest.raises(StationError, match="required_hold_s is -1"):
        run(site, "fit", *CONFIG, "--station", "TANK1", "--hold-s", "-1")
    assert not site.device.place.station.exists()


def test_undo_compare_and_restore_by_name(site: Station, capsys) -> None:
    fitted(site)
    first = profile_history.present(site.device.place) or ""
    run(site, "fit", *CONFIG, "--station", "TANK1", "--hold-s", "9")
    second = profile_history.present(site.device.place) or ""
    capsys.readouterr()
    assert run(site, "compare", *CONFIG, "--old", first[:8], "--new", second[:8]) == 0
    told = capsys.readouterr().out
    assert "the lamp ok is no longer marked" in told and "a unit must be watched for 9 s, it was 4 s" in told
    assert run(site, "undo", *CONFIG) == 0
    assert f"profile {first[:12]} holds from now on" in capsys.readouterr().out
    assert run(site, "undo", *CONFIG, "--to", second[:8], "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"holds": second, "before": first}
    with pytest.raises(ConfigError, match="names 0 profiles"):
        run(site, "undo", *CONFIG, "--to", "ffffffff")


def test_nothing_to_compare_with_yesterday_is_said_with_its_cure(site: Station) -> None:
    fitted(site)
    with pytest.raises(ConfigError, match="no profile held then: name two"):
        run(site, "compare", *CONFIG)


def test_a_history_that_was_tampered_with_ends_with_one(site: Station, capsys) -> None:
    site.device.place.station.write_bytes(station.dump(profile()))
    assert run(site, "history", *CONFIG) == 0
    path = site.device.place.folder / "trail.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"previous":""', b'"previous":"0"'))
    assert run(site, "history", *CONFIG) == 1
    assert "line 1 of the history was changed or damaged" in capsys.readouterr().err


def test_the_report_is_made_once_stored_and_written_as_one_file(site: Station, tmp_path: Path, capsys) -> None:
    fitted(site)
    capsys.readouterr()
    site.case(1, "2099-01-01T00:00:00.000Z", usable_s=7.0)
    assert run(site, "report", *CONFIG, "--out", str(tmp_path / "report.html")) == 0
    told = capsys.readouterr().out
    assert "0 of 3 empty cycles" in told and "1 of 3 real ones watched whole" in told
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    assert run(site, "report", *CONFIG, "--json") == 0
    assert json.loads(capsys.readouterr().out)["station"] == "TANK1"


def test_a_devices_file_is_only_read_by_the_front_door() -> None:
    with pytest.raises(ConfigError, match="which only the front door reads"):
        calibrate(["history", *CONFIG])
