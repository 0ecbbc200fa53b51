"""Whatever a bundle does in its exam, it does not do to the device: it is refused in words, and the old one stays."""

import hashlib
import time
from pathlib import Path

import msgspec
import nets_gone_wrong as wrong
import pytest
from in_full import in_full

from benchmarks.update_lab import smaller
from edge_agent import exam, trial
from edge_agent.bundle import Bundle, open_bundle, write_bundle
from edge_agent.errors import ModelError
from edge_agent.exam import Exam
from edge_agent.inspection import shipped_bundle
from edge_agent.offered import clip_name
from edge_agent.references import ReferenceCase, References


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> tuple[Path, Bundle]:
    path = tmp_path_factory.mktemp("sound") / "7.bundle"
    return path, smaller(path, open_bundle(shipped_bundle()), 7)


def asked(path: Path, champion: Path, **more) -> Exam:
    return Exam(
        **{"bundle": str(path), "champion": str(champion), "certificate": False, "most_s": 240, "most_mb": 1024} | more
    )


def listed(bundle: Bundle, folder: Path, **more) -> References:
    """The golden clips as the station's reference cases."""
    cases = []
    for case in bundle.manifest.golden:
        data = bundle.golden[case.name]
        (folder / clip_name(hashlib.sha256(data).hexdigest())).write_bytes(data)
        truth = "leak" if case.leaky else "ok"
        cases.append(ReferenceCase(case_id=case.name, sha256=case.sha256, truth=truth))
    return References(site="hall", station="T1", cases=tuple(cases), **more)


def test_a_sound_bundle_passes_in_a_process_of_its_own(sound, tmp_path):
    path, bundle = sound
    wanted = listed(bundle, tmp_path)
    passed = trial.held(asked(path, path, references=wanted, clips=str(tmp_path)))
    assert (passed.right, passed.missed, passed.cases) == (2, 0, 2)
    assert 0 < passed.ms < 3 * passed.champion_ms


def test_a_bundle_that_judges_the_stations_cases_wrong_is_refused(sound, tmp_path):
    path, bundle = sound
    wanted = listed(bundle, tmp_path)
    other = {"leak": "ok", "ok": "leak"}
    turned = tuple(msgspec.structs.replace(case, truth=other[case.truth]) for case in wanted.cases)
    wanted = msgspec.structs.replace(wanted, cases=turned)
    with pytest.raises(ModelError, match="calls 1 of this station's leaks ok, limit 0"):
        exam.examine(asked(path, path, references=wanted, clips=str(tmp_path)))
    wanted = msgspec.structs.replace(wanted, most_missed=1)
    with pytest.raises(ModelError, match="judges 0 of 2 reference cases of this station right, limit 90%"):
        exam.examine(asked(path, path, references=wanted, clips=str(tmp_path)))


@pytest.mark.parametrize(
    ("net", "change", "words"),
    [
        ("detector", lambda data: wrong.always(data, float("nan")), "not finite"),
        ("detector", wrong.twice, "maps"),
        ("aggregator", wrong.twice, "a score and a distance are needed"),
        in_full("detector", lambda data: wrong.heavy(data, 700, 2), "ms a composite"),
    ],
    ids=["no number", "more maps", "another score", "ten times slower"],
)
def test_a_net_that_misbehaves_is_refused_with_words(sound, tmp_path, net, change, words):
    path, bundle = sound
    bad = wrong.with_net(tmp_path / "bad.bundle", bundle, net, change(bundle.nets[net]))
    with pytest.raises(ModelError, match=words):
        exam.examine(asked(bad, path))


@pytest.mark.parametrize("word", ["leak", "ok"])
def test_whoever_always_says_the_same_has_no_golden_cases_that_would_hide_it(sound, tmp_path, word):
    """Its own golden cases were made by itself, and say so."""
    path, bundle = sound
    score = 1.0 if word == "leak" else 0.0
    golden = tuple(msgspec.structs.replace(case, verdict=word, score=score) for case in bundle.manifest.golden)
    net = wrong.always(bundle.nets["aggregator"], score)
    bad = wrong.with_net(tmp_path / "bad.bundle", bundle, "aggregator", net, golden=golden)
    with pytest.raises(ModelError, match="golden cases of a leak and of a good unit"):
        exam.examine(asked(bad, path))


def test_a_bundle_without_a_certificate_is_refused_where_one_is_needed(sound, tmp_path):
    champion, bundle = sound
    path = tmp_path / "uncertified.bundle"
    manifest = msgspec.structs.replace(bundle.manifest, certificates=())
    write_bundle(path, manifest, bundle.nets, bundle.features, golden=bundle.golden)
    with pytest.raises(ModelError, match="has no certificate: evaluate it"):
        exam.examine(asked(path, champion, certificate=True))


def children() -> set[str]:
    """Process ids; other tests of this worker may have left some running."""
    return {child for task in Path("/proc/self/task").iterdir() for child in (task / "children").read_text().split()}


def test_a_net_that_hangs_is_ended_and_nothing_of_it_is_left(sound, tmp_path):
    path, bundle = sound
    bad = wrong.with_net(tmp_path / "bad.bundle", bundle, "detector", wrong.heavy(bundle.nets["detector"], 2000, 60))
    began_s, before = time.monotonic(), children()
    with pytest.raises(ModelError, match=r"version 66 has not ended its trial after \d+ s"):
        trial.held(asked(bad, path, most_s=2.0))
    assert time.monotonic() - began_s < 30
    assert children() <= before


def test_a_net_that_eats_memory_is_ended(sound, tmp_path):
    path, bundle = sound
    bad = wrong.with_net(tmp_path / "bad.bundle", bundle, "detector", wrong.heavy(bundle.nets["detector"], 20_000, 1))
    with pytest.raises(ModelError, match="takes (more than 400 MB|[0-9]+ MB, limit 400 MB)"):
        trial.held(asked(bad, path, most_mb=400))


def test_a_trial_that_is_stopped_has_no_result(sound):
    path, _ = sound
    with pytest.raises(trial.Stopped):
        trial.held(asked(path, path), stopped=lambda: True)


def test_what_the_environment_holds_is_not_told_to_a_bundle(sound, monkeypatch):
    path, _ = sound
    monkeypatch.setenv("TANKWATCH_TOKEN", "tw_secret")
    seen = {}

    def popen(command, **more):
        seen.update(more["env"])
        raise OSError("enough")

    monkeypatch.setattr(trial.subprocess, "Popen", popen)
    with pytest.raises(OSError, match="enough"):
        trial.held(asked(path, path))
    assert "TANKWATCH_TOKEN" not in seen and seen["OMP_NUM_THREADS"] == "1"
