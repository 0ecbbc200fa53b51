"""PURE. A rollout, what its devices report, now -> the rollout after it and what each place is asked to run.

    planned -> rolling <-> soaking -> done          any of them -> rolling_back -> rolled_back
                   halted (by a person)

What is wished follows from the rollout alone (`wishes`), so whoever restarts, at whatever point, asks for the same.
One verb per legal step; a step that is none raises ConfigError. Deciding twice on the same reports changes nothing.
"""

import hashlib
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from cloud_sync import rollout_gates, rollout_plan
from cloud_sync.rollout_gates import Fleet
from cloud_sync.rollout_plan import Plan
from cloud_sync.rollout_records import Before, Decision, Event, Place, Reading, Report, Rollout, Seat, State
from edge_agent.errors import ConfigError
from edge_agent.records import BundleRef

GOING: tuple[State, ...] = ("rolling", "soaking", "halted")
"""Devices may run the new bundle, and the gates are watched."""
UNHEARD = Report()
SAID = 10
"""Breaches that are told of one decision: what failed, not how often."""
NEVER_SAID = "it has never said which bundle it runs: start its agent"
Step = tuple[Rollout, list[Event]]


def planned(bundle: BundleRef, places: Iterable[Place], plan: Plan, now: float) -> Rollout:
    """All places in the order of a hash over bundle and place: stable, and not the same plant first each time."""
    ordered = sorted(set(places), key=lambda place: _lot(bundle, place))
    if not ordered:
        raise ConfigError("a rollout needs at least one station: none is known that this bundle is for")
    seats = tuple(Seat(site=site, station=station) for site, station in ordered)
    return Rollout(bundle=bundle, plan=plan, sizes=rollout_plan.sizes(plan, len(seats)), seats=seats, since=now)


def wishes(rollout: Rollout) -> dict[Place, BundleRef]:
    """What every place that was ever touched is asked to run."""
    back = rollout.state in ("rolling_back", "rolled_back")
    return {
        seat.place: seat.former if back or seat.asked_at is None else rollout.bundle
        for seat in rollout.seats
        if seat.former is not None
    }


def decide(rollout: Rollout, reports: Mapping[Place, Report], now: float, *, free: bool = True) -> Decision:
    """One look at the devices. `free`: no older rollout holds any of the places."""
    events: list[Event] = []
    while True:
        after, new = _step(rollout, reports, now, free)
        events += new
        if after == rollout:
            return Decision(rollout, wishes(rollout), tuple(events))
        rollout = after


def halt(rollout: Rollout, now: float) -> Rollout:
    """No further device is asked; those that have the bundle keep it, and the gates are watched."""
    _only_from(rollout, "halted", ("rolling", "soaking"))
    return replace(rollout, state="halted", since=now)


def resume(rollout: Rollout, now: float) -> Rollout:
    """The soak of the step begins anew."""
    _only_from(rollout, "resumed", ("halted",))
    return replace(rollout, state="rolling", since=now)


def roll_back(rollout: Rollout, now: float) -> Rollout:
    """Every touched place is wished its former bundle."""
    _only_from(rollout, "rolled back", ("planned", "rolling", "soaking", "halted", "done"))
    if not any(seat.former for seat in rollout.seats):
        return replace(rollout, state="rolled_back", since=now)
    return replace(rollout, state="rolling_back", since=now, was_done=rollout.state == "done")


def abort(rollout: Rollout, now: float) -> Rollout:
    """As `roll_back`, without waiting for devices to say that they are back: the places are free at once."""
    _only_from(rollout, "aborted", ("planned", "rolling", "soaking", "halted", "rolling_back"))
    return replace(rollout, state="rolled_back", since=now)


def readings(rollout: Rollout, reports: Mapping[Place, Report], now: float) -> list[Reading]:
    """Every gate's figure as it is now; none before the start and after the end."""
    if rollout.state not in GOING:
        return []
    return rollout_gates.readings(rollout, _fleet(rollout, reports), now)


def runs(report: Report, bundle: BundleRef | None) -> bool:
    """Does the device say that it runs this bundle?"""
    return report.running is not None and bundle is not None and report.running.sha256 == bundle.sha256


def cases_of(rollout: Rollout, reports: Mapping[Place, Report]) -> int:
    """Cases of the new bundle in this rollout, on all devices."""
    taken = (seat for seat in rollout.seats if seat.taken_at is not None)
    return sum(rollout_gates.since_switch(seat, reports.get(seat.place, UNHEARD)).cases for seat in taken)


def _step(rollout: Rollout, reports: Mapping[Place, Report], now: float, free: bool) -> Step:
    """At most one change of state; none where nothing follows from the reports."""
    if rollout.state == "planned" and free:
        return _started(rollout, reports, now)
    if rollout.state == "rolling_back":
        return _returning(rollout, reports, now)
    if rollout.state not in GOING:
        return rollout, []
    seen, events = _seen(rollout, reports, now)
    broken = [reading for reading in readings(seen, reports, now) if reading.breach]
    if broken:
        told = [Event("breached", words_of(reading), reading.place) for reading in broken[:SAID]]
        return roll_back(seen, now), [*events, *told, Event("rolling_back", "a gate is broken")]
    if seen.state == "halted":
        return seen, events
    after, more = (_rolling if seen.state == "rolling" else _soaking)(seen, reports, now)
    return after, [*events, *more]


