"""The page of alarms: who may look and who may order, what becomes of an order, and how it looks in a browser."""

import os
import time
from pathlib import Path

import msgspec
import pytest
from browser import barriers
from panel_site import PIN, a_device, a_panel, free_port, give_pin, token
from serving import serving
from test_desk_stories import CHROMIUM, chromium

from edge_agent.alarm_history import AlarmHistory
from edge_agent.alarm_keeper import AlarmKeeper
from edge_agent.alarm_report import settings_of
from edge_agent.alarms import Condition, Event, Moment
from edge_agent.panel import make_server

__all__ = ["chromium"]
CONDITIONS = (
    Condition(id="camera", words="camera rtsp://10.0.0.7/tank cannot be opened (no route to host): check its cable"),
    Condition(id="water", words="the water is murky: change the water"),
    Condition(id="clips", words="a case goes on without its clip: free space on the device"),
    Condition(id="framing", words="marker TL is 23.4 px off, limit 12.0 px: turn the camera 2 degrees left"),
)
SMALL = """() => [...document.querySelectorAll('a.button, button, summary, select, input:not([type=hidden])')]
    .filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < 48)
    .map((one) => one.outerHTML.slice(0, 80))"""


class Station:
    """A panel, and the keeper of an inspection whose conditions the test sets."""

    def __init__(self, folder: Path, **panel) -> None:
        device = a_device(folder, **panel)
        self.device = msgspec.structs.replace(device, alarms=str(folder / "alarms.toml"))
        self.app = a_panel(folder, device=self.device)
        self.keeper = AlarmKeeper("inspect", self.device.alarms_path, self.device.alarm_settings_path)
        self._seconds = 0.0

    def look(self, *conditions: Condition, after_s: float = 3.0):
        self._seconds += after_s
        return self.keeper.look(conditions, Moment(self._seconds, time.time()))

    def flickered(self) -> None:
        """The lamps came and went all night."""
        begun_s = time.time() - 40_000
        events = []
        for number in range(30):
            at_s = begun_s + 30 * number
            common = {"id": "lamps", "priority": "medium", "words": "the ok lamp cannot be read: clear the view"}
            events.append(Event(at_s=at_s, event="raised", told=True, **common))
            events.append(Event(at_s=at_s + 20, event="returned", **common))
        AlarmHistory(self.device.alarms_path / "history.db").append(events)


@pytest.fixture
def station(tmp_path) -> Station:
    return Station(tmp_path)


def post(client, path: str, **fields: str):
    fields = {"csrf_token": token(client, "/alarms"), "name": "Erna", **fields}
    return client.post(f"/alarms/{path}", data=fields, headers={"Accept": "text/html"}, follow_redirects=True)


def test_anybody_may_look_and_nobody_orders_without_the_pin(station):
    station.look(*CONDITIONS)
    client = station.app.test_client()
    page = client.get("/alarms").get_data(as_text=True)
    assert "cannot be opened" in page and "check its cable" in page and "units are not tested" in page
    assert "<form" not in page.split("<main")[1] and "Give the PIN" in page
    fields = {"csrf_token": token(client), "id": "camera", "minutes": "30", "reason": "x", "name": "Erna"}
    for path in ("acknowledge", "shelve", "unshelve", "set"):
        assert client.post(f"/alarms/{path}", data=fields).status_code == 401
    assert not (station.device.alarms_path / "orders").exists()


def test_a_calm_station_says_that_all_is_calm(station):
    page = station.app.test_client().get("/alarms").get_data(as_text=True)
    assert "No alarm stands." in page and "Nothing suggests a change." in page and "0.00" in page


def test_an_alarm_is_acknowledged_and_shelved_and_the_history_says_by_whom(station):
    (camera, *_) = station.look(CONDITIONS[0]).active
    client = station.app.test_client()
    give_pin(client)
    assert "Ordered." in post(client, "acknowledge", id="camera", occurrence=camera.since).get_data(as_text=True)
    assert station.look(CONDITIONS[0]).active[0].acknowledged_by == "Erna (panel)"
    post(client, "shelve", id="camera", minutes="30", reason="the cable is on its way")
    assert station.look(CONDITIONS[0]).active == ()
    page = client.get("/alarms").get_data(as_text=True)
    assert "No alarm stands." in page and "shelved" in page and "the cable is on its way" in page
    post(client, "unshelve", id="camera")
    assert station.look(CONDITIONS[0]).active[0].state == "unacknowledged"


