"""Commissioning page by page, on a recorded station: each step says what is wrong, and nothing is overwritten."""

import json
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fakes_camera import profile as other_profile
from fakes_disk import full_disk
from setup_site import LAMPS, NOW, Station, send, words

from calibration import setup_fit, setup_progress
from calibration.twin import open_twin
from edge_agent import profile_history, station, utc
from edge_agent.errors import StationError
from edge_agent.profile_history import Change

OK_LAMP = open_twin("twin:seed=1,profile=demo,cases=1").profile.lamps
MARKED = LAMPS | {
    f"{lamp.means}_{side}": value for lamp in OK_LAMP for side, value in zip("xywh", lamp.rect_px, strict=True)
}


WIDE = "twin:seed=1,profile=demo,cases=1,size=800x600"


@pytest.fixture
def site(tmp_path: Path) -> Station:
    return Station(tmp_path)


def named(site: Station, who: str = "Erna"):
    client = site.somebody()
    send(client, "/setup/station", who=who, station="tank1", marker_mm="60")
    return client


def measured(site: Station, client) -> None:
    """Steps two to four, measured here instead of in a thread."""
    send(client, "/setup/aim")
    send(client, "/setup/lamps", **MARKED)
    progress = setup_progress.load(site.device)
    setup_fit.measure(site.device, progress)


def saved(site: Station):
    client = named(site)
    measured(site, client)
    send(client, "/setup/save", reason="first set-up")
    return client


def test_nobody_sets_up_without_the_pin(site: Station) -> None:
    assert site.somebody(signed_in=False).get("/setup/station").location.startswith("/pin")
    assert site.somebody(signed_in=False).get("/setup/static/setup.css").status_code == 302


def test_a_station_without_a_profile_begins_with_its_name(site: Station) -> None:
    client = site.somebody()
    assert "has no profile yet" in words(client.get("/setup/"))
    assert client.get("/setup/aim").location == "/setup/station"


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"who": "", "station": "TANK1", "marker_mm": "60"}, "your name is missing"),
        ({"who": "Erna", "station": "Tank_1", "marker_mm": "60"}, "is not usable: take 1 to 16 of A-Z"),
        ({"who": "Erna", "station": "TANK1", "marker_mm": "sixty"}, "is no length from 20 to 130 mm"),
        ({"who": "Erna", "station": "TANK1", "marker_mm": "600"}, "is no length from 20 to 130 mm"),
    ],
)
def test_a_name_or_size_that_cannot_be_is_told_and_kept_in_the_form(site: Station, form: dict, said: str) -> None:
    answer = send(site.somebody(), "/setup/station", **form)
    assert answer.status_code == 400 and said in words(answer)
    assert f'value="{form["station"]}"' in answer.get_data(as_text=True)


def test_the_sheet_is_the_one_of_the_form(site: Station) -> None:
    client = site.somebody()
    answer = client.get("/setup/markers.pdf?station=tank7&mm=80,5")
    assert answer.mimetype == "application/pdf" and answer.data.startswith(b"%PDF")
    assert client.get("/setup/markers.pdf?station=tank7&mm=1").status_code == 400


def test_aiming_shows_the_picture_and_every_corner(site: Station) -> None:
    seen = named(site).get("/setup/aim.json").json
    assert seen["ready"] and b64decode(seen["picture"])[:2] == b"\xff\xd8"
    assert [corner["corner"] for corner in seen["corners"] if corner["seen"]] == ["TL", "TR", "BR", "BL"]


def test_a_camera_that_goes_away_is_told_and_nothing_breaks(site: Station) -> None:
    client = named(site)

    def gone():
        raise StationError("the camera gives no pictures: check its cable and power")

    site.camera = gone
    answer = client.get("/setup/aim.json")
    assert answer.status_code == 503 and "check its cable" in answer.json["fault"]
    assert "check its cable" in words(send(client, "/setup/aim"))
    assert "check its cable" in words(send(client, "/setup/lamps", **MARKED))
    with pytest.raises(StationError):
        setup_fit.measure(site.device, setup_progress.load(site.device))