def words_of(reading: Reading) -> str:
    """Fact and limit."""
    subject, value, limit = reading.gate.replace("_", " "), reading.value or 0.0, reading.limit or 0.0
    if reading.gate in rollout_gates.SHARES:
        return f"{subject}: {value:.1%} of {reading.cases} cases, limit {limit:.1%}"
    if reading.gate == "latency":
        return (
            f"{subject}: {value:.0f} ms, limit {limit:.0f} ms"
            if reading.place
            else (f"{subject}: {value:.2f} times as long as before, limit {limit:.2f}")
        )
    return f"{subject}: {value:.0f} on {reading.cases} devices, limit {limit:.0f}"


def _started(rollout: Rollout, reports: Mapping[Place, Report], now: float) -> Step:
    seats = tuple(replace(seat, before=_before(reports.get(seat.place, UNHEARD))) for seat in rollout.seats)
    return replace(rollout, seats=seats, state="rolling", since=now), [Event("rolling", _step_words(rollout))]


def _before(report: Report) -> Before:
    return Before(
        sha256=report.running.sha256 if report.running else "",
        ran=report.ran,
        new=report.new,
        verdict_ms=report.verdict_ms,
        update=report.update,
        alarms=tuple(name for name, _ in report.alarms),
    )


def _seen(rollout: Rollout, reports: Mapping[Place, Report], now: float) -> Step:
    """What each asked device has done about it."""
    seats, events = [], []
    for seat in rollout.seats:
        after = seat
        if seat.asked_at is not None:
            after, event = _seat_seen(rollout, seat, reports.get(seat.place, UNHEARD), now)
            events += [event] if event else []
        seats.append(after)
    return replace(rollout, seats=tuple(seats)), events


def _seat_seen(rollout: Rollout, seat: Seat, report: Report, now: float) -> tuple[Seat, Event | None]:
    update = report.update
    told = update is not None and update.bundle.sha256 == rollout.bundle.sha256 and update != seat.before.update
    if update is not None and told and update.state in ("refused", "returned"):
        failed = replace(seat, failed=update.state, asked_at=None, passed=rollout.step)
        return failed, Event(update.state, update.words, seat.place)
    if runs(report, rollout.bundle):
        taken = seat if seat.taken_at is not None else replace(seat, taken_at=now, late=False)
        event = Event("took", "", seat.place) if taken is not seat else None
        return _timed(rollout, taken, report, now), event
    waited_s = 0.0 if seat.asked_at is None else now - seat.asked_at
    if seat.taken_at is not None or seat.late or waited_s < rollout.plan.late_s or rollout.state == "halted":
        return seat, None
    passed = replace(seat, late=True, passed=rollout.step)
    event = Event("late", f"it has not taken the bundle within {rollout.plan.late_h:g} h", seat.place)
    # At the last step everybody may have it: the wish stays for whenever the device comes back.
    return (passed if rollout.last_step else replace(passed, asked_at=None)), event


def _timed(rollout: Rollout, seat: Seat, report: Report, now: float) -> Seat:
    """Since when its verdicts take too long."""
    value = rollout_gates.verdict_ms(seat, report)
    slow = value is not None and value > rollout_gates.latency_limit_ms(seat, rollout.plan.gates)
    if slow == (seat.slow_since is not None):
        return seat
    return replace(seat, slow_since=now if slow else None)


def _rolling(rollout: Rollout, reports: Mapping[Place, Report], now: float) -> Step:
    """Fills the step with devices; once each of them has the bundle or was passed over, the soak begins."""
    filled, events = _filled(rollout, reports, now)
    if filled != rollout:
        return filled, events
    asked = [seat for seat in rollout.seats if seat.asked_at is not None]
    pending = any(seat.taken_at is None and not seat.late for seat in asked)
    running = any(runs(reports.get(seat.place, UNHEARD), rollout.bundle) for seat in asked)
    if pending or not running:
        return rollout, []
    soaking = replace(rollout, state="soaking", since=now, soak_from=cases_of(rollout, reports))
    return soaking, [Event("soaking", f"{_step_words(rollout)}: {len(asked)} devices")]


def _filled(rollout: Rollout, reports: Mapping[Place, Report], now: float) -> Step:
    room = rollout.sizes[rollout.step] - sum(seat.asked_at is not None for seat in rollout.seats)
    seats = [_held(seat, reports.get(seat.place, UNHEARD)) for seat in rollout.seats]
    both = zip(rollout.seats, seats, strict=True)
    events = [Event("held_back", now_.held, now_.place) for was, now_ in both if now_.held and now_.held != was.held]
    for number in _candidates(rollout, seats, reports)[:room]:
        seat = seats[number]
        seats[number] = _asked(rollout, seat, reports.get(seat.place, UNHEARD), now)
        events.append(Event("asked", "", seat.place))
    return replace(rollout, seats=tuple(seats)), events


