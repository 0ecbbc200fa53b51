"""The operator's screen in a real browser: every situation at both sizes, pictures and words that are never old, the
PIN by keypad, and the main thing without a script. Pictures are kept where TANKWATCH_SHOTS names a folder.
"""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import panel_states
import pytest
from browser import barriers
from in_full import in_full
from panel_site import PIN, a_device, a_panel, free_port, publish
from serving import begin, end
from test_desk_stories import CHROMIUM, chromium

from edge_agent.panel import make_server
from edge_agent.pin import FREE_TRIES

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
__all__ = ["chromium"]
SIZES = ((1280, 800), (1920, 1080))
SITUATIONS = sorted(panel_states.situations(0.0))
HARDEST = ("leak", "long", "stale")
OVERFLOWS = """() => [...document.querySelectorAll('main > *:not(.sr), .top')].filter((one) =>
    !one.hidden && (one.scrollHeight > one.clientHeight + 2 || one.scrollWidth > one.clientWidth + 2))
    .map((one) => one.className)"""
OFF = "() => document.documentElement.scrollWidth > innerWidth || document.documentElement.scrollHeight > innerHeight"
SMALL = """() => [...document.querySelectorAll('a, button, summary, input:not([type=hidden])')].filter((one) =>
    one.checkVisibility() && !one.classList.contains('skip') && one.getBoundingClientRect().height < 48)
    .map((one) => one.outerHTML.slice(0, 80))"""


class Station:
    """A panel that serves, and an inspection that says what the test wants it to."""

    def __init__(self, folder: Path) -> None:
        self.device = a_device(folder, port=free_port())
        self.device.run_folder.mkdir()
        self.said: str | None = None
        self.app = a_panel(folder, device=self.device)
        self.pictures = True
        self._end = threading.Event()
        threading.Thread(target=self._work, daemon=True).start()
        self.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.device.panel.port}"

    def start(self) -> None:
        self._server = make_server(self.app, self.device)
        self._thread = begin(self._server)

    def stop(self) -> None:
        """As after a crash: whoever listens is cut off, also who was only about to be heard."""
        panel = self.app.extensions["tankwatch"]
        panel.screens.end_all()
        panel.pictures.end_all()
        end(self._server, self._thread)

    def close(self) -> None:
        self._end.set()
        self.stop()

    def _work(self) -> None:
        number = 0
        while not self._end.wait(0.1):
            if self.said is None:
                continue
            now = time.time()
            panel_states.put(self.device.run_folder, panel_states.situations(now)[self.said])
            if self.pictures:
                number += 1
                publish(self.device.live_path, b"%d" % number)


@pytest.fixture(scope="module")
def station(tmp_path_factory) -> Iterator[Station]:
    made = Station(tmp_path_factory.mktemp("panel"))
    yield made
    made.close()


@pytest.fixture
def page(chromium, station: Station) -> Iterator:
    station.said, station.pictures = "empty", True
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    yield page
    context.close()
    assert page.faults == []


@pytest.mark.parametrize(
    ("names", "size", "language"),
    [
        (HARDEST, SIZES[0], "de"),
        *(in_full(SITUATIONS, size, language) for size in SIZES for language in ("en", "de", "es")),
    ],
)
def test_every_situation_fits_the_screen_and_is_open_to_all(
    page, station: Station, names: tuple[str, ...], size: tuple[int, int], language: str
) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    faults = []
    for name in names:
        station.said = name
        page.wait_for_timeout(300)
        page.goto(f"{station.address}/?lang={language}", wait_until="domcontentloaded")
        page.wait_for_timeout(500)
        faults += [f"{name}: {fault}" for fault in _faults(page, f"screen-{name}-{language}-{size[0]}")]
    assert faults == []


def _faults(page, name: str) -> Iterator[str]:
    if folder := os.environ.get("TANKWATCH_SHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"))
    yield from barriers(page)
    if page.evaluate(OFF):
        yield "runs off the screen"
    yield from page.evaluate(OVERFLOWS)
    yield from page.evaluate(SMALL)


def test_the_screen_follows_the_unit_without_being_loaded_again(page, station: Station) -> None:
    page.goto(station.address, wait_until="domcontentloaded")
    page.evaluate("() => { window.mine = true; }")
    for name, word in (
        ("empty", "Ready"),
        ("watching", "Watching"),
        ("leak", "LEAK"),
        ("ok", "OK"),
        ("stale", "No word"),
    ):
        station.said = name
        page.wait_for_function("word => document.querySelector('.headline').innerText.includes(word)", arg=word)
    assert page.evaluate("() => window.mine")
    station.said = "watching"
    page.wait_for_selector(".ring:not([hidden])")
    assert page.get_attribute("#share", "stroke-dasharray") == "64 100"
    assert page.inner_text(".ring").split() == ["3.2", "s", "of", "5", "s"]
    station.said = "alarm"
    page.wait_for_selector(".trouble[data-priority=high]")
    assert "Camera has moved" in page.inner_text(".trouble") and "Turn the camera left" in page.inner_text(".trouble")


