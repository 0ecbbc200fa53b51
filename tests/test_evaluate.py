"""Counting by hand, what is reported apart, and two recordings through the whole of it, interrupted and not."""

import dataclasses
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import islice

import cv2
import msgspec
import numpy as np
import pytest

from calibration import scenes_for_training
from edge_agent import station
from edge_agent.bundle import open_bundle
from edge_agent.errors import ConfigError, StationError
from edge_agent.inspection import shipped_bundle
from edge_agent.recording import VideoFile
from edge_agent.records import Emission
from models import code_version, drawings, evaluate, evaluated, rates, report, report_words, worst
from models.judged import Bench, Judged, judge, judge_all, origin_error_mm
from models.labelled import Labelled, read_manifest

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


class _Case(msgspec.Struct):
    verdict: str
    score: float | None
    leak_at_px: tuple[int, int] | None = None
    reason: str = "seen"
    emission: Emission | None = None


def judged(*rows, **labelled) -> list[Judged]:
    """(label, verdict, score) -> as judged; the label `silent` is a silent leak."""
    return [
        Judged(
            Labelled(
                "", f"{number}", "leak" if label == "silent" else label, silent=label == "silent",
                slices={"kind": label[:1]}, quantities={"number": float(number)}, **labelled,
            ),
            _Case(verdict, score),
        )
        for number, (label, verdict, score) in enumerate(rows)
    ]  # fmt: skip


MIXED = (
    ("leak", "leak", 0.9),
    ("leak", "ok", 0.1),
    ("leak", "uncertain", 0.5),
    ("leak", "not_tested", None),
    ("ok", "ok", 0.05),
    ("ok", "leak", 0.95),
    ("not_testable", "not_tested", None),
    ("not_testable", "ok", 0.0),
)


def test_rates_count_what_the_contract_says():
    found = rates.rates(judged(*MIXED))
    assert (found["cases"], found["coverage"], found["error"]) == (6, pytest.approx(4 / 6, abs=1e-5), 0.5)
    assert (found["miss_rate"], found["false_alarm_rate"]) == (0.5, 0.5)
    assert found["not_testable"] == {"cases": 2, "not_tested": 1}
    assert found["auc"] == pytest.approx(3 / 6)


def test_nothing_is_said_where_there_is_nothing():
    found = rates.rates([])
    assert found["auc"] is None and found["error"] is None and found["bounds"]["error_upper"] is None


def test_two_bounds_promised_together_are_wider():
    bounds = rates.rates(judged(*[("leak", "leak", 0.9)] * 50, *[("ok", "ok", 0.1)] * 50))["bounds"]
    assert bounds["joint"]["miss_rate_upper"] > bounds["miss_rate_upper"]


def test_the_confusion_has_a_place_for_every_case():
    table = rates.confusion(judged(*MIXED, ("silent", "ok", 0.1)))
    assert table["leak"] == {"ok": 1, "leak": 1, "uncertain": 1, "not_tested": 1}
    assert table["silent"]["ok"] == table["not_testable"]["not_tested"] == table["not_testable"]["ok"] == 1
    assert sum(sum(row.values()) for row in table.values()) == 9


@pytest.fixture
def some_manifest(tmp_path):
    (tmp_path / "a.avi").touch()
    path = tmp_path / "some.jsonl"
    path.write_text('{"video": "a.avi", "label": "ok"}')
    return read_manifest(path)


@pytest.fixture(scope="module")
def bundle():
    return open_bundle(shipped_bundle())


def summed_up(rows, bundle, manifest, **labelled) -> dict:
    return rates.summary(judged(*rows, **labelled), bundle, manifest, NOW)


def test_silent_leaks_are_counted_in_the_whole_and_reported_apart(bundle, some_manifest):
    rows = [("leak", "leak", 0.9)] * 30 + [("ok", "ok", 0.1)] * 30 + [("silent", "ok", 0.1)] * 3
    found = summed_up(rows, bundle, some_manifest)
    assert (found["cases"], found["counts"]["missed"]) == (63, 3)
    assert (found["without_silent"]["cases"], found["without_silent"]["counts"]["missed"]) == (60, 0)
    assert found["silent"] == {"cases": 3, "verdicts": {"ok": 3, "leak": 0, "uncertain": 0, "not_tested": 0}}
    certificate = found["certificate"]
    assert (certificate["leaks"], certificate["missed"], certificate["silent"], certificate["cases"]) == (30, 0, 3, 60)
    assert certificate["program"] == code_version.of_judging()
    text = report_words.words(found)
    assert "silent leaks      3" in text and "both <= 0.20%: not shown" in text
    assert re.search(r"^  silent +3 +0 +0 +0$", text, re.M) and re.search(r"^  leak +0 +30 +0 +0$", text, re.M)
    assert "kind=l: 30 cases, coverage 100.0%, missed 0 of 30 (<= 9.50%), false alarms 0 of 0" in text