def test_one_cannot_go_on_with_the_markers_of_another_station(site: Station) -> None:
    client = site.somebody()
    send(client, "/setup/station", who="Erna", station="TANK2", marker_mm="60")
    answer = send(client, "/setup/aim")
    assert answer.status_code == 400 and "these are the markers of TANK1, not of TANK2" in words(answer)


def test_a_profile_for_another_size_of_picture_is_noted_while_aiming(site: Station) -> None:
    wide = Station(site.device.place.station.parent, WIDE)
    site.device.place.station.write_bytes(station.dump(other_profile()))
    noted = named(wide).get("/setup/aim.json").json["noted"]
    assert (
        noted == "the profile that holds is for pictures of 640x480, the camera gives 800x600: measure and save it anew"
    )


def test_each_lamp_shows_what_the_lamp_model_reads(site: Station) -> None:
    x, y, w, h = OK_LAMP[0].rect_px
    seen = named(site).get(f"/setup/lamps.json?ok={x},{y},{w},{h}&leak=600,470,60,60").json
    assert seen["lamps"]["ok"]["word"] == "dark" and b64decode(seen["lamps"]["ok"]["crop"])[:2] == b"\xff\xd8"
    assert "does not lie in the picture of 640x480" in seen["lamps"]["leak"]["fault"]


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (LAMPS, "no lamp is marked"),
        (MARKED | {"ok_x": "700"}, "does not lie in the picture of 640x480"),
        (MARKED | {"ok_w": "2"}, "with at least 4x4 px"),
        (MARKED | {"ok_x": "left"}, "four whole numbers"),
        (MARKED | {f"ok_{side}": MARKED[f"leak_{side}"] for side in "xywh"}, "the two lamps lie on each other"),
    ],
)
def test_lamps_that_cannot_be_are_refused(site: Station, form: dict, said: str) -> None:
    answer = send(named(site), "/setup/lamps", **form)
    assert answer.status_code == 400 and said in words(answer)
    assert setup_progress.load(site.device).lamps_done is False


def test_what_was_measured_is_saved_recorded_and_said_to_be_taken_over(site: Station) -> None:
    client = saved(site)
    profile, sha256 = station.load(site.device.place.station)
    assert (profile.station, profile.lamps, profile.marker_size_mm) == ("TANK1", OK_LAMP, 60)
    entry = profile_history.trail(site.device.place).entries[-1]
    assert (entry.who, entry.through, entry.reason, entry.new) == ("Erna", "browser", "first set-up", sha256)
    assert "the inspection does not run" in words(client.get("/setup/cycles"))
    site.takes_over("0" * 64)
    assert "as soon as the tank stands empty" in words(client.get("/setup/cycles"))
    site.takes_over(sha256, checked=False)
    assert "looks whether all markers are where the profile says" in words(client.get("/setup/cycles"))
    site.takes_over(sha256)
    assert "sees all markers in their places" in words(client.get("/setup/cycles"))


def test_progress_survives_a_restart_of_the_panel(site: Station, tmp_path: Path) -> None:
    measured(site, named(site))
    again = Station(tmp_path).somebody()
    page = words(again.get("/setup/measure"))
    assert "all four markers found" in page and "Save: this profile holds from now on" in page


def test_a_profile_is_not_saved_over_one_that_came_meanwhile(site: Station) -> None:
    client = named(site)
    measured(site, client)
    change = Change(who="emil", through="command line", reason="by another way")
    profile_history.save(site.device.place, other_profile(), change, expected=None, now=NOW)
    answer = send(client, "/setup/save")
    assert answer.status_code == 409 and "another profile was saved meanwhile" in words(answer)
    assert station.load(site.device.place.station)[0] == other_profile()


