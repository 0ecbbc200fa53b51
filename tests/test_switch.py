"""Other judges sit down between two cases, and the ones before come back where a new champion fails."""

import gc
import random
import threading
import time
import weakref
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from in_full import in_full

from benchmarks.hostile_bundles import hostile
from edge_agent import agent, config, slots, state, trial_run
from edge_agent.bundle import Bundle, open_bundle, write_bundle
from edge_agent.case import Identity
from edge_agent.challenger import InTurn
from edge_agent.errors import ModelError
from edge_agent.inspection import make_inspector, seat, shipped_bundle
from edge_agent.pipeline import Inspector, Sampling
from edge_agent.records import Case
from edge_agent.rhythm import Patient
from edge_agent.switch import NetHangs, Switch, first_pair
from edge_agent.trial_run import MOST_STARTS
from edge_agent.vigil import GROWN_MB, STUCK_S
from edge_agent.wire import decode
from tests.fakes_camera import retaken
from tests.fakes_disk import full_disk
from tests.fakes_tape import FPS, PROFILE, TapeCamera, TapeClock, going_live, tape, write_device


def accept(_: Bundle) -> None:
    """Nothing speaks against it."""


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return open_bundle(shipped_bundle())


@pytest.fixture(scope="module")
def other(shipped, tmp_path_factory) -> Path:
    return changed(shipped, tmp_path_factory.mktemp("other") / "other.bundle")


def changed(shipped: Bundle, path: Path, **preprocessing) -> Path:
    manifest = msgspec.structs.replace(
        shipped.manifest,
        version=shipped.manifest.version + 1,
        golden=(),
        preprocessing=msgspec.structs.replace(shipped.manifest.preprocessing, **preprocessing),
    )
    write_bundle(path, manifest, shipped.nets, shipped.features)
    return path


def make(shipped: Bundle) -> Inspector:
    identity, sampling = Identity("plant", "TANK1", "boot"), Sampling(0.02, random.Random(1).random)
    return make_inspector(next(tape().frames()), identity, PROFILE, shipped, sampling=sampling)


def played(inspector: Inspector, *, from_s: float = 0.0, between=lambda: None) -> list[Case]:
    """The tape once through; `between` at the first frame after the case's end at which judges may change."""
    cases, asked = [], False
    for frame in tape().frames():
        number = frame.sequence + int(from_s * FPS)
        image = retaken(frame.image, number) if from_s else frame.image
        shifted = replace(frame, image=image, monotonic_s=frame.monotonic_s + from_s, sequence=number)
        cases += inspector.step(shifted)
        if cases and inspector.between_cases and not asked:
            asked = True
            between()
    return cases


@pytest.mark.parametrize("size", [in_full((640, 480)), (480, 360)])
def test_an_exchange_between_cases_changes_who_speaks_and_nothing_else(shipped, tmp_path, size):
    inspector, path = make(shipped), changed(shipped, tmp_path / "b.bundle", max_view_px=size)
    bundle = open_bundle(path)

    def exchange() -> None:
        seated = seat(bundle, None, PROFILE)
        seated.champion.warm_up()
        seated.eyes.warm_up()
        inspector.exchange(seated)

    once = played(inspector, between=exchange)
    again = played(inspector, from_s=100.0)
    assert [case.bundle.version for case in once + again] == [bundle.manifest.version - 1, bundle.manifest.version]
    assert [case.decision for case in once + again] == ["leak", "leak"]
    if size == (640, 480):
        assert [case.verdict for case in again] == [case.verdict for case in once] == ["leak"]
        assert abs(again[0].score - once[0].score) < 0.02


def test_the_judges_of_the_former_bundle_are_let_go(shipped, other):
    inspector, seated = make(shipped), seat(open_bundle(other), None, PROFILE)
    former = weakref.ref(inspector._champion), weakref.ref(inspector._champion._detector._net._session)
    inspector.exchange(seated)
    gc.collect()
    assert [one() for one in former] == [None, None]


def test_nothing_is_exchanged_while_a_unit_is_in_the_water(shipped):
    inspector = make(shipped)
    for frame in tape().frames(last=int(tape().truth.settled_s * FPS) + 5):
        inspector.step(frame)
    assert not inspector.between_cases


@contextmanager
def switching(tmp_path: Path, load=None, resident_mb=lambda: 100.0):
    said: list[str] = []
    device = config.load(write_device(tmp_path))
    pair = first_pair(device, said.append)
    load = load or (lambda champion, challenger: seat(champion, challenger, PROFILE))
    yield device, Switch(device, pair, load, say=said.append, resident_mb=resident_mb), said


