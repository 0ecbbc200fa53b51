"""The whole system by one command: nothing lost, nothing twice, judged in a browser, and the loop closed."""

import itertools
import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from browser import ARGUMENTS, CHROMIUM
from in_full import in_full
from retrain_site import quick_champion
from running_demo import Expert, RunningDemo, review_page, running_demo, tankwatch, until

from benchmarks import plant
from calibration.scene import draw_station
from calibration.twin import draw_scenes
from cloud_sync import cases as cloud_cases
from cloud_sync import config as cloud_config
from cloud_sync import db, review_queue
from cloud_sync.tables import cases
from edge_agent import config as device_config
from edge_agent import slots
from edge_agent.bundle import open_bundle

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
SEED = 7
FIRST_VIDEO_S = 60.0 * (3 if "PYTEST_XDIST_WORKER" in os.environ else 1)
"""On a machine of its own a minute; beside other tests the live station has to share two cores with them."""


class Ended:
    """A headless demo that has ended, and what it left in its folder."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        with running_demo("--headless", "--seed", str(SEED), "--json", "--dir", str(folder), *arguments) as demo:
            self.facts, self.summary = demo.facts(), demo.summary()
            self.said = demo.said
        self.folder = folder
        _for_training_alone(folder)
        self.address = f"http://127.0.0.1:{self.facts['port']}"
        self.engine = db.open_database(cloud_config.load(folder / "cloud.toml"))

    def rows(self) -> list[sa.Row]:
        """Its cases in the order of the immersions."""
        with self.engine.connect() as connection:
            return list(connection.execute(sa.select(cases).order_by(cases.c.sequence)))

    def waiting(self) -> list[review_queue.Waiting]:
        with self.engine.connect() as connection:
            return review_queue.waiting(connection, "quality", db.now(), 24)

    def expert(self) -> Expert:
        return Expert(self.address, "quality", self.facts["quality"])


@pytest.fixture(scope="module")
def ended(tmp_path_factory) -> Ended:
    return Ended(tmp_path_factory.mktemp("short") / "demo", "--cases", "4", "--audit", "1")


def truths(count: int) -> list[bool]:
    """Whether each unit leaks."""
    scenes = draw_scenes(SEED, draw_station(SEED, "demo"), "demo", None)
    return [scene.leaky for scene in itertools.islice(scenes, count)]


def errors(seed: int, count: int) -> list[bool]:
    """Whether the inspector errs at each immersion."""
    scenes = draw_scenes(seed, draw_station(seed, "demo"), "demo", count)
    return [scene.leaky != (scene.decision == "leak") for scene in scenes]


@pytest.mark.parametrize("seed", [1, 2, 3, 11, SEED, plant.SEED])
def test_the_inspector_errs_in_one_case_of_four_and_first_within_three(seed):
    erred = errors(seed, 40)
    assert any(erred[:3])
    assert [sum(erred[at : at + 4]) for at in range(0, 40, 4)] == [1] * 10


def test_nothing_is_lost_and_what_must_be_reviewed_can_be_watched(ended):
    _holds(ended, count=4)
    assert ended.summary["queued"] == 4, "every agreement is audited here"


@pytest.mark.full
def test_twelve_cases_are_neither_lost_nor_doubled_and_the_rules_send_them_to_review(tmp_path):
    run = Ended(tmp_path / "demo", "--cases", "12")
    _holds(run, count=12)
    unlike = sum(count for outcome, count in run.summary["outcomes"].items() if outcome != "agree")
    assert run.summary["queued"] >= unlike
    erred = errors(SEED, 12)
    queued = {case.case_id for case in run.waiting()}
    for row, wrong in zip(run.rows(), erred, strict=True):
        assert row.case_id in queued or not wrong, "where the inspector erred, an expert looks"


def _holds(run: Ended, count: int) -> None:
    summary, rows = run.summary, run.rows()
    assert (summary["cases"], summary["lost"], summary["duplicated"]) == (count, 0, 0)
    assert sum(summary["verdicts"].values()) == sum(summary["outcomes"].values()) == count
    assert [row.sequence for row in rows] == list(range(rows[0].sequence, rows[0].sequence + count))
    wanted = {row.case_id for row in rows if row.sampled_for != "none"}
    assert {case.case_id for case in run.waiting() if case.clip == "ready"} == wanted
    assert summary["queued"] == len(wanted)
    held = cloud_cases.summary(run.engine)
    assert (held["missing"], held["dead_letters"], held["without_clip"]) == (0, 0, 0)
    assert "Traceback" not in run.said


@pytest.fixture(scope="module")
def chromium():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS.split())
        yield browser
        browser.close()


@needs_chromium
def test_the_first_queued_case_plays_is_judged_by_keys_and_lies_in_the_dataset(ended, chromium, tmp_path):
    with review_page(ended.folder):
        page = _signed_in(chromium, ended.address, ended.facts["quality"])
        page.keyboard.press("Enter")
        page.wait_for_selector("#video")
        assert _plays(page), "the clip plays in Chromium"
        case_id = page.url.rsplit("/", 1)[1]
        page.wait_for_load_state("load")
        for key in ("o", "1", "f", "Enter"):
            page.keyboard.press(key)
        page.wait_for_selector("#after:not([hidden])")
        page.click("#reveal button")
        page.wait_for_selector("#revealed")
        assert page.inner_text("#your-word") == "OK"
        for picture in ("composite", "heat"):
            page.wait_for_function(f"() => document.getElementById('{picture}').naturalWidth > 100")
        page.context.close()
    manifest = _dataset(ended.folder, tmp_path / "data")
    (line,) = [json.loads(line) for line in manifest.read_text().splitlines() if case_id in line]
    assert line["label"] == "ok" and (manifest.parent / line["video"]).is_file()


@pytest.mark.full
def test_judged_cases_make_a_bundle_that_runs_as_challenger_and_takes_over(ended, tmp_path):
    parent = quick_champion(tmp_path / "parent.bundle")
    _close_the_loop(ended, tmp_path, judged=4, inspected=1, parent=parent)


@pytest.mark.full
def test_twenty_judged_cases_make_a_bundle_that_runs_as_challenger_and_takes_over(tmp_path):
    _close_the_loop(Ended(tmp_path / "demo", "--cases", "20", "--audit", "1"), tmp_path, judged=20, inspected=6)


def _close_the_loop(run: Ended, tmp_path: Path, *, judged: int, inspected: int, parent: Path | None = None) -> None:
    """`parent`: one that is quicker to train from than the champion."""
    rows = run.rows()
    with review_page(run.folder):
        expert = run.expert()
        for row, leaky in zip(rows, truths(judged), strict=True):
            assert 'id="revealed"' in expert.judge(row.case_id, leak=leaky)
    manifest = _dataset(run.folder, tmp_path / "data")
    assert len(manifest.read_text().splitlines()) == judged
    new = tmp_path / "new.bundle"
    device = device_config.load(run.folder / "device.toml")
    champion = open_bundle(slots.champion(device))
    begun = ("--parent", str(parent)) if parent else ()
    tankwatch("train", "--dataset", str(manifest), "--out", str(new), "--jobs", "1", *begun)
    challenger = open_bundle(new)
    assert challenger.manifest.lineage.parent_sha256 == (open_bundle(parent).sha256 if parent else champion.sha256)
    words = tankwatch(
        *("inspect", f"twin:seed=8,profile=demo,cases={inspected}", "--json", "--challenger", str(new)),
    )
    for line in map(json.loads, words.splitlines()):
        assert line["challenger"]["bundle"]["sha256"] == challenger.sha256 != line["bundle"]["sha256"]
    assert len(words.splitlines()) == inspected
    tankwatch("bundle", "use", str(new), "--config", str(run.folder / "device.toml"))
    assert open_bundle(slots.champion(device)).sha256 == challenger.sha256
    tankwatch("bundle", "back", "--config", str(run.folder / "device.toml"))
    assert open_bundle(slots.champion(device)).sha256 == champion.sha256


def _for_training_alone(folder: Path) -> None:
    """So few cases are all needed: none is held out."""
    (folder / "policy.toml").write_text("version = 1\n[pool]\ntraining_share = 1.0\nheld_out_share = 0.0\n")
    config = folder / "cloud.toml"
    if "policy =" not in config.read_text():
        config.write_text('policy = "policy.toml"\n' + config.read_text())


def _dataset(folder: Path, out: Path) -> Path:
    command = ("cloud", "dataset", "--config", str(folder / "cloud.toml"), "--name", "judged", "--out", str(out))
    return Path(json.loads(tankwatch(*command, "--json"))["manifest"])


@pytest.mark.full
@needs_chromium
def test_a_disagreement_plays_on_the_page_within_a_minute_of_the_command(chromium, tmp_path):
    with running_demo("--dir", str(tmp_path / "demo")) as demo:
        facts = demo.facts()
        page = _signed_in(chromium, f"http://127.0.0.1:{facts['port']}", facts["expert"], name="expert")
        engine = db.open_database(cloud_config.load(tmp_path / "demo" / "cloud.toml"))
        assert until(lambda: _disagreement(engine))
        page.goto(f"http://127.0.0.1:{facts['port']}/review/{_disagreement(engine)}")
        page.wait_for_selector("#video")
        assert _plays(page)
        assert time.monotonic() - demo.began_s <= FIRST_VIDEO_S, demo.said
        page.context.close()


def _disagreement(engine: sa.Engine) -> str | None:
    with engine.connect() as connection:
        listed = review_queue.waiting(connection, "quality", db.now(), 24)
        found = [one.case_id for one in listed if one.clip == "ready"]
        unlike = sa.select(cases.c.case_id).where(cases.c.outcome.in_(("machine_leak", "human_leak")))
        return next((one for one in connection.scalars(unlike) if one in found), None)


def _signed_in(chromium, address: str, password: str, name: str = "quality"):
    page = chromium.new_context(viewport={"width": 1280, "height": 720}).new_page()
    page.goto(f"{address}/review")
    page.fill("#name", name)
    page.fill("#password", password)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{address}/review")
    page.wait_for_load_state("load")
    return page


def _plays(page) -> bool:
    """Its time advances by itself."""
    moving = (
        "() => { const video = document.getElementById('video'); return !video.paused && video.currentTime > 0.2; }"
    )
    return until(lambda: page.wait_for_timeout(20) or page.evaluate(moving), 20)


@pytest.mark.parametrize("ending", [signal.SIGINT, in_full(signal.SIGTERM)])
def test_ctrl_c_ends_it_cleanly(tmp_path, ending):
    with running_demo("--broker", "auto" if ending == signal.SIGINT else "amqtt", scratch=tmp_path) as demo:
        demo.facts()
        assert len(_processes(tmp_path)) >= 4
        demo.process.send_signal(ending)
        assert demo.process.wait(30) == 0
        demo.close()
        assert "Traceback" not in demo.said and demo.said.endswith("stopping\n")
    assert _processes(tmp_path) == []
    assert list(tmp_path.iterdir()) == [], "the temporary folder is gone"


def test_nobody_is_left_behind_where_the_demo_is_killed(tmp_path):
    with running_demo(scratch=tmp_path) as demo:
        demo.facts()
        assert until(lambda: len(_processes(tmp_path)) >= 5)
        demo.process.kill()
        assert until(lambda: not _processes(tmp_path), 20)


def _processes(folder: Path) -> list[str]:
    """Command lines that name `folder`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in words and int(path.parent.name) != os.getpid():
            found.append(words)
    return found


@pytest.mark.parametrize("option", ["--port", in_full("--mqtt-port")])
def test_a_port_in_use_is_one_line(option, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        _refused(RunningDemo(option, str(server.getsockname()[1]), scratch=tmp_path), "Address already in use")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--bundle", "absent.bundle"), "cannot be read"),
        in_full(("--challenger", __file__), "no whole zip file"),
        in_full(("--fault", "nothing@1", "--headless"), "'nothing' is not known"),
    ],
)
def test_what_cannot_be_shown_is_one_line(arguments, words, tmp_path):
    _refused(RunningDemo(*arguments, scratch=tmp_path), words)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    _refused(RunningDemo("--dir", str(tmp_path)), "is not empty")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def _refused(demo: RunningDemo, words: str) -> None:
    assert demo.process.wait(60) == 1
    demo.close()
    *before, line = demo.said.splitlines()
    assert words in line and line.startswith("tankwatch demo: ")
    assert "Traceback" not in demo.said and not [one for one in before if one.startswith("tankwatch demo")]
