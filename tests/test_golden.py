"""Golden cases: what a bundle said where it was made it says again, and its clips are trusted no more than it is."""

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

import tankwatch
from calibration import scenes_for_training
from edge_agent import clip_bytes, clips, config, golden, slots
from edge_agent.account import SCORED
from edge_agent.bundle import Bundle, GoldenCase, open_bundle
from edge_agent.clip_bytes import MAGIC
from edge_agent.clips import ClipHeader, ClipWriter, Watch
from edge_agent.config import DeviceConfig
from edge_agent.errors import ModelError
from edge_agent.inspection import shipped_bundle
from edge_agent.records import TankView
from models import bundle_command, cases, package
from models import golden as making
from models.export import onnx_bytes
from models.golden import GoldenClip
from models.net import CaseNet
from models.stages import Workplace

pytestmark = pytest.mark.full
"""Two cases are filmed and looked at by the shipped nets first, half a minute."""
REST = Watch(settled_s=0.0, spans_s=((0.0, 5.0),), usable_s=5.0)


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> list[GoldenClip]:
    """A leak and a tight unit with trapped air."""
    return making.from_scenes(Workplace(tmp_path_factory.mktemp("scenes"), scenes_for_training, 1), 2)


@pytest.fixture(scope="module")
def bundle(found, tmp_path_factory) -> Bundle:
    """The shipped one with these two cases and no others."""
    shipped, path = open_bundle(shipped_bundle()), tmp_path_factory.mktemp("bundle") / "golden.bundle"
    package.with_golden(path, shipped, found, shipped.features)
    return open_bundle(path)


def with_cases(bundle: Bundle, *cases: GoldenCase) -> Bundle:
    return replace(bundle, manifest=msgspec.structs.replace(bundle.manifest, golden=cases))


def told(bundle: Bundle, **changes) -> Bundle:
    """The bundle with its first case alone, of which the manifest says something else."""
    return with_cases(bundle, msgspec.structs.replace(bundle.manifest.golden[0], **changes))


def test_a_bundle_judges_its_golden_cases_as_when_it_was_made(bundle, found):
    assert [case.name for case in bundle.manifest.golden] == ["leak", "trapped-air"]
    assert bundle.golden == {one.name: one.clip for one in found}
    for one in golden.reproduce(bundle):
        assert (one.verdict.verdict, one.verdict.score) == (one.case.verdict, one.case.score)


def test_golden_clips_show_a_unit_at_rest_and_are_small(found):
    assert [one.leaky for one in found] == [True, False]
    for one in found:
        clip = clips.read(one.clip)
        width, height = clip.header.view_size_px
        assert clip.whole and width <= 320 and height <= 240
        assert 4.5 < clip.watch.usable_s <= making.LONGEST_S and clip.frame_count > 60
        assert len(one.clip) <= making.LARGEST_BYTES
        assert 4 * making.LARGEST_BYTES <= 3_000_000
        # Bubbles are seen: where they rise, the picture changes by more than its noise.
        greys = np.array([view.grey for view in clip.views()][:20], np.int16)
        assert np.abs(np.diff(greys, axis=0)).max() > 15


def test_the_same_seed_gives_the_same_clips_and_a_second_run_takes_up_what_is_there(found, tmp_path):
    place = Workplace(tmp_path, scenes_for_training, 1)
    assert making.from_scenes(place, 1)[0].clip == found[0].clip
    (file,) = (tmp_path / "golden").iterdir()
    before = file.stat().st_mtime_ns
    assert making.from_scenes(place, 1)[0].clip == found[0].clip and file.stat().st_mtime_ns == before


def test_a_score_may_differ_by_its_tolerance_and_no_more(bundle):
    score = bundle.manifest.golden[0].score
    step = 0.015 if score < 0.5 else -0.015
    golden.reproduce(told(bundle, score=score + step))
    with pytest.raises(ModelError, match="golden case leak is") as caught:
        golden.reproduce(told(bundle, score=score + 2 * step))
    assert f"{score:.3f} here" in str(caught.value) and "+-0.02" in str(caught.value)
    assert "lock file" in str(caught.value)  # a cure follows


def test_another_word_is_refused_unless_it_hangs_on_rounding(bundle):
    case, limits = bundle.manifest.golden[0], bundle.manifest.thresholds
    other = "ok" if case.verdict != "ok" else "leak"
    apart = msgspec.structs.replace(limits, ok_below=0.4, leak_above=0.6)
    close = msgspec.structs.replace(limits, ok_below=case.score - 0.01, leak_above=case.score + 0.01)
    manifest = bundle.manifest
    with pytest.raises(ModelError, match="golden case leak"):
        golden.reproduce(
            told(replace(bundle, manifest=msgspec.structs.replace(manifest, thresholds=apart)), verdict=other)
        )
    golden.reproduce(told(replace(bundle, manifest=msgspec.structs.replace(manifest, thresholds=close)), verdict=other))


def test_another_net_does_not_pass_for_the_one_that_was_packed(bundle):
    torch.manual_seed(0)
    values = cases.fitted_features(bundle).values[:4]
    untrained = CaseNet(torch.zeros(values.shape[1]), torch.ones(values.shape[1]), len(SCORED)).eval()
    other = onnx_bytes(untrained, values, free_axes={0: torch.export.Dim.DYNAMIC})
    with pytest.raises(ModelError, match="where version"):
        bundle_command.verify(replace(bundle, nets=bundle.nets | {"aggregator": other}))


