"""An administrator's pages, and signing in again, in a real browser: by keyboard, by day and night, no barrier."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import barriers, free_port
from desk_site import ONE_OF_EACH_ROLE, PASSWORD, Site
from in_full import in_full
from playwright.sync_api import Browser, Page, sync_playwright
from serving import serving

from cloud_sync.config import WebConfig
from cloud_sync.web import make_server

pytestmark = [
    pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is absent"),
    pytest.mark.usefixtures("quick_passwords"),
]
WIDE, TABLET = {"width": 1280, "height": 720}, {"width": 820, "height": 1180}
LONG = "somebody-with-a-very-long-name.and.dots@north-plant.example"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path, web=WebConfig(port=free_port()), people=ONE_OF_EACH_ROLE)
    with serving(make_server(site.config)):
        yield site


@pytest.mark.parametrize(("light", "size"), [in_full("light", WIDE), ("dark", TABLET)])
def test_an_administrator_lets_somebody_in_and_makes_a_token_by_keyboard(chromium, site: Site, light, size) -> None:
    page = _signed_in(chromium, site, "admin", color_scheme=light, viewport=size)
    page.goto(_at(site, "/users"))
    page.focus("#name")
    page.keyboard.type(LONG)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.fill("#own", PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("cell", name=LONG, exact=True).wait_for()
    _no_barrier(page)
    page.get_by_role("link", name=f"Set a new password of {LONG}").press("Enter")
    page.get_by_role("heading", name="New password of").wait_for()
    _no_barrier(page)
    page.keyboard.type("a newer long one")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("cell", name=LONG, exact=True).wait_for()
    page.goto(_at(site, "/tokens"))
    page.focus("#name")
    page.keyboard.type("reports")
    page.keyboard.press("Enter")
    assert page.locator("#secret").inner_text().startswith("tw_")
    _no_barrier(page)
    page.goto(_at(site, "/audit"))
    page.get_by_role("cell", name="reports as viewer for 90 days").wait_for()
    _no_barrier(page)


@pytest.mark.parametrize(("light", "size"), [("light", WIDE), ("dark", TABLET)])
def test_a_user_signs_out_elsewhere_by_keyboard(chromium, site: Site, light, size) -> None:
    there, here = (_signed_in(chromium, site, "quality", color_scheme=light, viewport=size) for _ in range(2))
    here.goto(_at(site, "/password"))
    _no_barrier(here)
    here.focus("#own")
    here.keyboard.type(PASSWORD)
    here.keyboard.press("Enter")
    here.get_by_text("Sign out there").wait_for(state="detached")
    there.goto(_at(site, "/review"))
    assert "/login?next=" in there.url


def test_a_form_that_meets_an_ended_session_is_sent_after_signing_in_again(chromium, site: Site) -> None:
    site.browser("quality").send(f"/review/{site.case()}", {"judgement": "ok", "familiar": "no"})
    page = _signed_in(chromium, site, "quality", viewport=WIDE)
    page.goto(_at(site, "/datasets"))
    page.context.clear_cookies()
    page.fill("#name", "nightly")
    page.keyboard.press("Enter")
    page.get_by_text("What you had entered is kept").wait_for()
    _no_barrier(page)
    _fill_in(page, "quality")
    page.get_by_role("button", name="Send it now").wait_for()
    _no_barrier(page)
    page.keyboard.press("Enter")
    page.wait_for_url("**/datasets/nightly/1")


def _signed_in(chromium: Browser, site: Site, name: str, **about) -> Page:
    page = chromium.new_context(**about).new_page()
    page.goto(_at(site, "/login"))
    _no_barrier(page)
    _fill_in(page, name)
    page.wait_for_url("**/review")
    return page


def _fill_in(page: Page, name: str) -> None:
    page.fill("#name", name)
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")


def _no_barrier(page: Page) -> None:
    """axe finds nothing, and nothing sticks out at the side."""
    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def _at(site: Site, path: str) -> str:
    return f"http://127.0.0.1:{site.config.web.port}{path}"