def test_what_is_marked_anew_while_it_is_measured_is_never_saved_as_it_was(site: Station) -> None:
    client = named(site)
    send(client, "/setup/lamps", **MARKED)
    begun = setup_progress.load(site.device)
    send(client, "/setup/lamps", **MARKED | {"ok_x": str(int(MARKED["ok_x"]) - 3)})
    with pytest.raises(StationError, match="changed meanwhile: measure it again"):
        setup_fit.measure(site.device, begun)
    assert not setup_progress.load(site.device).draft
    assert "nothing was measured yet" in words(send(client, "/setup/save"))


def test_two_who_keep_how_far_one_is_at_once_lose_nothing_of_each_other(site: Station) -> None:
    named(site)

    def keep(number: int) -> None:
        values = {"empty_cycles": 3} if number % 2 else {"lamps_done": True}
        setup_progress.changed(site.device, **values)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(keep, range(40)))
    kept = setup_progress.load(site.device)
    assert (kept.who, kept.empty_cycles, kept.lamps_done) == ("Erna", 3, True)


@pytest.mark.parametrize("held", [None, "station = 'TANK1'\n"])
def test_a_profile_that_somebody_took_away_or_broke_is_told_while_cycles_are_watched(site: Station, held) -> None:
    client = saved(site)
    site.device.place.station.unlink()
    if held:
        site.device.place.station.write_text(held)
    page = client.get("/setup/cycles")
    assert page.status_code == 200 and "station.toml" in words(page)
    seen = client.get("/setup/cycles.json", headers={"Accept": "application/json"})
    assert seen.status_code == 503 and "station.toml" in seen.json["fault"]
    assert send(client, "/setup/cycles", act="empty").status_code == 400


def test_the_second_person_is_told_and_sends_nothing_until_taking_over(site: Station) -> None:
    first, second = named(site), site.somebody()
    assert "Somebody else is setting this station up (Erna)" in words(second.get("/setup/station")).replace(" )", ")")
    answer = send(second, "/setup/station", who="Emil", station="TANK9", marker_mm="60")
    assert answer.status_code == 409 and "What you sent was not taken" in words(answer)
    assert setup_progress.load(site.device).station == "TANK1"
    send(second, "/setup/take-over")
    assert send(second, "/setup/station", who="Emil", station="TANK9", marker_mm="60").status_code == 200
    assert "Somebody else" in words(first.get("/setup/"))


def test_a_full_disk_is_told_and_what_was_entered_stays_in_the_form(site: Station) -> None:
    client = named(site)
    with full_disk():
        answer = send(client, "/setup/station", who="Erna", station="TANK8", marker_mm="60")
    assert answer.status_code == 400 and "free space or check who owns" in words(answer)
    assert 'value="TANK8"' in answer.get_data(as_text=True)


def test_a_disk_that_takes_nothing_stops_no_page(site: Station) -> None:
    client = site.somebody()
    site.device.place.folder.write_text("a file where the folder should be")
    answer = send(client, "/setup/station", who="Erna", station="TANK1", marker_mm="60")
    assert answer.status_code == 400 and "check who owns" in words(answer)
    for path in ("/setup/", "/setup/history", "/setup/compare", "/setup/report"):
        assert client.get(path).status_code == 200, path


