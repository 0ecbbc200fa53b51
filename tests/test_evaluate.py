"""Counting and bounds by hand, and two real recordings through the whole of it."""

import json

import cv2
import msgspec
import pytest
from scipy.stats import binom

from calibration import scenes_for_training
from edge_agent import station
from edge_agent.bundle import open_bundle
from edge_agent.errors import ConfigError
from edge_agent.inspection import shipped_bundle
from models import evaluate


class _Case(msgspec.Struct):
    verdict: str
    score: float | None


def judged(*rows) -> list[evaluate.Judged]:
    """(label, verdict, score) -> as judged."""
    return [
        evaluate.Judged(evaluate.Labelled(None, f"{number}", label, None, {"kind": label[:1]}), _Case(verdict, score))
        for number, (label, verdict, score) in enumerate(rows)
    ]


def test_rates_count_what_the_contract_says():
    found = evaluate.rates(
        judged(
            ("leak", "leak", 0.9),
            ("leak", "ok", 0.1),
            ("leak", "uncertain", 0.5),
            ("leak", "not_tested", None),
            ("ok", "ok", 0.05),
            ("ok", "leak", 0.95),
            ("not_testable", "not_tested", None),
            ("not_testable", "ok", 0.0),
        )
    )
    assert (found["cases"], found["coverage"], found["error"]) == (6, pytest.approx(4 / 6, abs=1e-5), 0.5)
    assert (found["miss_rate"], found["false_alarm_rate"]) == (0.5, 0.5)
    assert found["not_testable"] == {"cases": 2, "not_tested": 1}
    assert found["auc"] == pytest.approx(2.5 / 6, abs=0.1)


def test_nothing_is_said_where_there_is_nothing():
    found = evaluate.rates([])
    assert found["auc"] is None and found["error"] is None and found["bounds"]["error_upper"] is None


@pytest.mark.parametrize(("events", "trials"), [(0, 59), (0, 299), (1, 473), (5, 1049), (3, 20)])
def test_bounds_are_exact(events, trials):
    bound = evaluate.upper(events, trials, 0.95)
    assert binom.cdf(events, trials, bound) == pytest.approx(0.05, abs=1e-4)


def test_known_bounds_of_the_design():
    assert evaluate.upper(0, 59, 0.95) == pytest.approx(0.05, abs=1e-3)
    assert evaluate.upper(0, 2995, 0.95) == pytest.approx(0.001, abs=1e-5)
    assert evaluate.upper(4, 4, 0.95) == 1.0


def test_two_bounds_promised_together_are_wider():
    bounds = evaluate.rates(judged(*[("leak", "leak", 0.9)] * 50, *[("ok", "ok", 0.1)] * 50))["bounds"]
    assert bounds["joint"]["miss_rate_upper"] > bounds["miss_rate_upper"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no recordings"),
        ("{", "line 1"),
        ('{"video": "a.mkv"}', "label"),
        ('{"video": "a.mkv", "label": "maybe"}', "label"),
        ('{"video": "a.mkv", "label": "ok"}', "does not exist"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused(tmp_path, text, words):
    path = tmp_path / "manifest.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        evaluate.read_manifest(path)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    lines = []
    for seed in (1, 2):
        recording = scenes_for_training.recording(seed, "bubbles")
        frames = [frame.image for frame, _ in recording.frames()][:40]
        height, width = frames[0].shape[:2]
        writer = cv2.VideoWriter(str(folder / f"{seed}.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 20, (width, height))
        for image in frames:
            writer.write(image)
        writer.release()
        (folder / f"{seed}.toml").write_bytes(station.dump(recording.profile))
        label = "leak" if recording.leaky else "ok"
        lines.append({"video": f"{seed}.avi", "label": label, "station": f"{seed}.toml", "rate": 2.5, "spot": "weld"})
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder / "manifest.jsonl"


def test_recordings_give_a_line_each_and_a_summary(manifest, tmp_path, capsys):
    assert evaluate.evaluate([str(manifest), "--json", "--jobs", "1", "--out", str(tmp_path / "report")]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["schema"] for line in lines] == ["tankwatch/case/1"] * 2 + ["tankwatch/evaluation/1"]
    assert [line["video"] for line in lines[:2]] == ["1.avi", "2.avi"]
    assert lines[2]["bundle"]["sha256"] == open_bundle(shipped_bundle()).sha256
    assert json.loads((tmp_path / "report" / "summary.json").read_text()) == lines[2]


def test_two_processes_say_the_same_as_one(manifest):
    bundle = open_bundle(shipped_bundle())
    lines = evaluate.read_manifest(manifest)
    one, two = (list(evaluate.judge_all(lines, bundle, jobs)) for jobs in (1, 2))
    assert [(a.case.verdict, a.case.score) for a in one] == [(b.case.verdict, b.case.score) for b in two]


def test_the_report_is_words_for_a_person(manifest):
    bundle = open_bundle(shipped_bundle())
    found = evaluate.summary(judged(("leak", "leak", 0.9), ("ok", "ok", 0.1)), bundle)
    text = evaluate.words(found)
    assert "coverage" in text and "kind=l" in text