def test_leaks_smaller_than_the_station_has_to_find_are_left_out_of_figures_of_their_own(bundle, some_manifest):
    rows = judged(*[("leak", "leak", 0.9)] * 4, ("leak", "ok", 0.1), ("leak", "uncertain", 0.5), ("ok", "ok", 0.1))
    sizes = ["required"] * 4 + ["smaller"] * 2 + [None]
    told = [
        dataclasses.replace(
            one, labelled=dataclasses.replace(one.labelled, slices={"leak_required": size} if size else {})
        )
        for one, size in zip(rows, sizes, strict=True)
    ]
    found = rates.summary(told, bundle, some_manifest, NOW)
    required = found["required"]
    assert (found["counts"]["missed"], required["counts"]["missed"], required["counts"]["leaks_answered"]) == (1, 0, 4)
    assert (required["cases"], required["coverage"]) == (5, 1.0)
    assert required["smaller"] == {"cases": 2, "verdicts": {"ok": 1, "leak": 0, "uncertain": 1, "not_tested": 0}}
    said = "without 2 smaller ones (ok 1, leak 0, uncertain 1, not_tested 0) AUC 1.0"
    for text in (report_words.words(found), report_words.card(found, dated="2026"), report.page(told, found, [])):
        assert said in text and "missed 0 of 4 (" in text
    assert rates.summary(rows, bundle, some_manifest, NOW)["required"] is None


def test_a_promise_is_shown_by_2371_answers_of_each_class_with_one_error(bundle, some_manifest):
    rows = [("leak", "leak", 0.9)] * 2370 + [("leak", "ok", 0.1)] + [("ok", "ok", 0.1)] * 2371
    assert summed_up(rows, bundle, some_manifest)["promise"]["shown"]
    assert not summed_up(rows[1:], bundle, some_manifest)["promise"]["shown"]


def test_one_label_alone_has_no_area_and_the_words_say_so(bundle, some_manifest):
    found = summed_up([("ok", "ok", 0.1)] * 5, bundle, some_manifest)
    assert found["auc"] is found["certificate"] is found["calibration"] is None
    assert "undefined: scored cases of both labels" in report_words.words(found)
    assert "undefined" in report.page([], found, [])


def test_numbers_are_sliced_into_bins_of_as_many_and_words_as_they_are():
    found = rates.slices(judged(*[("leak", "leak", 0.9)] * 8, *[("ok", "ok", 0.1)] * 8))
    assert set(found["kind"]) == {"l", "o"}
    assert [one["cases"] for one in found["number"].values()] == [4, 4, 4, 4]
    assert list(found["number"]) == ["0-3", "4-7", "8-11", "12-15"]


def test_a_number_with_two_values_is_two_slices_and_one_with_one_none():
    rows = judged(("leak", "leak", 0.9), ("ok", "ok", 0.1))
    assert set(rates.slices(rows)["number"]) == {"0", "1"}
    assert "number" not in rates.slices(rows[:1])


def test_a_number_that_most_cases_share_has_a_slice_of_its_own_and_the_others_have_theirs():
    light = [1.0] * 14 + [0.2, 0.3, 0.4, 0.5, 0.6, 1.5]
    rows = [Judged(Labelled("", "", "ok", quantities={"light": value}), _Case("ok", 0.1)) for value in light]
    found = rates.slices(rows)["light"]
    # Each is named by what is in it, and they stand in order.
    assert [(name, one["cases"]) for name, one in found.items()] == [
        ("0.2-0.3", 2),
        ("0.4-0.5", 2),
        ("0.6-1.5", 2),
        ("1", 14),
    ]


def test_numbers_that_are_nearly_the_same_keep_their_slices():
    values = [0.10001] * 50 + [0.10002] * 50 + [0.5, 0.6, 0.7, 0.8]
    rows = [Judged(Labelled("", "", "ok", quantities={"light": value}), _Case("ok", 0.1)) for value in values]
    found = rates.slices(rows)["light"]
    assert sum(one["cases"] for one in found.values()) == 104
    assert list(found)[:2] == ["0.10001", "0.10002"]


