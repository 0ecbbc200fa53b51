"""A few of each kind through the drill, and what would show if a check were gone."""

import pytest

from benchmarks import drill_model, hostile_files, hostile_nets
from benchmarks.drill_model import FAULTS, Plan
from benchmarks.hostile_child import Outcome, Task
from edge_agent.bundle import open_bundle
from edge_agent.inspection import shipped_bundle

SMALL = Plan(seed=2, whole=60, shipped=4, sealed=80, run=4)


@pytest.mark.full
def test_hostile_bundles_and_turned_bits_are_refused_before_any_runtime(tmp_path):
    ledger = drill_model.drill(SMALL, tmp_path)
    assert drill_model.is_good(ledger), ledger
    assert ledger["files"] > 80 and ledger["turned"] == 64 and ledger["worst_mb"] > 10


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.bundle"
    path.write_bytes(hostile_files.small(open_bundle(shipped_bundle())))
    return path


def test_a_file_a_turned_bit_and_a_cut_are_refused_in_a_child_that_says_what_they_took(tmp_path, small):
    net = tmp_path / "net.bundle"
    members = hostile_files.members_of(small.read_bytes())
    net.write_bytes(hostile_files.sealed(members | {hostile_files.NET: hostile_nets.hostile()["loop"]}))
    tasks = [Task(path=str(net)), Task(path=str(small), bits=[3, 4000]), Task(path=str(small), cuts=[0, 100])]
    outcomes = list(drill_model.opened(tasks))
    assert [one and (one.refused, one.let_in, one.runtime) for one in outcomes] == [
        (1, 0, False), (2, 0, False), (2, 0, False),
    ]  # fmt: skip
    assert "operator 'Loop' is not allowed" in outcomes[0].words and 10 < outcomes[0].worst_mb < 256


def test_what_is_sealed_anew_may_pass_and_is_run_in_a_child(tmp_path, small):
    (one,) = drill_model.opened([Task(path=str(small), member="manifest.json", bits=[], cuts=[])])
    assert one.let_in == 1 and list(drill_model.ran([small])) == ["ran"]
    broken = tmp_path / "broken.bundle"
    members = hostile_files.members_of(small.read_bytes())
    net = hostile_nets.sound((3, 7)).SerializeToString()
    broken.write_bytes(hostile_files.sealed(members | {hostile_files.NET: net}))
    assert list(drill_model.ran([broken, small])) == ["refused", "ran"]


def test_a_child_that_dies_is_told_and_the_next_task_has_another(tmp_path, small):
    dead, alive = drill_model.opened([Task(path=str(small), bits=[-(10**9)]), Task(path=str(small))])
    assert dead is None and alive.let_in == 1


def test_a_sound_file_among_the_hostile_ones_would_show(tmp_path, small, monkeypatch):
    monkeypatch.setattr(hostile_files, "hostile", lambda sound: {"sound": sound})
    monkeypatch.setattr(drill_model, "_take", lambda *_: None)
    (tmp_path / "drill").mkdir()
    ledger = drill_model.drill(SMALL, tmp_path / "drill")
    assert ledger["let_in"] == 1 and not drill_model.is_good(ledger)


@pytest.mark.parametrize(
    ("outcome", "key"),
    [
        (None, "crashes"),
        ({"worst_s": 2.1}, "slow"),
        ({"worst_mb": 257.0}, "large"),
        ({"runtime": True}, "runtime"),
        ({"let_in": 1}, "let_in"),
        ({"without_reason": 1}, "without_reason"),
        ({"faults": ["ValueError: x"]}, "raised"),
    ],
)
def test_every_fault_is_counted(outcome, key):
    found = drill_model.Found(drill_model.Counter(), [])
    sound = {"refused": 1, "let_in": 0, "worst_s": 0.1, "worst_mb": 50.0, "runtime": False}
    found.add("x", Outcome(**sound | outcome) if outcome is not None else None, "let_in")
    assert found.counts[key] == 1


def test_a_ledger_with_any_fault_is_not_good():
    good = dict.fromkeys(FAULTS, 0) | {"files": 80, "turned": 100}
    assert drill_model.is_good(good)
    assert not any(drill_model.is_good(good | {name: 1}) for name in FAULTS)
