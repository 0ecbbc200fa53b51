"""In a real browser: the video plays at once, the keys judge, and the example lies in the dataset."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import ARGUMENTS, CHROMIUM, becomes, ready
from cloud_fakes import a_case, a_clip, case_message, clip_messages
from serving import serving

from cloud_sync import accounts, dataset, db, judgement, policy_file
from cloud_sync.config import CloudConfig, WebConfig
from cloud_sync.folder_store import FolderStore
from cloud_sync.intake import Intake
from cloud_sync.web import make_server

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "correct horse battery"


class Site:
    """A cloud with two judgeable cases."""

    def __init__(self, folder: Path) -> None:
        config = CloudConfig(data_dir=str(folder / "cloud"), web=WebConfig(port=0))
        self.config = config
        self.engine = db.open_database(config)
        store = FolderStore(config.folder)
        intake = Intake(self.engine, store, max_clip_bytes=10_000_000)
        for sequence, verdict, decision in ((1, "leak", "ok"), (2, "ok", "leak")):
            path, case_id = folder / f"{sequence}.twclip", a_case(sequence).case_id
            ref = a_clip(path, frames=30, case_id=case_id)
            case = a_case(sequence, verdict=verdict, decision=decision, clip=ref)
            intake.handle([case_message(case), *clip_messages(path, case_id)], db.now())
        accounts.add_user(self.engine, "erna", PASSWORD, "quality", now=db.now())
        self.address = ""

    def reviews(self, sequence: int) -> list[judgement.Kept]:
        with self.engine.connect() as connection:
            return judgement.reviews_of(connection, a_case(sequence).case_id)


@pytest.fixture(scope="module")
def chromium() -> Iterator:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS.split())
        yield browser
        browser.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    with serving(make_server(site.config)) as site.address:
        yield site


@pytest.fixture
def page(chromium, site: Site) -> Iterator:
    context = chromium.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.goto(f"{site.address}/review")
    page.fill("#name", "erna")
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    ready(page, "#start")
    yield page
    assert faults == []
    context.close()


def test_an_expert_judges_by_keyboard_alone_and_the_example_is_in_the_dataset(site: Site, page) -> None:
    page.keyboard.press("Enter")
    ready(page, "#video")
    assert _plays(page), "the video plays at once"
    assert page.locator("#verdict").count() == 0
    for key in ("o", "2", "f", "Enter"):
        page.keyboard.press(key)
    page.wait_for_url(f"**/review/{a_case(2).case_id}*")
    assert "Judged: OK" in page.inner_text("#after")
    page.keyboard.press("r")
    ready(page, "#revealed")
    assert [page.inner_text(f"#{name}") for name in ("your-word", "verdict", "decision")] == ["OK", "Leak", "OK"]
    assert page.evaluate("() => document.getElementById('heat').naturalWidth > 0 || 'heat'") in (True, "heat")
    (review,) = site.reviews(1)
    assert (review.judgement, review.seen, review.familiar, review.split) == ("ok", "trapped", True, "train")
    page.keyboard.press("n")
    page.wait_for_url(f"**/review/{a_case(2).case_id}*")
    page.goto(f"{site.address}/datasets")
    assert page.inner_text("#count-train") == "1"
    released = dataset.release(site.engine, "weekly", db.now(), dataset.Rules(*policy_file.load(site.config)))
    assert a_case(1).case_id.encode() in (dataset.manifest_of(site.engine, "weekly", released.version) or b"")


def test_frames_are_stepped_and_speed_is_changed_by_keyboard(page) -> None:
    page.keyboard.press("Enter")
    ready(page, "#video")
    assert _plays(page)
    page.keyboard.press(" ")
    assert becomes(page, "video.paused")
    page.evaluate("() => { document.getElementById('video').currentTime = 0.5; }")
    before = page.evaluate("() => document.getElementById('video').currentTime")
    page.keyboard.press(".")
    assert becomes(page, f"Math.abs(video.currentTime - {before} - 0.066) < 0.05 && video.currentTime > {before}")
    page.keyboard.press(",")
    page.keyboard.press(",")
    assert becomes(page, f"video.currentTime < {before}")
    page.keyboard.press("[")
    assert becomes(page, "video.playbackRate === 0.5")
    page.keyboard.press("]")
    page.keyboard.press("]")
    assert becomes(page, "video.playbackRate === 2")


def test_what_is_missing_is_said_and_letters_in_the_note_judge_nothing(site: Site, page) -> None:
    page.keyboard.press("Enter")
    ready(page, "#video")
    page.keyboard.press("Enter")
    assert "Choose leak (L)" in page.inner_text("#fault")
    page.keyboard.press("l")
    page.keyboard.press("Enter")
    assert "familiar (F) or unfamiliar (U)" in page.inner_text("#fault")
    page.keyboard.press("t")
    page.keyboard.type("foul, o u c")
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/review/{a_case(2).case_id}*")
    (review,) = site.reviews(1)
    assert (review.judgement, review.familiar, review.note, review.split) == ("leak", False, "foul, o u c", "pool")


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (800, 1100)])
def test_nothing_is_cut_off_and_the_submit_button_is_on_the_screen(page, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.keyboard.press("Enter")
    ready(page, "#video")
    page.keyboard.press("o")
    page.wait_for_selector(".familiar:not([hidden])")
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate(
        "() => document.querySelector('#judge .primary').getBoundingClientRect().bottom <= window.innerHeight"
    )


def _plays(page) -> bool:
    return becomes(page, "video.readyState >= 2 && !video.paused && video.currentTime > 0.2")