def test_a_new_champion_is_loaded_once_and_taken_once(tmp_path, other):
    loads: list[int] = []

    def load(champion, challenger):
        loads.append(champion.manifest.version)
        return seat(champion, challenger, PROFILE)

    with switching(tmp_path, load) as (device, switch, _):
        switch.look()
        assert switch.take() is None and loads == []
        slots.use(device, other, accept)
        for _ in range(3):
            switch.look()
        ready = switch.take()
        assert ready and ready.pair.champion.manifest.version == loads[0] and len(loads) == 1
        assert switch.take() is None
        assert (switch.record.starts, trial_run.report(switch.record).state) == (1, "running")
        switch.look()
        assert len(loads) == 1


def test_a_challenger_is_heard_and_dismissed_while_the_champion_speaks_on(tmp_path, other):
    with switching(tmp_path) as (device, switch, _):
        slots.hear(device, other)
        switch.look()
        assert switch.take().seated.challenger.ref == open_bundle(other).ref
        slots.hear(device, None)
        switch.look()
        assert switch.take().seated.challenger is None


def test_a_champion_that_fails_on_trial_is_followed_by_the_one_before(tmp_path, shipped, other):
    with switching(tmp_path) as (device, switch, said):
        slots.use(device, other, accept, wish=4)
        switch.look()
        switch.take()
        switch.tell("the water net gives numbers that are not finite: use another bundle", case_ended=False)
        switch.look()
        assert switch.take().pair.champion.sha256 == shipped.sha256
        report = trial_run.report(switch.record)
        assert report.state == "returned" and "not finite" in report.words and any("taken back" in one for one in said)
        switch.look()
        assert (switch.words, switch.take()) == ("", None)


def test_one_that_has_held_stays_and_says_what_is_wrong_until_a_case_ends_well(tmp_path):
    with switching(tmp_path) as (_, switch, _said):
        switch.tell("the water net refuses 1x1x96x128: use another bundle", case_ended=False)
        switch.look()
        assert "refuses" in switch.words and switch.take() is None
        switch.tell("", case_ended=True)
        switch.look()
        assert switch.words == ""


def test_a_bundle_whose_nets_cannot_be_loaded_never_speaks(tmp_path, other):
    def load(champion, challenger):
        raise ModelError("the detector net cannot be loaded: use another bundle")

    with switching(tmp_path, load) as (device, switch, _):
        slots.use(device, other, accept)
        switch.look()
        switch.look()
        assert switch.take() is None
        assert trial_run.report(slots.speaking(device)).state == "returned"


def test_a_hang_is_seen_from_outside_and_brings_the_one_before_at_the_next_start(tmp_path, shipped, other):
    with switching(tmp_path) as (device, switch, _):
        slots.use(device, other, accept)
        switch.look()
        switch.take()
        switch.vigil.stepping(100.0)
        assert switch.watch(100.0 + STUCK_S / 2) == ""
        assert "has not come back" in switch.watch(101.0 + STUCK_S)
        assert first_pair(device, print).champion.sha256 == shipped.sha256


def test_a_champion_that_hangs_while_the_inspection_starts_gives_way_to_the_one_before(tmp_path, shipped, other):
    with switching(tmp_path) as (device, _, _):
        slots.use(device, other, accept)
    with switching(tmp_path) as (device, switch, _):
        assert "hangs while it is loaded (limit 20 s)" in switch.hangs_at_start()
        assert first_pair(device, print).champion.sha256 == shipped.sha256


def test_a_hang_ends_the_process_even_where_the_disk_is_full(tmp_path, other):
    with switching(tmp_path) as (device, switch, said):
        slots.use(device, other, accept)
        switch.look()
        switch.take()
        switch.vigil.stepping(100.0)
        with full_disk():
            assert "has not come back" in switch.watch(101.0 + STUCK_S)
        assert "not taken back" in said[-1]


def test_a_damaged_slot_file_is_said_once_and_the_looks_go_on(tmp_path):
    with switching(tmp_path) as (device, switch, said):
        slots.speaking(device)
        (device.folder / "bundles").mkdir(exist_ok=True)
        (device.folder / "bundles" / "champion").write_bytes(b"{")
        look = Patient(switch.look, said.append)
        for _ in range(3):
            switch.tell("no number", case_ended=False)
            look()
        assert len(said) == 1 and "remove it" in said[0]


def test_a_challenger_that_was_loaded_and_never_taken_is_let_go(tmp_path, other, shipped):
    closed: list[str] = []

    class Heard(InTurn):
        def close(self) -> None:
            closed.append("closed")

    def load(champion, challenger):
        return seat(champion, challenger, PROFILE, beside=Heard)

    with switching(tmp_path, load) as (device, switch, _):
        slots.hear(device, other)
        switch.look()
        slots.hear(device, None)
        switch.look()
        assert closed == ["closed"] and switch.take() is None