def _held(seat: Seat, report: Report) -> Seat:
    if seat.asked_at is not None or seat.failed:
        return seat
    words = NEVER_SAID if report.running is None else report.why_not
    return seat if words == seat.held else replace(seat, held=words)


def _candidates(rollout: Rollout, seats: list[Seat], reports: Mapping[Place, Report]) -> list[int]:
    """Numbers of the seats that may be asked next. Who was passed over in this step comes again where nobody else is
    there; the last step asks everybody, present or not."""
    free = [n for n, seat in enumerate(seats) if seat.asked_at is None and not seat.failed and not seat.held]
    if rollout.last_step:
        return free
    there = [n for n in free if reports.get(seats[n].place, UNHEARD).online]
    fresh = [n for n in there if seats[n].passed != rollout.step]
    nobody = not any(seat.asked_at is not None for seat in seats)
    return fresh or (there if nobody else [])


def _asked(rollout: Rollout, seat: Seat, report: Report, now: float) -> Seat:
    """From here on it has a bundle to go back to: the first one that it was touched with."""
    has_it = seat.former is not None and runs(report, rollout.bundle)
    before = seat.before if has_it else _before(report)
    return replace(seat, former=seat.former or _former(report), asked_at=now, late=False, before=before)


def _former(report: Report) -> BundleRef | None:
    """What it is wished, since that may be on its way; what it runs where it would not have that."""
    update = report.update
    failed = update is not None and update.state in ("refused", "returned")
    if report.asked is None or (failed and update is not None and update.bundle.sha256 == report.asked.sha256):
        return report.running
    return report.asked


def _soaking(rollout: Rollout, reports: Mapping[Place, Report], now: float) -> Step:
    plan, cases = rollout.plan, cases_of(rollout, reports) - rollout.soak_from
    if now - rollout.since < plan.soak_s or cases < plan.least_cases:
        return rollout, []
    if rollout.last_step:
        return replace(rollout, state="done", since=now), [Event("done", _left_over(rollout))]
    after = replace(rollout, state="rolling", step=rollout.step + 1, since=now)
    return after, [Event("rolling", _step_words(after))]


def _returning(rollout: Rollout, reports: Mapping[Place, Report], now: float) -> Step:
    """Until every touched device says that it is back, or has had its time to say so."""
    over = now - rollout.since >= rollout.plan.late_s
    seats = tuple(_back(seat, reports.get(seat.place, UNHEARD), now) for seat in rollout.seats)
    missing = [seat for seat in seats if seat.former is not None and seat.back_at is None]
    after = replace(rollout, seats=seats)
    if missing and not over:
        return after, []
    words = f"{len(missing)} devices have not said so yet; their wish stands" if missing else "every device is back"
    late = [Event("late", "it has not said that it is back", seat.place) for seat in missing]
    return replace(after, state="rolled_back", since=now), [*late, Event("rolled_back", words)]


def _back(seat: Seat, report: Report, now: float) -> Seat:
    there = seat.former is not None and runs(report, seat.former)
    return replace(seat, back_at=now) if there and seat.back_at is None else seat


def _fleet(rollout: Rollout, reports: Mapping[Place, Report]) -> Fleet:
    devices = [(seat, reports.get(seat.place, UNHEARD)) for seat in rollout.seats]
    updated = tuple(device for device in devices if device[0].taken_at is not None)
    others = tuple((seat, report) for seat, report in devices if seat.former is None and _as_before(seat, report))
    touched = sum(seat.former is not None for seat in rollout.seats)
    failed = [seat.failed for seat in rollout.seats if seat.failed]
    return Fleet(updated, others, touched, failed.count("refused"), failed.count("returned"))


def _as_before(seat: Seat, report: Report) -> bool:
    return report.running is not None and report.running.sha256 == seat.before.sha256


def _left_over(rollout: Rollout) -> str:
    """Whom the end of a rollout leaves out."""
    held = sum(bool(seat.held) for seat in rollout.seats)
    late = sum(seat.late for seat in rollout.seats)
    failed = sum(bool(seat.failed) for seat in rollout.seats)
    counted = ((held, "held back"), (late, "late, their wish stands"), (failed, "failed and stay as they were"))
    return "; ".join(f"{number} {words}" for number, words in counted if number)


def _step_words(rollout: Rollout) -> str:
    return f"step {rollout.step + 1} of {len(rollout.sizes)}, up to {rollout.sizes[rollout.step]} devices"


def _only_from(rollout: Rollout, verb: str, states: tuple[State, ...]) -> None:
    if rollout.state not in states:
        ways = ", ".join(states)
        raise ConfigError(f"the rollout is {rollout.state} and cannot be {verb}: that goes from {ways}")


def _lot(bundle: BundleRef, place: Place) -> str:
    return hashlib.sha256(f"{bundle.sha256}{'/'.join(place)}".encode()).hexdigest()