def test_a_leak_without_a_place_is_not_near():
    cases = judged(("leak", "leak", 0.9), ("leak", "leak", 0.9), ("leak", "leak", 0.9), leak_origins_px=((5.0, 5.0),))
    placed = [
        Judged(one.labelled, msgspec.structs.replace(one.case, leak_at_px=(5, 5)), away_mm)
        for one, away_mm in zip(cases[:2], (4.0, 14.0), strict=True)
    ]
    found = rates.places([*placed, cases[2]])
    assert (found["cases"], found["near"], found["median_mm"]) == (3, pytest.approx(1 / 3, abs=1e-6), 9.0)


def test_each_slice_tells_how_many_of_its_leaks_were_placed_right(bundle, some_manifest):
    cases = judged(*[("leak", "leak", 0.9)] * 10, *[("ok", "ok", 0.1)] * 10, leak_origins_px=((5.0, 5.0),))
    placed = [
        Judged(one.labelled, msgspec.structs.replace(one.case, leak_at_px=(5, 5)), 14.0 if number < 3 else 4.0)
        for number, one in enumerate(cases)
    ]
    found = rates.summary(placed, bundle, some_manifest, NOW)
    assert found["slices"]["kind"]["l"]["leak_places"]["near"] == pytest.approx(0.7)
    assert "kind=l: 10 cases, coverage 100.0%" in (words := report_words.words(found))
    assert re.search(r"kind=l: .*, 70\.0% of 10 placed right$", words, re.M)
    assert re.search(r"kind=o: .*false alarms 0 of 10 \([^)]*\)$", words, re.M)
    assert "<td>70.0% of 10</td>" in report.page([], found, [])


def test_told_leaks_are_compared_with_the_true_ones():
    def case(low, said, high, **quantities):
        told = Emission(9, 1.0, 2.0, 200.0, leak_std_cm3_s=said, leak_std_cm3_s_low=low, leak_std_cm3_s_high=high)
        return Judged(Labelled("", "", "leak", quantities=quantities), _Case("leak", 0.9, emission=told))

    near, far = case(0.5, 1.0, 2.0, leak_std_cm3_s=2.0), case(0.5, 1.0, 2.0, leak_std_cm3_s=4.0, leaks=1)
    untold = Judged(near.labelled, _Case("leak", 0.9))
    found = rates.sizes([near, far, untold, case(0, 1, 2, leak_std_cm3_s=1.0, leaks=2), case(0, 1, 2)])
    assert (found["cases"], found["median_ratio"], found["inside"]) == (2, 0.375, 0.5)
    assert rates.sizes([])["inside"] is None and "unknown" in report_words.sizes({"leak_sizes": rates.sizes([])})


def test_wrong_answers_are_the_worst_and_the_surest_of_them_first():
    found = [one.labelled.name for _, one in worst.worst(judged(*MIXED, ("silent", "ok", 0.01), ("ok", "ok", 0.01)))]
    #      not testable said ok, false alarm, miss, then the silent one, uncertain, and what was not tested
    assert found[:5] == ["7", "5", "1", "8", "2"]
    assert "3" in found and "6" not in found and "9" not in found


# --- manifests


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no recordings"),
        ("\n \n", "no recordings"),
        ("{", "line 1"),
        ("[1]", "line 1"),
        ("[" * 5000, "line 1"),
        ('{"video": "a.mkv"}', "label None"),
        ('{"label": "ok"}', "no 'video'"),
        ('{"video": "", "label": "ok"}', "no 'video'"),
        ('{"video": "a.mkv", "label": "maybe"}', "label 'maybe', leak, ok, not_testable are known"),
        ('{"video": "a.mkv", "label": ["ok"]}', "are known"),
        ('{"video": "a.mkv", "label": "ok"}', "does not exist"),
        ('{"video": "manifest.jsonl", "label": "ok", "station": "none.toml"}', "none.toml does not exist"),
        ('{"video": "twin:cases=1", "label": "ok"}', "does not exist"),
        (f'{{"video": "{"a" * 300}.mkv", "label": "ok"}}', "cannot be reached (File name too long)"),
        ('{"video": "a\\u0000.mkv", "label": "ok"}', "cannot be reached"),
        ('{"video": "manifest.jsonl", "label": "leak", "silent": "true"}', "silent 'true', true, false are known"),
        ('{"video": "manifest.jsonl", "label": "leak", "silent": 1}', "silent 1, true, false are known"),
        ('{"video": "manifest.jsonl", "label": "leak", "leak_required": "Smaller"}', '"required", "smaller" are known'),
        (
            '{"video": "manifest.jsonl", "label": "ok"}\n\n{"video": "./manifest.jsonl", "label": "ok"}',
            "line 3 names the recording of line 1 again",
        ),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused(tmp_path, text, words):
    path = tmp_path / "manifest.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(words)):
        read_manifest(path)


