"""The pages on datasets, errors and consistency in a real browser: axe finds nothing, at both sizes, day and night."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from browser import CHROMIUM, barriers
from desk_site import PASSWORD, Site
from serving import server_of, serving

from cloud_sync import db, desire, standards, tagging
from cloud_sync.tables import stations, truths
from edge_agent.messages import SamplingWish

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"), pytest.mark.full]
SLICE = "/errors/cases?group=murk&name=clarity+below+0.4"
PAGES = {
    "datasets": "/datasets",
    "dataset": "/datasets/weekly/1",
    "compare": "/datasets/weekly/2/compare?with=weekly/1",
    "errors": "/errors",
    "slice": SLICE,
    "consistency": "/consistency",
}
LONG = "TANK-IN-THE-SECOND-HALL-BEHIND-THE-COMPRESSORS-NORTH-SIDE"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    site = Site(tmp_path)
    _fill(site)
    with serving(server_of(site.app)) as address:
        yield address


def test_the_pages_are_readable_for_everybody_at_both_sizes_by_day_and_night(address: str) -> None:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for width, height in ((1280, 720), (820, 1180)):
            for scheme in ("light", "dark"):
                page = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme).new_page()
                _sign_in(page, address)
                for name, path in PAGES.items():
                    page.goto(address + path)
                    _keep(page, f"{name}-{width}-{scheme}")
                    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (name, width)
                    assert barriers(page) == [], (name, width, scheme)
        browser.close()


def test_a_slice_is_chosen_with_one_key_tagged_and_asked_for(address: str) -> None:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        _sign_in(page, address)
        page.goto(address + SLICE)
        page.focus("#all")
        page.keyboard.press("Space")
        assert page.locator("input[name=case]:checked").count() == page.locator("input[name=case]").count() > 3
        page.fill("#tag", "murky")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_selector("[role=status]")
        assert "are tagged murky" in page.inner_text("[role=status]")
        assert page.input_value("#clarity_below") == "0.4"
        page.click("text=Ask for them")
        page.wait_for_selector("[role=status]")
        assert "clarity below 0.4" in page.inner_text("main")
        browser.close()


def _fill(site: Site) -> None:
    from datetime import UTC, datetime

    from edge_agent.records import WaterSummary

    erna, emil, quinn = site.browser("erna"), site.browser("emil"), site.browser("quinn")
    for number in range(1, 31):
        missed, murky = number % 5 == 0, number <= 14
        site.case(
            number,
            verdict="ok",
            decision="leak" if missed and number > 6 else "ok",
            water=WaterSummary("murky" if murky else "clear", 0.3 if murky else 0.93),
            started_at=datetime.fromtimestamp(db.now() - 3600 * number, UTC).isoformat(),
        )
        erna.judge(
            f"TANK1-a1b2c3-{number:06d}", "leak" if missed or number in (2, 4) else "ok", seen="fine" if missed else ""
        )
        if number == 20:
            quinn.send("/datasets", {"name": "weekly"})
    emil.judge("TANK1-a1b2c3-000003", "leak", seen="single")
    emil.judge("TANK1-a1b2c3-000008", "leak", seen="single")
    quinn.send("/datasets", {"name": "weekly"})
    with site.engine.begin() as connection:
        ids = list(connection.scalars(sa.select(truths.c.case_id).limit(6)))
        tagging.add(connection, ids, "foam on the surface", who="quinn", now=db.now())
        standards.write(
            connection, "trapped air", "What stops within 5 s is trapped air:\nok.", who="quinn", now=db.now()
        )
        places = [("plant", "TANK1"), ("plant", LONG)]
        rows = [{"site": site_, "station": station, "seen_at": 1.0} for site_, station in places]
        connection.execute(sa.delete(stations))
        connection.execute(sa.insert(stations), rows)
        wish = SamplingWish(id="x", probability=0.5, until=desire.until(db.now(), 9), reason="light", light_below=60.0)
        desire.order(connection, places, wish, who="quinn", now=db.now())


def _sign_in(page, address: str) -> None:
    page.goto(f"{address}/login")
    page.fill("#name", "quinn")
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/login" not in url)


def _keep(page, name: str) -> None:
    """A picture to look at, where somebody asks for one."""
    if folder := os.environ.get("TANKWATCH_SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)
