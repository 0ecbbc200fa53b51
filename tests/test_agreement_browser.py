"""In a real browser: an appraiser works by keyboard alone, and no page of agreement, value or studies breaks WCAG."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from agreement_site import PASSWORD, Filled
from browser import ARGUMENTS, CHROMIUM, barriers, free_port
from in_full import in_full
from test_agreement_pages import COSTS

from cloud_sync import config as cloud_config
from cloud_sync import db, study_records
from cloud_sync.study import Plan
from cloud_sync.tables import study_trials

ROOT = Path(__file__).resolve().parent.parent
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
PAGES = (
    "/agreement",
    "/agreement?bundle=99",
    f"/value?{COSTS}",
    "/studies",
    "/studies/1",
    "/studies/1/look",
    "/studies/2",
)


class Served(Filled):
    """The filled cloud with `cloud web` as a process of its own, a study under way and a finished one."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        super().__init__(folder, inspectors=True, port=port)
        self.weeks()
        self.clips(12, frames=12)
        for name in ("Spring", "Autumn"):
            plan = Plan(name=name, appraisers=("erna", "quinn"), parts=10, trials=2, borderline=0.5)
            study_records.make(self.engine, plan, "quinn", db.now())
        self._finish(2)
        (folder / "cloud.toml").write_bytes(cloud_config.dump(self.config))
        self.address = f"http://127.0.0.1:{port}"
        command = [sys.executable, str(ROOT / "tankwatch.py"), "cloud", "web", "--config", str(folder / "cloud.toml")]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        assert self.process.stderr is not None
        assert "review page" in self.process.stderr.readline()

    def judged(self, study: int) -> list[str]:
        query = sa.select(study_trials.c.judgement).where(
            study_trials.c.study_id == study, study_trials.c.judgement.isnot(None)
        )
        with self.engine.connect() as connection:
            return list(connection.scalars(query.order_by(study_trials.c.appraiser, study_trials.c.place)))

    def close(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=20)

    def _finish(self, study: int) -> None:
        with self.engine.begin() as connection:
            connection.execute(
                sa.update(study_trials).where(study_trials.c.study_id == study).values(judgement="leak", judged_at=1.0)
            )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("cloud"))
    yield served
    served.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which(str(CHROMIUM)), args=ARGUMENTS.split())
        yield browser
        browser.close()


def signed_in(chromium, served: Served, name: str, **about):
    page = chromium.new_context(**about).new_page()
    page.goto(f"{served.address}/login")
    page.fill("#name", name)
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/review")
    return page


def test_an_appraiser_works_by_keyboard_alone(chromium, served: Served) -> None:
    page = signed_in(chromium, served, "erna", viewport={"width": 1280, "height": 720})
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{served.address}/studies/1/look")
    for number, key in enumerate("loc", 1):
        page.wait_for_selector(f"#place:has-text('Look {number} of 20')")
        page.wait_for_load_state("domcontentloaded")  # the page listens to keys
        page.keyboard.press("Enter")
        page.wait_for_selector("#fault:has-text('Choose leak (L)')")
        page.keyboard.press(key)
        page.keyboard.press("Enter")
    page.wait_for_selector("#place:has-text('Look 4 of 20')")
    assert served.judged(1) == ["leak", "ok", "cannot_tell"]
    assert "TANK1-a1b2c3" not in page.inner_text("main"), "which case it is, is not shown"
    assert faults == []


@pytest.mark.parametrize(
    ("width", "height", "scheme"),
    [in_full(1280, 720, "light"), (820, 1180, "dark")],
    ids=["desk", "tablet-dark"],
)
def test_no_page_breaks_wcag_or_is_wider_than_the_screen(chromium, served: Served, width, height, scheme) -> None:
    about = {"viewport": {"width": width, "height": height}, "color_scheme": scheme, "bypass_csp": True}
    page = signed_in(chromium, served, "quinn", **about)
    for address in PAGES:
        page.goto(served.address + address)
        assert barriers(page) == [], address
        assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth"), address