def test_a_line_tells_words_numbers_and_truths_apart(tmp_path):
    path = tmp_path / "manifest.jsonl"
    line = {
        "video": "twin:cases=1", "label": "leak", "silent": True, "rate": 2, "spot": "weld", "seed": 7, "haze": None,
        "leak_origin_px": [3, 4.5],
    }  # fmt: skip
    path.write_text(json.dumps(line))
    (one,) = read_manifest(path, ["twin:"]).lines
    assert (one.source, one.silent, one.leak_origins_px) == ("twin:cases=1", True, ((3.0, 4.5),))
    assert one.slices == {"silent": "True", "spot": "weld"}
    assert one.quantities == {"rate": 2.0}
    path.write_text(json.dumps(line | {"leak_origins_px": [[3, 4.5], [9, 8], "nowhere"]}))
    assert read_manifest(path, ["twin:"]).lines[0].leak_origins_px == ((3.0, 4.5), (9.0, 8.0))


# --- recordings


def write_video(path, pictures):
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 20, (width, height))
    for picture in pictures:
        writer.write(picture)
    writer.release()


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """Two recordings of six small pictures, where it does not matter what they show."""
    folder, rng = tmp_path_factory.mktemp("short"), np.random.default_rng(1)
    for name in "12":
        write_video(folder / f"{name}.avi", list(rng.integers(60, 180, (6, 96, 128, 3), np.uint8)))
    rows = [{"video": "1.avi", "label": "leak"}, {"video": "2.avi", "label": "ok"}]
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder / "manifest.jsonl"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    lines = []
    for seed in (1, 2):
        recording = scenes_for_training.recording(seed, "bubbles")
        write_video(folder / f"{seed}.avi", [frame.image for frame, _ in islice(recording.frames(), 24)])
        (folder / f"{seed}.toml").write_bytes(station.dump(recording.profile))
        label = "leak" if recording.leaky else "ok"
        lines.append({"video": f"{seed}.avi", "label": label, "station": f"{seed}.toml", "rate": 2.5, "spot": "weld"})
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder / "manifest.jsonl"


