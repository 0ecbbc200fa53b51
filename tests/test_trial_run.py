"""Whatever happens to a new champion, and wherever it is interrupted: a proven bundle speaks or stands behind it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent import trial_run
from edge_agent.records import BundleRef
from edge_agent.trial_run import Speaking

AT = "2026-11-01T00:00:00Z"
EVENTS = st.one_of(
    st.tuples(st.just("use"), st.integers(1, 6), st.integers(0, 3)),
    st.tuples(st.just("start")),
    st.tuples(st.just("crash")),
    st.tuples(st.just("stop")),
    st.tuples(st.just("hold"), st.integers(0, 6)),
    st.tuples(st.just("trouble"), st.integers(0, 6)),
    st.tuples(st.just("back")),
)


def ref(number: int) -> BundleRef:
    return BundleRef(number, f"{number:064d}")


class Device:
    """The slot file and the places, as a disk holds them; `proven`: has held, or was there from the first."""

    def __init__(self) -> None:
        self.record, self.places = Speaking(), {"config": 0}
        self.proven, self.fails, self.wishes, self.running = {0}, {}, 0, None
        self.counts = False
        """Whether what runs was started under the record that holds: else its end is no failed start of it."""

    @property
    def speaks(self) -> int:
        return self.places[self.record.now]

    def use(self, number: int, killed_after: int) -> None:
        """In three writes; the process is killed after so many of them."""
        if number == self.speaks:
            return
        self.wishes += 1
        kept = trial_run.made_way(self.record)
        if killed_after > 0:
            self.record = kept
        if number == self.places[kept.now]:
            return
        if killed_after > 1:
            self.places[trial_run.free_place(kept)] = number
        if killed_after > 2:
            self.record = trial_run.installed(kept, ref(number), at=AT, wish=self.wishes)
            self.proven.discard(number)
            self.fails[number], self.counts = 0, False

    def start(self) -> None:
        if self.running is not None:
            self.crash()
        self.record = trial_run.started(self.record, at=AT)
        self.running, self.counts = self.speaks, True

    def crash(self) -> None:
        if self.running is not None and self.counts and self.record.trial and self.running == self.speaks:
            self.fails[self.running] = self.fails.get(self.running, 0) + 1
        self.running = None

    def stop(self) -> None:
        if self.running is not None:
            self.record = trial_run.stopped(self.record, ref(self.running).sha256)
        self.running = None

    def hold(self, number: int) -> None:
        """Only what runs can hold, and is what speaks; what is told of another changes nothing."""
        if number == self.running == self.speaks and self.record.trial:
            self.proven.add(number)
        if number == self.running or number != self.speaks:
            self.record = trial_run.held(self.record, ref(number).sha256)

    def trouble(self, number: int) -> None:
        before = self.record
        self.record = trial_run.troubled(self.record, ref(number).sha256, "it hangs: use another", at=AT)
        assert self.record == before or (before.trial and number != self.speaks)

    def back(self) -> None:
        if self.record.before is not None:
            number = self.places[self.record.before]
            self.record = trial_run.turned_back(self.record, ref(number), at=AT)
            self.fails[number], self.counts = 0, False


@settings(max_examples=3000, deadline=None)
@given(st.lists(EVENTS, max_size=40))
def test_one_whole_bundle_speaks_and_an_unproven_one_never_without_a_proven_one_behind_it(events):
    device = Device()
    for name, *arguments in events:
        getattr(device, name)(*arguments)
        record = device.record
        assert record.now in device.places
        if record.trial is None:
            assert device.speaks in device.proven
        else:
            assert record.before is not None and record.before != record.now
            assert device.places[record.before] in device.proven
        if device.running == device.speaks and record.trial:
            assert device.fails[device.running] < trial_run.MOST_STARTS


def on_trial() -> Speaking:
    return trial_run.installed(Speaking(), ref(8), at=AT, wish=5)


def test_three_failed_starts_bring_the_one_before_back_and_say_why():
    record = on_trial()
    for _ in range(trial_run.MOST_STARTS):
        record = trial_run.started(record, at=AT)
        assert record.now == "a"
    record = trial_run.started(record, at=AT)
    assert (record.now, record.trial, record.starts) == ("config", None, 1)
    report = trial_run.report(record)
    assert (report.state, report.bundle) == ("returned", ref(8)) and "started 3 times" in report.words


def test_starts_that_somebody_ended_are_no_failed_ones():
    record = on_trial()
    for _ in range(10):
        record = trial_run.stopped(trial_run.started(record, at=AT), ref(8).sha256)
    assert record == on_trial()


def test_a_bundle_that_has_held_stays_whatever_is_said_of_it():
    record = trial_run.held(trial_run.started(on_trial(), at=AT), ref(8).sha256)
    assert trial_run.troubled(record, ref(8).sha256, "it hangs", at=AT) == record
    assert trial_run.report(record).state == "running"


def test_what_failed_is_refused_for_its_wish_and_for_older_ones_and_not_for_a_person():
    failed = trial_run.troubled(on_trial(), ref(8).sha256, "it hangs", at=AT)
    assert "order it anew" in trial_run.refusal(failed, ref(8).sha256, 5)
    assert trial_run.refusal(failed, ref(8).sha256, 4)
    assert not trial_run.refusal(failed, ref(8).sha256, 6)
    assert not trial_run.refusal(failed, ref(8).sha256, None)
    assert not trial_run.refusal(failed, ref(9).sha256, 5)
    assert trial_run.refusal(trial_run.installed(failed, ref(9), at=AT, wish=None), ref(8).sha256, 5)