def test_three_empty_and_three_real_cycles_end_in_a_report(site: Station) -> None:
    client = saved(site)
    _, sha256 = station.load(site.device.place.station)
    assert "not yet: the inspection does not run" in words(send(client, "/setup/cycles", act="begin"))
    site.takes_over(sha256)
    send(client, "/setup/cycles", act="begin")
    for _ in range(3):
        send(client, "/setup/cycles", act="empty")
    assert "No case was made of them" in words(send(client, "/setup/cycles", act="real"))
    for number, (about, said) in enumerate(
        [
            ({"usable_s": 2.1}, "the unit was watched for 2.1 s, 5 s are needed"),
            ({"decision": "none"}, "no lamp was read"),
            ({}, ""),
            ({}, ""),
            ({}, ""),
        ]
    ):
        site.case(number + 1, utc.text(NOW + 60 + number), **{"usable_s": 7.0, "decision": "ok"} | about)
        seen = client.get("/setup/cycles.json").json["real"][-1]
        assert said in seen["words"] and seen["good"] == (not said)
    page = send(client, "/setup/cycles", act="finish")
    assert "Nothing remains to improve" in words(page) and "3 of 3 real ones were watched whole" in words(page)
    stored = json.loads((site.device.reports / f"{sha256}.json").read_text())
    assert stored["profile_sha256"] == sha256 and stored["cycles"]["empty_cases"] == 0
    alone = client.get(f"/setup/report/{sha256}.html")
    assert b"data:image/jpeg;base64," in alone.data and b"<link" not in alone.data and b'src="http' not in alone.data


def test_a_case_that_is_made_of_an_empty_cycle_begins_them_anew(site: Station) -> None:
    client = saved(site)
    site.takes_over(station.load(site.device.place.station)[1])
    send(client, "/setup/cycles", act="begin")
    send(client, "/setup/cycles", act="empty")
    site.case(1, utc.text(NOW + 5), usable_s=7.0)
    site.now_s += 10
    answer = send(client, "/setup/cycles", act="empty")
    assert answer.status_code == 400 and "a case was made of an empty cycle" in words(answer)
    assert setup_progress.load(site.device).empty_cycles == 0


def test_the_history_takes_back_and_restores_and_notices_what_was_changed_by_hand(site: Station) -> None:
    client = saved(site)
    first = profile_history.present(site.device.place)
    site.device.place.station.write_bytes(station.dump(other_profile()))
    page = words(client.get("/setup/history"))
    assert "the file was changed by hand" in page and "first set-up" in page
    second = profile_history.present(site.device.place)
    send(client, "/setup/history", holds=second, reason="by mistake")
    assert profile_history.present(site.device.place) == first
    assert setup_progress.load(site.device).base == first
    stale = send(client, "/setup/history", holds=second, sha256=second)
    assert stale.status_code == 409 and "another profile was saved meanwhile" in words(stale)
    send(client, "/setup/history", holds=first, sha256=second)
    assert profile_history.present(site.device.place) == second


def test_a_profile_for_another_size_of_picture_is_not_restored(site: Station, tmp_path: Path) -> None:
    saved(site)
    site.device.place.station.write_bytes(station.dump(other_profile()))
    wide = Station(tmp_path, WIDE)
    client = wide.somebody()
    client.get("/setup/history")
    answer = send(client, "/setup/history", holds=profile_history.present(site.device.place))
    assert answer.status_code == 409
    assert "that profile is for pictures of 640x480, the camera gives 800x600" in words(answer)


def test_two_profiles_are_compared_in_words_and_on_the_picture(site: Station) -> None:
    client = saved(site)
    assert "No profile held yesterday" in words(client.get("/setup/compare"))
    site.now_s += 2 * 86_400
    assert "the one that holds has held since yesterday" in words(client.get("/setup/compare"))
    old = profile_history.present(site.device.place)
    send(client, "/setup/lamps", **MARKED | {"ok_x": str(int(MARKED["ok_x"]) - 3)})
    setup_fit.measure(site.device, setup_progress.load(site.device))
    assert "Watch it work" in words(send(client, "/setup/save", reason="lamp moved"))
    page = words(client.get("/setup/compare"))
    assert "the lamp ok is marked 3 px from where it was" in page
    new = profile_history.present(site.device.place)
    assert client.get(f"/setup/compare.jpg?old={old}&new={new}").data[:2] == b"\xff\xd8"
    assert client.get("/setup/compare?old=../../x").status_code == 404