def test_recordings_give_a_line_each_and_a_summary(manifest, bundle, tmp_path, capsys):
    out = tmp_path / "report"
    assert evaluate.evaluate([str(manifest), "--json", "--jobs", "1", "--out", str(out)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["schema"] for line in lines] == ["tankwatch/case/1"] * 2 + ["tankwatch/evaluation/3"]
    assert [line["video"] for line in lines[:2]] == ["1.avi", "2.avi"]
    assert lines[2]["bundle"]["sha256"] == bundle.sha256
    assert json.loads((out / "summary.json").read_text()) == lines[2]
    assert "coverage" in (out / "report.txt").read_text()
    assert [json.loads(line) for line in (out / "cases.jsonl").read_text().splitlines()] == lines[:2]


def test_two_processes_say_the_same_as_one(manifest, bundle):
    lines = read_manifest(manifest).lines
    one, two = (list(judge_all(lines, Bench(bundle), jobs)) for jobs in (1, 2))
    assert [(a.case.verdict, a.case.score) for a in one] == [(b.case.verdict, b.case.score) for b in two]


@pytest.mark.parametrize("torn", [b"", b'{"video": "2.avi", "label', b'{"video": "9.avi", "label": "ok"}\n'])
def test_a_second_call_goes_on_where_the_first_stopped(short, bundle, tmp_path, capsys, monkeypatch, torn):
    out, lines = tmp_path / "report", read_manifest(short)
    evaluated.claim(out, lines, bundle)
    first = judge(lines.lines[0], Bench(bundle))
    evaluated.keep(out, first)
    with (out / "cases.jsonl").open("ab") as file:
        file.write(torn)
    assert evaluate.evaluate([str(short), "--json", "--jobs", "1", "--out", str(out)]) == 0
    cases = [json.loads(line) for line in capsys.readouterr().out.splitlines()][:2]
    # Case ids are drawn anew for each inspection: the first is the one that was kept.
    assert cases[0]["case_id"] == first.case.case_id
    assert [case["video"] for case in cases] == ["1.avi", "2.avi"]
    assert [json.loads(line) for line in (out / "cases.jsonl").read_text().splitlines()] == cases


def test_after_the_time_given_what_is_judged_is_kept(short, tmp_path, capsys):
    out = tmp_path / "report"
    call = [str(short), "--jobs", "1", "--out", str(out)]
    assert evaluate.evaluate([*call, "--minutes", "0.00001"]) == 1
    assert "1 of 2 cases are judged" in capsys.readouterr().err
    assert not (out / "report.html").exists()
    assert evaluate.evaluate(call) == 0
    assert len((out / "cases.jsonl").read_text().splitlines()) == 2
    with pytest.raises(ConfigError, match="--out"):
        evaluate.evaluate([str(short), "--minutes", "1"])


def test_a_folder_with_another_evaluation_is_left_alone(short, bundle, tmp_path, some_manifest, monkeypatch):
    def begun(name, manifest):
        evaluated.claim(tmp_path / name, manifest, bundle)
        (tmp_path / name / "cases.jsonl").write_text("{}\n")
        return ["--out", str(tmp_path / name)]

    with pytest.raises(ConfigError, match="another manifest: choose another --out"):
        evaluate.evaluate([str(short), *begun("other", some_manifest)])
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "cases.jsonl").write_text("{}\n")
    with pytest.raises(ConfigError, match="another bundle or manifest"):
        evaluate.evaluate([str(short), "--out", str(tmp_path / "bare")])
    then = begun("then", read_manifest(short))
    monkeypatch.setattr(code_version, "of_judging", lambda: "of tomorrow")
    with pytest.raises(ConfigError, match="another version of the program or of its libraries: choose another --out"):
        evaluate.evaluate([str(short), *then])
    (tmp_path / "then" / "cases.jsonl").unlink()
    evaluated.claim(tmp_path / "then", read_manifest(short), bundle)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be made"):
        evaluate.evaluate([str(short), "--out", str(tmp_path / "file")])


def test_a_recording_that_cannot_be_read_is_named(bundle, tmp_path):
    (tmp_path / "a.avi").touch()
    (tmp_path / "m.jsonl").write_text('{"video": "a.avi", "label": "ok"}')
    with pytest.raises(StationError, match=r"a\.avi is empty"):
        judge(read_manifest(tmp_path / "m.jsonl").lines[0], Bench(bundle))


# --- sources that are no files


class OwnStation(VideoFile):
    """A simulated station's camera: it knows its profile."""

    def __init__(self, path, profile):
        super().__init__(path)
        self.profile = profile


@pytest.fixture
def openers(manifest):
    """`sim:N`: the recording N of the manifest, by a camera that tells its own profile."""

    def opened(source: str) -> OwnStation:
        number = source.removeprefix("sim:")
        return OwnStation(manifest.parent / f"{number}.avi", station.load(manifest.parent / f"{number}.toml")[0])

    return {"sim:": opened}


def test_a_simulated_source_is_no_file_and_tells_its_own_profile(manifest, openers, bundle, tmp_path, capsys):
    path = tmp_path / "simulated.jsonl"
    path.write_text('{"video": "sim:1", "label": "leak"}')
    assert evaluate.evaluate([str(path), "--json"], openers=openers) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[0])
    from_file = judge(read_manifest(manifest).lines[0], Bench(bundle)).case
    assert (said["video"], said["verdict"], said["score"]) == ("sim:1", from_file.verdict, from_file.score)
    assert said["profile_sha256"] and said["framing"]["status"] != "unchecked"


