"""The bundle's file: what is shipped opens, and whatever was done to it is refused in one line."""

import hashlib
import io
import json
import os
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import msgspec
import onnx
import pytest

from benchmarks import hostile_files
from benchmarks.sealing import members_of, packed
from edge_agent.bundle import (
    FEATURES,
    LARGEST_DIRECTORY,
    LARGEST_FILE,
    LARGEST_GOLDEN,
    MANIFEST,
    MOST_GOLDEN,
    NET_NAMES,
    Certificate,
    open_bundle,
    parse_bundle,
    write_bundle,
)
from edge_agent.errors import ConfigError, ModelError
from edge_agent.inspection import shipped_bundle
from models import bundle_command, code_version, evaluated, rates
from models.judged import Judged
from models.labelled import Labelled, Manifest


@pytest.fixture(scope="module")
def shipped():
    return open_bundle(shipped_bundle())


@pytest.fixture(scope="module")
def members() -> dict[str, bytes]:
    return members_of(shipped_bundle().read_bytes())


def refusal(data: bytes) -> str:
    with pytest.raises(ModelError) as caught:
        parse_bundle(data, "b.bundle")
    assert "\n" not in str(caught.value)
    assert ": " in str(caught.value)  # a cure follows
    return str(caught.value)


def test_the_shipped_bundle_opens_and_its_nets_run(shipped):
    assert set(shipped.nets) == set(NET_NAMES)
    assert shipped.ref.sha256 == shipped.sha256
    bundle_command.verify(shipped)


def test_no_net_that_is_shipped_holds_a_path(shipped):
    for data in shipped.nets.values():
        assert b"/home" not in data and b".py" not in data and os.getcwd().encode() not in data


CERTIFICATE = Certificate(
    data="reference.jsonl", data_sha256="ab" * 32, measured_at="2026-11-25T12:00:00Z", ok_below=0.2, leak_above=0.8,
    confidence=0.95, cases=5000, silent=130, coverage=0.98, leaks=2400, missed=1, miss_rate_upper=2.3e-3,
    miss_rate_estimate=7e-4, goods=2500, false_alarms=0, false_alarm_rate_upper=1.5e-3,
    false_alarm_rate_estimate=2.8e-4,
)  # fmt: skip