@pytest.mark.parametrize(
    ("path", "fields", "words"),
    [
        ("shelve", {"id": "camera", "minutes": "480", "reason": "x"}, "1 to 60 minutes"),
        ("shelve", {"id": "camera", "minutes": "many", "reason": "x"}, "1 to 60 minutes"),
        ("shelve", {"id": "camera", "minutes": "30"}, "needs a reason"),
        ("shelve", {"id": "<b>", "minutes": "30", "reason": "x"}, "there is no alarm"),
        ("acknowledge", {"id": "camera", "name": " "}, "needs a name"),
        ("set", {"id": "lamps", "setting": "off_delay_s", "value": "9999", "reason": "x"}, "0 to 600"),
        ("set", {"id": "lamps", "setting": "off_delay_s", "value": "20"}, "needs a reason"),
    ],
)
def test_what_may_not_be_ordered_is_said_with_the_cure(station, path, fields, words):
    client = station.app.test_client()
    give_pin(client)
    page = post(client, path, **fields).get_data(as_text=True)
    assert words in page and 'role="alert"' in page and "<b>" not in page.split("<main")[1].split("<dl")[0]
    assert not station.device.alarm_settings_path.exists()


def test_a_proposal_is_accepted_by_a_person_and_stands_in_the_trail(station):
    station.flickered()
    client = station.app.test_client()
    give_pin(client)
    page = client.get("/alarms").get_data(as_text=True)
    assert "lamps: off_delay_s 5 → 20" in page and "1 instead of 30 alarms" in page
    assert settings_of(station.device).catalogue.alarm["lamps"].off_delay_s == 5.0, "nothing changes by itself"
    post(client, "set", id="lamps", setting="off_delay_s", value="20.0", reason="proposed: it flickers")
    assert settings_of(station.device).catalogue.alarm["lamps"].off_delay_s == 20.0
    (one,) = settings_of(station.device).trail()
    assert (one.by, one.old, one.new) == ("Erna (panel)", None, 20.0)


def test_an_open_page_hears_that_something_has_changed(station):
    client = station.app.test_client()
    before = client.get("/alarms/stamp").json
    station.look(CONDITIONS[0])
    assert client.get("/alarms/stamp").json != before


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_the_page_fits_gloves_and_reads_in_both_sizes_and_a_longer_language(chromium, tmp_path):
    station = Station(tmp_path, port=free_port())
    station.flickered()
    station.look(*CONDITIONS)
    station.look(*CONDITIONS, Condition(id="tank", words="something lies in the tank: take it out"))
    station.look(*CONDITIONS)
    with serving(make_server(station.app, station.device)) as address:
        page = chromium.new_context(viewport={"width": 1280, "height": 800}).new_page()
        faults: list[str] = []
        page.on("console", lambda said: faults.append(said.text) if said.type in ("error", "warning") else None)
        page.goto(f"{address}/alarms")
        page.get_by_role("link", name="Give the PIN").click()
        page.get_by_label("PIN of this station").fill(PIN)
        page.get_by_role("button", name="Go on").click()
        page.wait_for_url(f"{address}/alarms")
        for name, size, language in (("wide", (1920, 1080), "en"), ("de", (1280, 800), "de")):
            page.set_viewport_size({"width": size[0], "height": size[1]})
            page.goto(f"{address}/alarms?lang={language}")
            _shot(page, f"alarms-{name}")
            page.locator("details.orders summary").first.click()
            _shot(page, f"alarms-{name}-orders")
            assert page.evaluate(SMALL) == []
            assert not page.evaluate("() => document.documentElement.scrollWidth > innerWidth")
            assert barriers(page) == []
        page.locator("details.orders").first.get_by_label("Ihr Name").first.fill("Erna")
        page.locator("details.orders").first.get_by_role("button", name="Quittieren").click()
        page.wait_for_selector(".notice:not([hidden])")
        station.look(*CONDITIONS)
        page.wait_for_selector('.alarm[data-state="acknowledged"]')
        assert faults == []
        page.context.close()


def _shot(page, name: str) -> None:
    if folder := os.environ.get("TANKWATCH_SHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