def test_nets_that_hang_while_they_are_loaded_never_speak_and_end_the_process_between_cases(tmp_path, shipped, other):
    loaded, began = threading.Event(), threading.Event()

    def load(champion, challenger):
        began.set()
        loaded.wait(20)
        return seat(champion, challenger, PROFILE)

    with switching(tmp_path, load) as (device, switch, _):
        slots.use(device, other, accept)
        thread = threading.Thread(target=switch.look)
        thread.start()
        assert began.wait(10)
        assert switch.watch(time.monotonic() + 100) == ""
        with pytest.raises(NetHangs):
            switch.take()
        assert first_pair(device, print).champion.sha256 == shipped.sha256
        loaded.set()
        thread.join()


def test_a_bundle_that_is_killed_at_each_start_is_not_started_a_fourth_time(tmp_path, shipped, other):
    device = config.load(write_device(tmp_path))
    slots.use(device, other, accept)
    started = [first_pair(device, print).champion.sha256 for _ in range(MOST_STARTS + 1)]
    assert started == [open_bundle(other).sha256] * MOST_STARTS + [shipped.sha256]


def test_a_slow_champion_is_measured_against_what_the_one_before_took_until_it_left(tmp_path, shipped, other):
    with switching(tmp_path) as (device, switch, _):
        slots.use(device, other, accept)
        switch.look()
        watch(switch, 100, 0.004)
        switch.take()
        watch(switch, 100, 0.020)
        switch.look()
        assert switch.take().pair.champion.sha256 == shipped.sha256
        assert "5.0 times as long" in trial_run.report(switch.record).words


def watch(switch: Switch, frames: int, cpu_s: float) -> None:
    for number in range(frames):
        switch.vigil.stepped(number, number / FPS, cpu_s, watching=True)


def test_the_challenger_goes_before_the_champion_where_memory_grows(tmp_path, other):
    held = [100.0]
    with switching(tmp_path, resident_mb=lambda: held[0]) as (device, switch, _):
        slots.hear(device, other)
        switch.look()
        switch.take()
        held[0] += GROWN_MB + 1
        switch.look()
        assert switch.take().pair.challenger is None
        assert "memory grew" in switch.challenger_words
        switch.look()
        assert switch.words == "" and switch.take() is None


def test_the_agent_takes_back_a_bundle_whose_lamps_net_fails_and_loses_no_case(tmp_path, shipped, capsys):
    device_file = write_device(tmp_path)
    device = config.load(device_file)
    hostile("no-number", shipped, tmp_path / "hostile.bundle")
    slots.use(device, tmp_path / "hostile.bundle", accept)

    def is_back() -> None:
        until_s = time.monotonic() + 20
        while not slots.speaking(device).failed and time.monotonic() < until_s:
            time.sleep(0.01)

    # A recording is faster than the look at the slot file: it waits for it once.
    camera = TapeCamera({5: is_back})
    assert agent.agent_inspect(["--config", str(device_file)], openers={"tape:": lambda _: camera}) == 0
    (case,) = [decode(path.read_bytes(), Case) for path in device.spool_path.glob("*.json")]
    last = state.read(device.state_path)
    assert last.update.state == "returned" and "not finite" in last.update.words
    assert case.bundle.sha256 in (shipped.sha256, open_bundle(tmp_path / "hostile.bundle").sha256)


def test_a_challenger_that_cannot_keep_up_leaves_the_champions_word_as_it_is(tmp_path, other, capsys):
    device_file = write_device(tmp_path, challenger=str(other))
    device, gone, last = config.load(device_file), threading.Event(), len(tape().pictures)
    camera = going_live(last, TapeClock(), gone)

    def ended() -> bool:
        seen = state.read(device.state_path)
        return bool(seen and seen.output.cases)

    agent.inspect_device(device, ended, openers={"tape:": lambda _: camera})
    gone.set()
    (case,) = [decode(path.read_bytes(), Case) for path in device.spool_path.glob("*.json")]
    assert (case.verdict, case.challenger.bundle) == ("leak", open_bundle(other).ref)
    assert case.challenger.verdict in ("leak", "not_tested")


def test_a_stop_that_somebody_wanted_is_no_failed_start(tmp_path, other, capsys):
    device_file = write_device(tmp_path)
    slots.use(config.load(device_file), other, accept)
    assert agent.agent_inspect(["--config", str(device_file)], openers={"tape:": lambda _: TapeCamera()}) == 0
    record = slots.speaking(config.load(device_file))
    assert record.starts == 0 and record.trial is not None