def test_a_bundle_carries_its_certificates_and_shows_them(shipped, tmp_path, capsys):
    certified = msgspec.structs.replace(shipped.manifest, certificates=(CERTIFICATE,))
    path = tmp_path / "certified.bundle"
    write_bundle(path, certified, shipped.nets, shipped.features, golden=shipped.golden)
    assert open_bundle(path).manifest.certificates == (CERTIFICATE,)
    assert bundle_command.bundle(["show", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "miss rate         <= 0.230% (1 of 2400 answered leaks), probably 0.070%" in shown
    assert "reference.jsonl" in shown and "130 silent leaks apart" in shown
    assert "judged by         a program that is not told" in shown


def test_a_certificate_of_another_program_says_so():
    def judge(program: str) -> str:
        return bundle_command.certificate_words(msgspec.structs.replace(CERTIFICATE, program=program))[-1]

    assert judge(code_version.of_judging()).endswith("this program")
    assert "program ababababab" in judge("ab" * 32) and "may judge otherwise" in judge("ab" * 32)


def evaluation(folder, sha256, **changes):
    """As `evaluate --out` leaves it, of 30 leaks in front light and 30 tight units before a lit back wall."""
    known = {"leak": ({"light": "front"}, "leak", 0.9), "ok": ({"light": "back"}, "ok", 0.1)}
    judged = [
        Judged(Labelled("", "", label, slices=slices), SimpleNamespace(verdict=verdict, score=score, emission=None))
        for label, (slices, verdict, score) in known.items()
        for _ in range(30)
    ]
    manifest = Manifest(Path("reference.jsonl"), "ab" * 32, [])
    lines = [{"label": one.labelled.label, "verdict": one.case.verdict} for one in judged]
    (folder / "cases.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, lines)))
    found = rates.summary(
        judged, open_bundle(shipped_bundle()), manifest, datetime(2026, 11, 25, tzinfo=UTC),
        cases_sha256=evaluated.cases_sha256(folder),
    )  # fmt: skip
    found |= {"bundle": {"version": 1, "sha256": sha256}, **changes}
    (folder / "summary.json").write_bytes(msgspec.json.encode(found))
    return found


def test_a_bundle_takes_the_certificate_of_its_own_evaluation_and_of_no_other(shipped, tmp_path, capsys):
    out = tmp_path / "certified.bundle"
    call = ["certify", str(shipped_bundle()), "--out", str(out), "--evaluation", str(tmp_path)]
    for words, write in (
        ("cannot be read", lambda: None),
        ("no evaluation", lambda: (tmp_path / "summary.json").write_text("{}")),
        ("not of", lambda: evaluation(tmp_path, "ab" * 32)),
        ("no certificate", lambda: evaluation(tmp_path, shipped.sha256, certificate=None)),
        ("is not whole", lambda: evaluation(tmp_path, shipped.sha256, slices=None)),
    ):
        write()
        with pytest.raises(ConfigError, match=words):
            bundle_command.bundle(call)
    told = evaluation(tmp_path, shipped.sha256)
    assert bundle_command.bundle(call) == 0
    again = open_bundle(out)
    given = again.manifest.certificates[-1]
    assert again.manifest.certificates[:-1] == shipped.manifest.certificates
    assert msgspec.to_builtins(given) == told["certificate"] and given.program == code_version.of_judging()
    card = again.manifest.card
    assert card.startswith(shipped.manifest.card) and out.with_suffix(".md").read_text() == card
    assert "## Measured on reference.jsonl (abababababab), 2026-11-25" in card
    assert "- light=front: 30 cases, coverage 100.0%, missed 0 of 30 (<= 9.50%), false alarms 0 of 0" in card
    dated = bundle_command.certified(shipped, tmp_path, tmp_path / "dated.bundle", dated="2026-01-02T00:00:00Z")
    assert dated.manifest.certificates[-1].measured_at == "2026-01-02T00:00:00Z", "bytes that no clock has a part in"
    assert (again.nets, again.features, again.golden) == (shipped.nets, shipped.features, shipped.golden)
    with pytest.raises(ConfigError, match="--evaluation DIR"):
        bundle_command.bundle(call[:4])


def test_a_certificate_that_does_not_follow_from_the_cases_is_not_taken(shipped, tmp_path):
    told = evaluation(tmp_path, shipped.sha256)
    certificate = told["certificate"]
    edits = (
        {"certificate": certificate | {"miss_rate_upper": 1e-4}},
        {"certificate": certificate | {"leaks": 999}},
        {"certificate": certificate | {"ok_below": 0.3}},
        {"counts": told["counts"] | {"missed": 1}},
        {"cases_sha256": "ab" * 32},
    )
    for edit in edits:
        evaluation(tmp_path, shipped.sha256, **edit)
        with pytest.raises(ConfigError, match="does not follow from cases.jsonl"):
            bundle_command.certified(shipped, tmp_path, tmp_path / "edited.bundle")
    evaluation(tmp_path, shipped.sha256)
    cases = tmp_path / "cases.jsonl"
    cases.write_text(cases.read_text().replace('"verdict":"leak"', '"verdict":"ok"', 1))
    with pytest.raises(ConfigError, match="does not follow from cases.jsonl"):
        bundle_command.certified(shipped, tmp_path, tmp_path / "edited.bundle")


def test_writing_and_opening_give_the_same_bundle(shipped, tmp_path):
    path = tmp_path / "again.bundle"
    again = write_bundle(path, shipped.manifest, shipped.nets, shipped.features, golden=shipped.golden)
    assert open_bundle(path).sha256 == again.sha256 == shipped.sha256
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"none\.bundle cannot be read"):
        open_bundle(tmp_path / "none.bundle")


def test_a_file_over_the_limit_is_not_read(tmp_path):
    path = tmp_path / "large.bundle"
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    with pytest.raises(ModelError, match="limit"):
        open_bundle(path)


@pytest.mark.parametrize("data", [b"", b"PK\x05\x06", b"not a zip" * 100])
def test_what_is_no_zip_is_refused(data):
    refusal(data)


def test_a_truncated_bundle_is_refused(members):
    data = packed(members)
    for share in (0.1, 0.5, 0.9, 0.999):
        refusal(data[: int(len(data) * share)])


@pytest.mark.parametrize("name", [name for name in hostile_files.BOXES if name != "too large"])
def test_no_box_but_our_own_is_opened(members, name):
    refusal(hostile_files.BOXES[name](packed(members), members))


def test_one_content_has_one_file(shipped, members):
    """A zip reader would take all of these for the same bundle."""
    data = packed(members)
    assert parse_bundle(data, "b.bundle").nets == shipped.nets
    dated = bytearray(data)
    dated[12] ^= 1
    moved = dict(reversed(members.items()))
    for other in (bytes(dated), b"#!/bin/sh\n" + data, data + b"x", data[:-2] + b"\1\0x"):
        refusal(other)
    assert parse_bundle(packed(moved), "b.bundle").sha256 != shipped.sha256


def test_a_refusal_quotes_no_more_than_a_person_reads(members):
    data = packed(members)
    longer = data[:26] + (60_000).to_bytes(2, "little") + data[28:]
    manifest = json.loads(members[MANIFEST]) | {"x" * 50_000: 1}
    for hostile in (longer, packed(members | {MANIFEST: json.dumps(manifest).encode()})):
        assert len(refusal(hostile)) < 400


def test_a_directory_that_would_take_seconds_is_not_read(members, monkeypatch):
    crowd = hostile_files.BOXES["half a million names"](b"", {})
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("the directory was read"))
    assert f"limit {LARGEST_DIRECTORY}" in refusal(crowd)


def test_an_altered_net_is_refused(members):
    data = bytearray(members["nets/detector.onnx"])
    data[len(data) // 2] ^= 1
    assert "altered" in refusal(packed(members | {"nets/detector.onnx": bytes(data)}))


def test_altered_features_are_refused(members):
    assert "altered" in refusal(packed(members | {FEATURES: members[FEATURES] + b"\0"}))


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("preprocessing", "period_ms", 0),
        ("thresholds", "murky_below", 0),
        ("thresholds", "ok_below", 0.999),
        ("sensitivity", "recall", 1),
        ("sensitivity", "smallest_bubble_px", -1),
    ],
)
def test_a_number_that_no_verdict_could_use_is_refused(members, part, name, value):
    manifest = json.loads(members[MANIFEST])
    manifest[part][name] = value
    assert "not usable" in refusal(packed(members | {MANIFEST: json.dumps(manifest).encode()}))


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/passwd", "nets/other.onnx", "nets\\detector.onnx", "manifest.json/"]
)
def test_an_unknown_member_is_refused(members, name):
    assert "unknown" in refusal(packed(members | {name: b""}))


