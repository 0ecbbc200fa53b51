"""Setting a station up in a real browser, on a recorded station: by mouse, finger and keyboard, at two sizes.

No page keeps anybody out. Pictures are kept where TANKWATCH_SHOTS names a folder.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from browser import ARGUMENTS, CHROMIUM, barriers, free_port
from in_full import in_full
from panel_site import PIN
from setup_site import NOW, Station

from calibration import setup_progress
from calibration.twin import open_twin
from edge_agent import profile_history, station, utc
from edge_agent.errors import StationError
from edge_agent.profile_history import Change

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
SIZES = {"wide": (1280, 800), "tablet": (820, 1180)}
TRUE = {lamp.means: lamp.rect_px for lamp in open_twin("twin:seed=1,profile=demo,cases=1").profile.lamps}
LEAST_TARGET_PX = 48


@pytest.fixture(scope="module")
def chromium() -> Iterator:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS.split())
        yield browser
        browser.close()


@pytest.fixture
def site(tmp_path: Path) -> Station:
    return Station(tmp_path, port=free_port())


class Person:
    """Somebody with a browser who knows the PIN; `hurried`: looks less closely, which takes half as long."""

    def __init__(self, chromium, address: str, size: str = "wide", *, hurried: bool = False, **about) -> None:
        self.hurried = hurried
        width, height = SIZES[size]
        self.size = size
        self.page = chromium.new_context(viewport={"width": width, "height": height}, **about).new_page()
        self.page.on("pageerror", lambda error: pytest.fail(f"the page's script failed: {error}"))
        self.page.goto(f"{address}/setup/")
        self.page.fill("#pin", PIN)
        self.page.keyboard.press("Enter")
        self.page.get_by_role("navigation", name="Steps of setting up").wait_for()

    def goes_on(self, name: str, to: str) -> None:
        self.page.get_by_role("button", name=name).click()
        self.page.wait_for_url(f"**/setup/{to}")

    def sees(self, words: str) -> None:
        self.page.get_by_text(words).first.wait_for()

    def sees_the_picture(self) -> None:
        """It is painted: not hidden, and not all of one tone."""
        self.page.wait_for_function(
            """() => {
                const picture = document.getElementById('picture');
                if (picture.hidden || picture.width < 100) return false;
                const { data } = picture.getContext('2d').getImageData(0, 0, picture.width, picture.height);
                return new Set(data.filter((_, index) => index % 404 === 0)).size > 20;
            }"""
        )

    def looks(self, name: str) -> None:
        """Nobody is kept out, nothing sticks out, what is touched is large enough; and a picture is kept."""
        if folder := os.environ.get("TANKWATCH_SHOTS"):
            self.page.screenshot(path=f"{folder}/setup-{name}-{self.size}.png", full_page=True)
        assert self.hurried or barriers(self.page) == []
        assert self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        small = self.page.evaluate(
            """(least) => [...document.querySelectorAll('main :is(button, a.button, .way a, input, select)')]
                .filter((one) => one.offsetParent && !['hidden', 'checkbox', 'radio'].includes(one.type))
                .filter((one) => one.getBoundingClientRect().height < least - 0.5).map((one) => one.outerHTML)""",
            LEAST_TARGET_PX,
        )
        assert small == [], name

    def on_picture(self, x: float, y: float) -> tuple[float, float]:
        """A place of the camera's picture on the screen."""
        box = self.page.locator("#overlay").bounding_box()
        return box["x"] + x * box["width"] / 640, box["y"] + y * box["height"] / 480

    def drags(self, rect_px: tuple[int, int, int, int]) -> None:
        x, y, width, height = rect_px
        self.page.mouse.move(*self.on_picture(x, y))
        self.page.mouse.down()
        self.page.mouse.move(*self.on_picture(x + width / 2, y + height / 2))
        self.page.mouse.move(*self.on_picture(x + width, y + height))
        self.page.mouse.up()


@pytest.mark.parametrize("size", ["wide", in_full("tablet")])
def test_from_nothing_to_a_report(chromium, site: Station, size: str) -> None:
    with site.served() as address:
        person = Person(chromium, address, size, hurried=size == "wide")
        person.looks("overview")
        person.page.get_by_role("link", name="Begin", exact=True).click()
        person.page.fill("#who", "Erna Ünal-Featherstonehaugh of the third shift")
        person.page.fill("#station", "tank1")
        person.page.locator("#print[href*='station=tank1']").wait_for()
        person.looks("station")
        person.goes_on("Go on: aim the camera", "aim")
        person.sees("All four markers are seen, sharp and well lit")
        person.sees_the_picture()
        person.looks("aim")
        person.goes_on("Go on: mark the lamps", "lamps")
        person.sees_the_picture()
        person.drags(TRUE["ok"])
        person.page.locator("input[name=drawn][value=leak]").check()
        person.drags(TRUE["leak"])
        person.page.locator("[data-word=leak][data-read=dark]").wait_for()
        person.looks("lamps")
        person.goes_on("Go on: measure", "measure")
        person.looks("before-measuring")
        person.goes_on("The tank is empty: measure", "measure")
        person.sees("Nothing is unfit")
        person.looks("measured")
        person.goes_on("Save: this profile holds", "cycles")
        _watched(person, site)
        person.goes_on("Go on: make the report", "report")
        person.sees("Nothing remains to improve")
        person.looks("report")
    marked = {lamp.means: lamp.rect_px for lamp in station.load(site.device.place.station)[0].lamps}
    for means, rect in TRUE.items():
        assert all(abs(a - b) <= 2 for a, b in zip(marked[means], rect, strict=True)), means