def written(path: Path, *, size=(64, 48), frames=12, watch=REST, times=lambda n: n / 15, **header) -> bytes:
    writer = ClipWriter(path, ClipHeader(case_id="g", station="T", view_size_px=size, **header))
    for number in range(frames):
        writer.frame(TankView(np.full(size[::-1], 90, np.uint8), number, times(number), np.eye(3)), 0.0)
    writer.close(watch)
    return path.read_bytes()


def claiming(data: bytes, size: tuple[int, int]) -> bytes:
    """The clip's header says another size than its pictures have."""
    (_, at, payload), *_ = clip_bytes.records(io.BytesIO(data[len(MAGIC) :]), len(data))
    said = payload.replace(b"[64,48]", b"[%d,%d]" % size)
    return MAGIC + clip_bytes.record(b"H", said) + data[at + len(payload) + 4 :]


HOSTILE = {
    "no clip": (lambda path: b"no clip at all", "cannot be read"),
    "nothing": (lambda path: b"", "cannot be read"),
    "cut off": (lambda path: written(path)[:-20], "breaks off"),
    "a giant": (lambda path: claiming(written(path), (100_000, 100_000)), "cannot be read"),
    "a large view": (lambda path: claiming(written(path), (4000, 4000)), "4000x4000 px, limit 640x480"),
    "a small view": (lambda path: written(path, size=(16, 16)), "16x16 px"),
    "another view": (lambda path: claiming(written(path), (128, 96)), "cannot be read"),
    "no scale": (lambda path: written(path, px_per_mm=1e-9), "px a mm"),
    "too long": (lambda path: written(path, frames=golden.MOST_FRAMES + 1, times=lambda n: n / 90), "limit 400"),
    "not a number": (lambda path: written(path, times=lambda n: float("nan")), "not within"),
    "before rest": (lambda path: written(path, times=lambda n: n - 1e6), "not within"),
    "for hours": (lambda path: written(path, times=lambda n: n * 1e300), "not within"),
    "back in time": (lambda path: written(path, times=lambda n: 5.0 - n / 15), "order of time"),
    "never at rest": (lambda path: written(path, watch=Watch()), "at rest"),
    "many stretches": (
        lambda path: written(path, watch=Watch(settled_s=0.0, spans_s=((0.0, 1.0),) * 9, usable_s=5.0)), "9 stretches",
    ),
    "watched for ever": (
        lambda path: written(path, watch=Watch(settled_s=0.0, spans_s=((0.0, 1.0),), usable_s=1e9)), "limit 20",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_clip_is_refused_before_any_net_runs(bundle, what, tmp_path):
    made, words = HOSTILE[what]
    data = made(tmp_path / "hostile.twclip")
    case = msgspec.structs.replace(bundle.manifest.golden[0], sha256=hashlib.sha256(data).hexdigest())
    # The sound case comes first: not even that one is judged, or these nets would be found wanting.
    hostile = with_cases(bundle, bundle.manifest.golden[1], case)
    hostile = replace(hostile, golden=bundle.golden | {"leak": data}, nets=dict.fromkeys(bundle.nets, b"no net"))
    with pytest.raises(ModelError, match="golden case leak") as caught:
        golden.reproduce(hostile)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_what_shows_nothing_cannot_become_a_golden_case(bundle, tmp_path):
    with pytest.raises(ModelError, match="not tested"):
        making.judged(bundle, [GoldenClip("short", True, written(tmp_path / "short.twclip", frames=2))])


def off_by(bundle: Bundle, path: Path) -> Path:
    """A bundle whose file is whole, but that does not say here what it said elsewhere."""
    case = bundle.manifest.golden[0]
    other = msgspec.structs.replace(case, score=0.5)
    cases = (other, *bundle.manifest.golden[1:])
    package.write_bundle(
        path,
        msgspec.structs.replace(bundle.manifest, golden=cases, version=99),
        bundle.nets,
        bundle.features,
        golden=bundle.golden,
    )
    return path


def test_a_bundle_that_does_not_reproduce_never_speaks_on_a_device(bundle, tmp_path, capsys):
    device = DeviceConfig(site="hall", station="station.toml", camera="twin:", data_dir=str(tmp_path / "data"))
    (tmp_path / "device.toml").write_bytes(config.dump(device))
    bad = off_by(bundle, tmp_path / "bad.bundle")
    assert open_bundle(bad).manifest.version == 99
    assert tankwatch.main(["bundle", "use", str(bad), "--config", str(tmp_path / "device.toml")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "golden case leak" in line
    assert slots.champion(device) == shipped_bundle()
    assert tankwatch.main(["bundle", "verify", str(bad)]) == 1


def test_show_names_the_golden_cases_and_verify_counts_them(bundle, tmp_path, capsys):
    path = tmp_path / "whole.bundle"
    package.write_bundle(path, bundle.manifest, bundle.nets, bundle.features, golden=bundle.golden)
    assert bundle_command.bundle(["show", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "golden case trapped-air" in shown and "the unit is tight" in shown and "the unit leaks" in shown
    assert bundle_command.bundle(["verify", str(path)]) == 0
    assert "2 golden cases" in capsys.readouterr().err