def test_a_repeated_member_is_refused(members):
    out = io.BytesIO(packed(members))
    with pytest.warns(UserWarning), zipfile.ZipFile(out, "a") as archive:
        archive.writestr("manifest.json", members["manifest.json"])
    assert "repeated" in refusal(out.getvalue())


def with_golden(members: dict[str, bytes], named: dict[str, bytes], **changes: object) -> dict[str, bytes]:
    """The bundle with these golden clips and no others, the manifest changed to name them."""
    cases = [
        {
            "name": name, "sha256": hashlib.sha256(clip).hexdigest(), "leaky": True, "verdict": "leak", "score": 0.9,
            "tolerance": 0.02, **changes,
        } for name, clip in named.items()
    ]  # fmt: skip
    manifest = json.loads(members["manifest.json"]) | {"golden": cases}
    bare = {name: data for name, data in members.items() if not name.startswith("golden/")}
    carried = {f"golden/{name}.twclip": clip for name, clip in named.items()}
    return bare | {"manifest.json": json.dumps(manifest).encode()} | carried


def test_golden_clips_are_opened_by_their_hash_and_looked_at_later(members):
    opened = parse_bundle(packed(with_golden(members, {"leak": b"looked at when it is judged"})))
    assert opened.golden == {"leak": b"looked at when it is judged"}


