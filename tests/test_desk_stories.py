"""Stories of the desk in a real browser, against `cloud web` as a process of its own, on each kind of cloud."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from browser import ARGUMENTS, CHROMIUM, PATIENCE_S, becomes, free_port, ready
from cloud_fakes import a_case, a_clip, case_message, clip_messages
from cloud_kinds import opened
from desk_site import PASSWORD, a_desk

from cloud_sync import accounts, db, judgement
from cloud_sync import config as cloud_config
from cloud_sync.config import CloudConfig, WebConfig
from cloud_sync.intake import Intake
from cloud_sync.tables import cases
from edge_agent.records import Sampled

ROOT = Path(__file__).resolve().parent.parent
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
PEOPLE = (("erna", "expert"), ("emil", "expert"), ("edda", "expert"), ("quinn", "quality"))
CASES = 20
POLICY = """
version = 1
gold_share = 0.0
audit_share = 0.2
second_share = 0.0
judgements_for_training = 25
"""
AUDIT = {"verdict": "ok", "decision": "ok", "sampled": Sampled("audit", 0.02)}


class Desk:
    """A cloud with people and its pages on a port."""

    def __init__(self, folder: Path, new_cloud) -> None:
        self.folder = folder
        (folder / "policy.toml").write_text(POLICY)
        web = WebConfig(port=free_port())
        config: CloudConfig = new_cloud(folder / "cloud", web=web, policy=str(folder / "policy.toml"))
        self.config = config
        (folder / "cloud.toml").write_bytes(cloud_config.dump(config))
        self.engine, store = opened(config)
        self._intake = Intake(self.engine, store, max_clip_bytes=10_000_000)
        for name, role in PEOPLE:
            accounts.add_user(self.engine, name, PASSWORD, role, now=db.now())
        self.address = f"http://127.0.0.1:{web.port}"
        command = [sys.executable, str(ROOT / "tankwatch.py"), "cloud", "web", "--config", str(folder / "cloud.toml")]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        assert "review page" in line, line

    def case(self, sequence: int, **about) -> str:
        path, case_id = self.folder / f"{sequence}.twclip", a_case(sequence).case_id
        case = a_case(sequence, clip=a_clip(path, frames=20, case_id=case_id), **about)
        self._intake.handle([case_message(case), *clip_messages(path, case_id)], db.now())
        return case_id

    def case_ids(self) -> list[str]:
        with self.engine.connect() as connection:
            return sorted(connection.scalars(sa.select(cases.c.case_id)))

    def reviews(self, case_id: str) -> list[judgement.Kept]:
        with self.engine.connect() as connection:
            return judgement.reviews_of(connection, case_id)

    def truth(self, case_id: str) -> tuple | None:
        with self.engine.connect() as connection:
            row = judgement.truth_of(connection, case_id)
        return None if row is None else (row.judgement, row.state)

    def close(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=PATIENCE_S)
        self.engine.dispose()


@pytest.fixture(scope="module")
def chromium() -> Iterator:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS.split())
        yield browser
        browser.close()


@pytest.fixture
def desk(tmp_path: Path, new_cloud) -> Iterator[Desk]:
    desk = Desk(tmp_path, new_cloud)
    yield desk
    desk.close()


@pytest.fixture
def sign_in(chromium, desk: Desk) -> Iterator:
    """A name -> a page on which nothing may go wrong."""
    faults: list[str] = []
    contexts = []

    # The browser itself reports refusals that the page expects.
    def told(message) -> None:
        if message.type == "error" and not any(code in message.text for code in ("400", "401")):
            faults.append(message.text)

    def signed_in(name: str, path: str = "/review"):
        contexts.append(chromium.new_context(viewport={"width": 1280, "height": 720}, accept_downloads=True))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", told)
        page.goto(f"{desk.address}{path}")
        page.wait_for_selector("#name:focus")
        page.keyboard.type(name)
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{desk.address}{path}")
        return page

    yield signed_in
    assert faults == []
    for context in contexts:
        context.close()


def test_an_expert_works_through_twenty_cases_with_the_keyboard_alone(desk: Desk, sign_in) -> None:
    kinds = ({}, {"verdict": "uncertain"}, {"verdict": "ok", "decision": "leak"}, AUDIT)
    case_ids = {desk.case(sequence, **kinds[sequence % 4]) for sequence in range(1, CASES + 1)}
    page = sign_in("erna")
    assert page.inner_text("#count-ready") == str(CASES)
    page.keyboard.press("Enter")
    ready(page, "#judge")
    seen, waits_ms = [], []
    for number in range(CASES):
        case_id = page.get_attribute("#judge", "data-case")
        seen.append(case_id)
        assert becomes(page, "video.readyState >= 2 && document.getElementById('judge').dataset.case !== ''")
        page.wait_for_timeout(150)  # an expert looks before judging
        page.evaluate(
            "() => { window.shownAt = null; document.addEventListener('desk:next', () => "
            "{ window.shownAt = performance.now() - window.pressedAt; }, { once: true }); }"
        )
        for key in ("l", "1", "f") if number % 2 else ("o", "2", "u"):
            page.keyboard.press(key)
        page.evaluate("() => { window.pressedAt = performance.now(); }")
        page.keyboard.press("Enter")
        if number < CASES - 1:
            assert becomes(page, f"document.getElementById('judge')?.dataset.case !== '{case_id}'")
            waits_ms.append(page.evaluate("() => window.shownAt"))
    page.wait_for_url(f"{desk.address}/review?judged=*")
    assert set(seen) == case_ids
    assert len(seen) == CASES, "each case once"
    assert "5 more judgements until the next training" in page.inner_text("#goal")
    assert {desk.truth(case_id)[1] for case_id in case_ids} == {"single"}
    assert all(len(desk.reviews(case_id)) == 1 for case_id in case_ids)
    known = sorted(wait for wait in waits_ms if wait is not None)
    print(f"decision to next picture, ms: median {known[len(known) // 2]:.0f}, most {known[-1]:.0f} of {len(known)}")
    assert known[len(known) // 2] < 1000, "the next case was ready"


def test_two_experts_disagree_and_a_third_settles_it(desk: Desk, sign_in) -> None:
    case_id = desk.case(1, **AUDIT)
    for name, key, state in (("erna", "l", "single"), ("emil", "o", "conflict"), ("edda", "o", "adjudicated")):
        page = sign_in(name)
        page.keyboard.press("Enter")
        ready(page, "#judge")
        assert page.get_attribute("#judge", "data-case") == case_id
        text = page.inner_text("body")
        assert not any(other in text for other, _ in PEOPLE if other != name), "blind to the others"
        for press in (key, "1", "f", "Enter"):
            page.keyboard.press(press)
        page.wait_for_url(f"{desk.address}/review?judged=*")
        assert desk.truth(case_id)[1] == state
    page.keyboard.press("r")
    ready(page, "#revealed")
    shown = page.inner_text("#revealed")
    assert all(word in shown for word in ("erna", "emil", "you settled it", "random audit"))
    assert desk.truth(case_id) == ("ok", "adjudicated")


@pytest.mark.full
def test_a_slip_is_taken_back_and_a_change_of_mind_is_a_second_line(desk: Desk, sign_in) -> None:
    case_id = desk.case(1)
    page = sign_in("erna")
    page.keyboard.press("Enter")
    ready(page, "#judge")
    for press in ("l", "f", "Enter"):
        page.keyboard.press(press)
    page.wait_for_url(f"{desk.address}/review?judged=*")
    page.keyboard.press("z")
    page.wait_for_url(f"{desk.address}/review/{case_id}")
    ready(page, "#judge")
    for press in ("o", "2", "u", "Enter"):
        page.keyboard.press(press)
    page.wait_for_url(f"{desk.address}/review?judged=*")
    page.keyboard.press("r")
    ready(page, "#revealed")
    page.click("text=I have changed my mind")
    ready(page, "#judge")
    for press in ("l", "f", "Enter"):
        page.keyboard.press(press)
    page.wait_for_url(f"{desk.address}/review?judged=*")
    said = [(one.judgement, one.withdrawn, one.blind) for one in desk.reviews(case_id)]
    assert said == [("leak", True, True), ("ok", False, True), ("leak", False, False)]


@pytest.mark.full
def test_which_units_passed_is_answered_in_one_form_with_a_link_that_stays(desk: Desk, sign_in) -> None:
    for sequence in range(1, 7):
        desk.case(sequence, decision="leak" if sequence == 3 else "ok")
    page = sign_in("quinn", "/cases")
    page.fill("#station", "TANK1")
    page.fill("#from", "2026-11-20T14:00")
    page.fill("#until", "2026-11-20T15:00")
    page.select_option("#result", "passed")
    page.fill("#bundle", "3")
    page.fill("#clarity_below", "0.95")
    page.keyboard.press("Enter")
    page.wait_for_url("**/cases?*station=TANK1*")
    assert "5 " in page.inner_text(".answer-head")
    page.click("text=Permanent link")
    page.wait_for_url("**known=*")
    kept = page.url
    page.wait_for_timeout(1100)  # the link knows the time to a second
    desk.case(7)
    page.goto(kept)
    assert "5 " in page.inner_text(".answer-head"), "what came later is not in the answer"
    with page.expect_download() as download:
        page.click("text=CSV")
    rows = Path(download.value.path()).read_text().strip().splitlines()
    assert len(rows) == 6


@pytest.mark.full
def test_an_attribute_study_from_its_plan_to_the_printed_report(desk: Desk, sign_in) -> None:
    for sequence in range(1, 17):
        word = "leak" if sequence % 2 else "ok"
        case_id = desk.case(sequence, verdict="uncertain" if sequence <= 8 else word, decision=word)
        for name in ("emil", "edda"):
            review = judgement.Review(judgement=word, familiar=True)
            judgement.record(desk.engine, a_desk(), case_id, review, name, db.now())
    quality = sign_in("quinn", "/studies")
    quality.fill("#name", "Spring")
    quality.fill("#parts", "10")
    quality.fill("#trials", "2")
    quality.check("label:has-text('erna') input")
    quality.click("text=Make the study")
    quality.wait_for_url("**/studies/1")
    expert = sign_in("erna", "/studies/1/look")
    for look in range(1, 21):
        ready(expert, f"text=Look {look} of 20")
        for press in ("l" if look % 3 else "o", "Enter"):
            expert.keyboard.press(press)
    expert.wait_for_selector("#done")
    quality.reload()
    shown = quality.inner_text("main")
    assert all(word in shown for word in ("erna", "machine", "%"))
    printed = quality.context.request.get(desk.address + quality.get_attribute("a[href$='report.pdf']", "href"))
    assert printed.body().startswith(b"%PDF-")


@pytest.mark.full
def test_a_session_that_ends_in_mid_judgement_loses_nothing(desk: Desk, sign_in) -> None:
    case_id = desk.case(1)
    page = sign_in("erna")
    page.keyboard.press("Enter")
    ready(page, "#judge")
    for press in ("l", "f", "t", *"seen twice", "Escape"):
        page.keyboard.press("Space" if press == " " else press)
    page.context.clear_cookies()
    page.keyboard.press("Enter")
    assert becomes(page, "document.getElementById('fault').innerText.includes('Nothing is lost')")
    assert page.input_value("#note") == "seen twice"
    with page.context.expect_page() as opened_page:
        page.click("#fault a")
    second = opened_page.value
    second.fill("#name", "erna")
    second.fill("#password", PASSWORD)
    second.keyboard.press("Enter")
    second.wait_for_url(f"{desk.address}/signed-in")
    page.bring_to_front()
    page.keyboard.press("Enter")
    deadline = time.monotonic() + PATIENCE_S
    while not desk.reviews(case_id) and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    (kept,) = desk.reviews(case_id)
    assert (kept.judgement, kept.note) == ("leak", "seen twice")


def test_chromium_is_the_one_on_the_path() -> None:
    assert CHROMIUM in (shutil.which("chromium"), shutil.which("chromium-browser"), shutil.which("google-chrome"))