def test_the_tank_is_drawn_where_it_lies_on_a_picture_that_moves(page, station: Station) -> None:
    page.goto(station.address, wait_until="domcontentloaded")
    page.wait_for_selector("#live:not([hidden])")
    first = page.evaluate("() => live.toDataURL()")
    page.wait_for_function("first => live.toDataURL() !== first", arg=first)
    assert page.evaluate("() => [live.width, live.height]") == [640, 480]
    assert page.get_attribute("#outline", "viewBox") == "0 0 640 480"


def test_a_picture_that_no_other_follows_is_taken_away_and_comes_back(page, station: Station) -> None:
    page.goto(station.address, wait_until="domcontentloaded")
    page.wait_for_selector("#live:not([hidden])")
    station.pictures = False
    page.wait_for_selector("#live", state="hidden", timeout=6000)
    assert page.inner_text(".view") == "Waiting for a picture"
    station.pictures = True
    page.wait_for_selector("#live:not([hidden])")
    station.app.extensions["tankwatch"].pictures.end_all()
    before = page.evaluate("() => pictured")
    page.wait_for_function("before => pictured > before + 2000", arg=before)


def test_a_panel_that_has_died_shows_nothing_old_and_goes_on_once_it_is_there_again(page, station: Station) -> None:
    station.said = "watching"
    page.goto(station.address, wait_until="domcontentloaded")
    page.wait_for_selector(".ring:not([hidden])")
    station.stop()
    try:
        page.wait_for_selector("#lost:not([hidden])", timeout=9000)
        assert "lost its connection" in page.inner_text("#lost") and page.is_hidden(".clock")
        shown = page.evaluate(
            "() => document.elementFromPoint(innerWidth * 0.7, innerHeight * 0.5).closest('section').id"
        )
        assert shown == "lost"
    finally:
        station.start()
    page.wait_for_selector("#lost", state="hidden", timeout=9000)
    page.wait_for_selector("#live:not([hidden])")


def test_without_a_script_the_page_still_says_the_main_thing(chromium, station: Station) -> None:
    station.said = "leak"
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(station.address, wait_until="commit")
    until_s = time.monotonic() + 20
    while "LEAK" not in page.inner_text(".headline") and time.monotonic() < until_s:
        page.reload(wait_until="commit")
    assert "LEAK" in page.inner_text(".headline") and "5.6 s" in page.inner_text(".ring")
    assert page.get_attribute("noscript meta", "http-equiv") == "refresh"
    context.close()


def test_a_language_is_chosen_once_and_kept(page, station: Station) -> None:
    page.goto(station.address, wait_until="domcontentloaded")
    page.click(".menu summary")
    page.click("text=Español")
    page.wait_for_function("() => document.documentElement?.lang === 'es'")
    page.goto(station.address, wait_until="domcontentloaded")
    said = "() => document.querySelector('.headline')?.innerText.includes('Listo')"
    page.wait_for_function(said)
    page.wait_for_timeout(600)
    page.wait_for_function(said)


def test_the_pin_is_given_by_its_keypad_and_waiting_is_counted_down(page, station: Station) -> None:
    page.goto(f"{station.address}/pin?next=/%3Flang%3Dde", wait_until="domcontentloaded")
    assert list(_faults(page, "pin")) == []
    for _ in range(FREE_TRIES):
        _key_in(page, "000000")
        page.wait_for_selector(".fault")
    assert "in 5 s" in page.inner_text("form.card") and list(_faults(page, "pin-wait")) == []
    page.wait_for_function("() => document.querySelector('form.card').innerText.includes('again now')", timeout=9000)
    _key_in(page, "1" + PIN, clear=True)
    page.wait_for_url("**/?lang=de")
    page.click("text=Abmelden")
    page.wait_for_selector("text=Abmelden", state="detached")


def _key_in(page, digits: str, *, clear: bool = False) -> None:
    for number, digit in enumerate(digits):
        page.click(f".keypad [data-digit='{digit}']")
        if clear and number == 0:
            page.click(".keypad [data-clear]")
    page.click("button.primary")
    page.wait_for_load_state("domcontentloaded")