def test_the_error_of_a_leaks_place_is_in_millimetres_of_the_tank(bundle):
    tank = scenes_for_training.recording(1, "bubbles").profile
    x, y = np.mean(tank.tank_px, axis=0).round()
    (one,) = judged(("leak", "leak", 0.9), leak_origins_px=((x + 90, y), (x + 20, y)))
    case = msgspec.structs.replace(one.case, leak_at_px=(int(x), int(y)))
    width_px = np.hypot(*np.subtract(tank.tank_px[1], tank.tank_px[0]))
    width_mm = tank.view_size_px[0] / tank.px_per_mm
    preprocessing = bundle.manifest.preprocessing
    assert origin_error_mm(one.labelled, case, tank, preprocessing) == pytest.approx(20 * width_mm / width_px, rel=0.1)
    assert origin_error_mm(one.labelled, one.case, tank, preprocessing) is None
    unscaled = msgspec.structs.replace(tank, px_per_mm=None)
    assert origin_error_mm(one.labelled, case, unscaled, preprocessing) is None


# --- the page


class _Sources(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.open_tags = [], []

    def handle_starttag(self, tag, attributes):
        self.found += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open_tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag


def test_the_page_needs_nothing_beside_it_and_is_whole(manifest, bundle, tmp_path):
    bad = [
        dataclasses.replace(one, label={"leak": "ok", "ok": "leak"}[one.label]) for one in read_manifest(manifest).lines
    ]
    wrong = [judge(one, Bench(bundle)) for one in bad]
    found = rates.summary(wrong, bundle, read_manifest(manifest), NOW)
    report.write(tmp_path, wrong, found, Bench(bundle))
    page = (tmp_path / "report.html").read_text()
    sources = _Sources()
    sources.feed(page)
    assert sources.open_tags == []
    assert sources.found and all(source.startswith("data:image/jpeg;base64,") for source in sources.found)
    pictures = sorted(path.name for path in (tmp_path / "worst").iterdir())
    assert len(pictures) == len(sources.found)
    picture = cv2.imread(str(tmp_path / "worst" / pictures[0]))
    assert picture.shape == (worst.PANEL_PX[1] + worst.CAPTION_PX, 2 * worst.PANEL_PX[0] + 8, 3)
    # A composite that shows something, and a heat map that is not dark.
    left, right = picture[worst.CAPTION_PX :, : worst.PANEL_PX[0]], picture[worst.CAPTION_PX :, worst.PANEL_PX[0] + 8 :]
    assert left.std() > 5 and right.max() > 100


def test_names_cannot_write_into_the_page(bundle, some_manifest):
    rows = judged(("leak", "ok", 0.1), ("ok", "ok", 0.1))
    named = dataclasses.replace(rows[0].labelled, name="<script>alert(1)</script>", slices={"<b>": "<i>"})
    rows = [
        Judged(named, rows[0].case),
        Judged(dataclasses.replace(rows[1].labelled, slices={"<b>": "x"}), rows[1].case),
    ]
    found = rates.summary(rows, bundle, some_manifest, NOW)
    page = report.page(rows, found, [worst.Shown(one, 1, "<u>") for one in rows])
    assert "<script" not in page and "<i>" not in page and "<u>" not in page and "<b></th>" not in page


def test_the_dot_of_what_was_answered_lies_on_the_curve_whatever_the_limits(bundle, some_manifest):
    rows = judged(
        *[("leak", "leak", 0.99), ("ok", "ok", 0.01), ("ok", "leak", 0.95), ("leak", "ok", 0.05)] * 3,
        *[
            ("ok", "uncertain", 0.5),
            ("leak", "uncertain", 0.2),
            ("ok", "uncertain", 0.999),
            ("leak", "not_tested", None),
        ]
        * 2,
    )
    found = rates.summary(rows, bundle, some_manifest, NOW)
    chart = drawings._risk(rows, found)
    (dot,) = re.findall(r'cx="([0-9.]+)" cy="([0-9.]+)"', "".join(chart.marks))
    (line,) = re.findall(r'<polyline class="line" points="([^"]*)"', "".join(chart.marks))
    assert ",".join(dot) in line.split()


def test_every_curve_is_drawn_in_its_own_colours(bundle, some_manifest):
    rows = judged(
        *[("leak", "leak", 0.9), ("leak", "uncertain", 0.6), ("ok", "uncertain", 0.7), ("ok", "ok", 0.1)] * 20
    )
    found = rates.summary(rows, bundle, some_manifest, NOW)
    assert msgspec.json.decode(msgspec.json.encode(found)) == found
    page = report.page(rows, found, [])
    assert page.count("<svg") == 3
    assert "prefers-color-scheme: dark" in page
    assert "nan" not in page.partition("<main>")[2]