def test_a_bundle_from_before_there_were_golden_cases_opens(members):
    bare = with_golden(members, {})
    manifest = json.loads(bare["manifest.json"])
    del manifest["golden"]
    opened = parse_bundle(packed(bare | {"manifest.json": json.dumps(manifest).encode()}))
    assert opened.manifest.golden == () and opened.golden == {}


@pytest.mark.parametrize(
    "name",
    ["golden/A.twclip", "golden/../a.twclip", "golden/a.onnx", "golden/a/b.twclip", "golden/a.twclip\n", "golden/"],
)
def test_a_golden_clip_of_another_name_is_refused(members, name):
    assert "unknown" in refusal(packed(members | {name: b""}))


def test_golden_clips_are_few_small_unaltered_and_named(members):
    one = with_golden(members, {"leak": b"clip"})
    assert "altered" in refusal(packed(one | {"golden/leak.twclip": b"clap"}))
    assert "golden/more.twclip" in refusal(packed(one | {"golden/more.twclip": b"clip"}))
    assert "no golden case" in refusal(packed({name: data for name, data in one.items() if "golden" not in name}))
    many = with_golden(members, {f"case-{n}": b"clip" for n in range(MOST_GOLDEN + 1)})
    assert f"more than {MOST_GOLDEN}" in refusal(packed(many))
    large = with_golden(members, {"leak": bytes(LARGEST_GOLDEN + 1)})
    assert f"limit {LARGEST_GOLDEN}" in refusal(packed(large))


@pytest.mark.parametrize(
    "change",
    [
        {"tolerance": 0.5}, {"tolerance": 0.0}, {"score": 1.5}, {"verdict": "not_tested"}, {"name": "../leak"},
        {"name": "leak\n"}, {"surprise": 1},
    ],
)  # fmt: skip
def test_a_golden_case_that_could_not_fail_or_is_not_ours_is_refused(members, change):
    assert "manifest" in refusal(packed(with_golden(members, {"leak": b"clip"}, **change)))


def test_a_manifest_that_names_a_golden_case_twice_is_refused(members):
    one = with_golden(members, {"leak": b"clip"})
    manifest = json.loads(one["manifest.json"])
    manifest["golden"] *= 2
    assert "golden/leak.twclip" in refusal(packed(one | {"manifest.json": json.dumps(manifest).encode()}))


def test_a_compressed_bundle_is_refused(members):
    assert "compressed" in refusal(packed(members, zipfile.ZIP_DEFLATED))


def test_a_missing_net_is_named(members):
    assert "nets/water.onnx" in refusal(packed({name: data for name, data in members.items() if "water" not in name}))


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "tankwatch/bundle/9"},
        {"surprise": 1},
        {"version": "one"},
        {"thresholds": {}},
        {"nets": {"brain": "x"}},
    ],
)
def test_a_manifest_that_is_not_ours_is_refused(members, change):
    manifest = json.loads(members["manifest.json"]) | change
    assert "manifest" in refusal(packed(members | {"manifest.json": json.dumps(manifest).encode()}))


def test_a_hostile_net_with_a_right_hash_is_refused_all_the_same(shipped):
    model = onnx.load_from_string(shipped.nets["water"])
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    nets = shipped.nets | {"water": model.SerializeToString()}
    with pytest.raises(ModelError, match="refused"):
        write_bundle("unused.bundle", shipped.manifest, nets, golden=shipped.golden)


def test_show_and_verify(capsys):
    assert bundle_command.bundle(["verify", str(shipped_bundle())]) == 0
    assert bundle_command.bundle(["show", str(shipped_bundle()), "--json"]) == 0
    shown = msgspec.json.decode(capsys.readouterr().out)
    assert shown["schema"] == "tankwatch/bundle/1" and set(shown["net_bytes"]) == set(NET_NAMES)


def test_a_card_never_lands_on_the_bundle_or_on_another_file(shipped, tmp_path):
    evaluation(tmp_path, shipped.sha256)
    for name in ("one.md", "tankwatch-0.2"):
        with pytest.raises(ConfigError, match=r"\.bundle: name it so"):
            bundle_command.bundle(
                ["certify", str(shipped_bundle()), "--evaluation", str(tmp_path), "--out", str(tmp_path / name)]
            )
    assert not list(tmp_path.glob("tankwatch-0*"))
