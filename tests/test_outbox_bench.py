"""`bench outbox` can fail: each of its limits is broken once, and found."""

import copy

import pytest

from benchmarks import outbox_latency, outbox_puts, outbox_speed, outbox_threads
from benchmarks.installation import make_configs
from benchmarks.outbox_filling import CLIP_EVERY, fill
from benchmarks.outbox_filling import copy as copied
from benchmarks.outbox_latency import CONDITIONS, Rounds, Taken
from benchmarks.outbox_puts import Times
from edge_agent.keeper import Keeper
from edge_agent.outbox import Outbox


def filled(folder, count):
    folder.mkdir()
    device, _ = make_configs(folder, outbox_speed.NO_PORT)
    fill(device, count)
    return device


def taken(step_ms: float) -> list[Taken]:
    """Three rounds, of which one was disturbed."""
    return [Taken(ms, ms, ms) for ms in (step_ms, step_ms + 1, 10 * step_ms)]


def rounds(**later_ms: float) -> Rounds:
    times = {name: taken(20.0 + later_ms.get(name, 0.0)) for name in CONDITIONS}
    return Rounds(times, drained=[40, 60, 50], drained_per_s=[20.0], loads=[1.0])


def test_a_filled_outbox_needs_no_mending_and_its_copy_is_its_own(tmp_path):
    first = filled(tmp_path / "first", 2 * CLIP_EVERY)
    (tmp_path / "second").mkdir()
    second, _ = make_configs(tmp_path / "second", outbox_speed.NO_PORT)
    copied(first, second)
    one, other = (Outbox.open(device.outbox_path, device.spool_path) for device in (first, second))
    assert (one.notes, other.notes) == ([], [])
    other.receipted([(case.case_id, case.sha256) for case in other.waiting_cases(10)])
    assert (one.backlog().cases, one.backlog().clips) == (2 * CLIP_EVERY, 2)
    assert (other.backlog().cases, other.backlog().clips) == (2 * CLIP_EVERY - 10, 2)
    one.close()
    other.close()


def test_the_disk_alone_syncs_as_often_as_a_put_and_commits(tmp_path):
    device = filled(tmp_path / "device", 5)
    with outbox_threads.watched() as watch:
        outbox_puts.measure(device, 1, tmp_path)
        whats = [what for what, _, _ in watch.waits]
    # The disk alone goes first; the second pair has a clip.
    sync, done = ["sync"], ["commit"]
    assert whats[-18:] == 3 * sync + ["put"] + 2 * sync + done + 5 * sync + ["put"] + 4 * sync + done


def test_puts_over_the_limit_fail_however_slow_the_disk_alone_is():
    quick, slow = Times([9.0] * 99 + [50.0], [8.0] * 100), Times([9.0] * 90 + [16.0] * 10, [16.0] * 100)
    assert outbox_puts.is_good({kind: quick.figures() for kind in ("without_clip", "with_clip")})
    assert not outbox_puts.is_good({"without_clip": quick.figures(), "with_clip": slow.figures()})
    assert slow.figures()["ratio"] < 1.0


def test_the_agent_waits_for_no_disk_where_it_steps_frames(tmp_path):
    figures = outbox_threads.measure(tmp_path / "agent", 1)
    assert outbox_threads.is_good(figures), figures
    unseen = copy.deepcopy(figures)
    unseen["elsewhere"]["put"] = 0
    assert not outbox_threads.is_good(unseen)


@pytest.mark.full
def test_a_keeper_that_puts_where_frames_are_stepped_is_found(tmp_path, monkeypatch):
    def keep(self, case, clip):
        self._tell(self._put(case, clip))

    monkeypatch.setattr(Keeper, "keep", keep)
    figures = outbox_threads.measure(tmp_path / "agent", 1)
    assert not outbox_threads.is_good(figures)
    assert figures["on_frame_thread"]["put"] == figures["on_frame_thread"]["commit"] == 1
    assert figures["on_frame_thread"]["sync"] >= 2


@pytest.mark.parametrize("name", CONDITIONS[1:])
def test_verdicts_that_come_later_in_one_condition_fail(name):
    assert outbox_latency.is_good(outbox_latency.figures(rounds(), 100))
    assert outbox_latency.is_good(outbox_latency.figures(rounds(**{name: 4.0}), 100))
    assert not outbox_latency.is_good(outbox_latency.figures(rounds(**{name: 5.5}), 100))


def test_a_drain_that_did_not_drain_is_no_drain():
    still = rounds()
    still.drained = [40, 0, 50]
    assert not outbox_latency.is_good(outbox_latency.figures(still, 100))


@pytest.mark.full
def test_a_short_run_measures_everything(tmp_path):
    figures = outbox_speed.measure(tmp_path, 2_000, puts=5, cases=1, rounds=1)
    assert outbox_threads.is_good(figures["threads"])
    assert set(figures["latency"]["step_ms"]) == set(CONDITIONS)
    assert all(figures[name][kind]["ratio"] > 0 for name in ("few", "many") for kind in ("with_clip", "without_clip"))
    assert "the step that ends a case, draining" in outbox_speed.words(figures)