def _watched(person: Person, site: Station) -> None:
    """Three empty cycles and three real ones, of which the first is lifted too early."""
    person.sees("the inspection does not run")
    site.takes_over(profile_history.present(site.device.place))
    person.sees("sees all markers in their places")
    person.goes_on("Begin the empty cycles", "cycles")
    for number in (1, 2, 3):
        person.goes_on(f"Cycle {number} is done", "cycles")
    person.goes_on("Begin the real cycles", "cycles")
    site.case(1, utc.text(NOW + 10), usable_s=2.1, decision="ok")
    person.sees("the unit was watched for 2.1 s, 5 s are needed")
    person.looks("cycles")
    for number in (2, 3, 4):
        site.case(number, utc.text(NOW + 10 * number), usable_s=7.0, decision="ok")


def test_lamps_are_moved_and_sized_by_keyboard_alone(chromium, site: Station) -> None:
    _begun(site)
    with site.served() as address:
        person = Person(chromium, address)
        person.page.goto(f"{address}/setup/lamps")
        person.sees_the_picture()
        person.page.get_by_role("button", name="Place a mark of the lamp good").focus()
        person.page.keyboard.press("Enter")
        person.page.keyboard.press("ArrowRight")
        assert [person.page.input_value(f"[name=ok_{side}]") for side in "xywh"] == ["302", "221", "38", "38"]
        person.page.fill("[name=ok_x]", "100")
        for side, value in (("y", "90"), ("w", "30"), ("h", "20")):
            person.page.fill(f"[name=ok_{side}]", value)
        person.page.locator("[data-lamp=ok]:not([hidden])").focus()
        for keys in ("ArrowRight", "ArrowUp", "Shift+ArrowRight", "Shift+ArrowDown", "Control+ArrowLeft"):
            person.page.keyboard.press(keys)
        values = [person.page.input_value(f"[name=ok_{side}]") for side in "xywh"]
        assert values == ["91", "89", "31", "21"]
        for _ in range(12):
            person.page.keyboard.press("Control+ArrowLeft")
        assert person.page.input_value("[name=ok_x]") == "0", "a mark stays in the picture"


def test_lamps_are_drawn_with_a_finger(chromium, site: Station) -> None:
    _begun(site)
    with site.served() as address:
        person = Person(chromium, address, "tablet", has_touch=True)
        person.page.goto(f"{address}/setup/lamps")
        person.sees_the_picture()
        (x, y), (to_x, to_y) = person.on_picture(300, 200), person.on_picture(340, 230)
        touch = person.page.context.new_cdp_session(person.page)
        for kind, at in (("touchStart", (x, y)), ("touchMove", (to_x, to_y)), ("touchEnd", None)):
            points = [{"x": at[0], "y": at[1]}] if at else []
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        values = [float(person.page.input_value(f"[name=ok_{side}]")) for side in "xywh"]
        assert all(abs(now - wanted) <= 2 for now, wanted in zip(values, (300, 200, 40, 30), strict=True))


@pytest.mark.full
def test_a_camera_that_goes_away_in_the_middle_is_said_and_comes_back(chromium, site: Station) -> None:
    _begun(site)
    with site.served() as address:
        person = Person(chromium, address)
        person.page.goto(f"{address}/setup/aim")
        person.sees("All four markers are seen")
        there = site.camera

        def gone():
            raise StationError("the inspection has shown no picture for 10 s: see that it runs")

        site.camera = gone
        person.sees("The inspection has shown no picture for 10 s: see that it runs")
        person.looks("aim-without-camera")
        site.camera = there
        person.sees("All four markers are seen")

        def broken():
            raise RuntimeError("a fault of ours")

        site.camera = broken
        person.sees("Something went wrong here")
        site.camera = there
        person.sees("All four markers are seen")


@pytest.mark.full
def test_the_second_person_is_told_and_history_and_compare_can_be_read(chromium, site: Station) -> None:
    _begun(site)
    _changed(site)
    with site.served() as address:
        first, second = Person(chromium, address), Person(chromium, address, "tablet")
        second.sees("Somebody else is setting this station up")
        second.looks("other")
        first.page.goto(f"{address}/setup/history")
        first.looks("history")
        first.page.get_by_role("link", name="What changed").first.click()
        first.sees("has moved by 4.0 px")
        first.looks("compare")
        second.page.goto(f"{address}/setup/history")
        second.looks("history")
        second.page.get_by_role("button", name="Take the last change back").click()
        second.sees("What you sent was not taken")
        second.looks("refused")


def _begun(site: Station) -> None:
    setup_progress.keep(site.device, setup_progress.Progress(who="Erna", station="TANK1", aimed=True))


def _changed(site: Station) -> None:
    """Two profiles, of which the second is where the camera moved, and one by hand."""
    true = open_twin("twin:seed=1,profile=demo,cases=1").profile
    moved = msgspec.structs.replace(true, tank_px=tuple((x + 4, y) for x, y in true.tank_px), required_hold_s=6.0)
    for profile, who, reason in (
        (true, "erna", "set up"),
        (moved, "a-name-that-is-rather-long.and.dots", "camera bumped"),
    ):
        holds = profile_history.present(site.device.place)
        change = Change(who=who, through="browser", reason=reason)
        profile_history.save(site.device.place, profile, change, expected=holds, now=NOW - 100_000)
