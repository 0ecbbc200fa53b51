"""The report in a real browser: nothing is cut off at either width, whatever the light."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from browser import CHROMIUM

from edge_agent.bundle import open_bundle
from edge_agent.inspection import shipped_bundle
from models import rates, report
from models.labelled import Manifest
from tests.test_evaluate import judged

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("page")
    rows = judged(
        *[("leak", "leak", 0.9), ("leak", "uncertain", 0.6), ("ok", "ok", 0.1), ("silent", "ok", 0.2)] * 1200,
        leak_origins_px=((5.0, 5.0),),
    )
    manifest = Manifest(folder / "a-manifest-with-a-rather-long-name-that-goes-on-and-on.jsonl", "ab" * 32, [])
    found = rates.summary(rows, open_bundle(shipped_bundle()), manifest, datetime(2026, 11, 25, tzinfo=UTC))
    (folder / "report.html").write_text(report.page(rows, found, []))
    return (folder / "report.html").as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.mark.parametrize("light", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 720), (390, 844)])
def test_nothing_is_cut_off_and_words_stand_out(browser, address, size, light):
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=light)
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert page.evaluate("[...document.querySelectorAll('.wide')].every(one => one.scrollWidth <= one.clientWidth)")
    assert page.locator("svg").count() == 3
    assert all(page.locator("svg").nth(number).bounding_box()["width"] > 250 for number in range(3))
    paper, ink = page.evaluate("(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))")
    assert abs(_brightness(paper) - _brightness(ink)) > 150
    assert (_brightness(paper) < 128) == (light == "dark")
    page.close()


def _brightness(colour: str) -> float:
    return sum(map(float, colour.removeprefix("rgb(").removesuffix(")").split(","))) / 3
