"""PURE. Challenge parts ("red rabbits"): what a run of one says, when the next is due, which units a miss calls back.

A challenge part is a leaker or a good dummy of known truth, known by its serial. Order at one station: by the device's
own numbers within one installation of it, by time between two, so that no restart and no jumping clock moves a unit.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from cloud_sync.draw import place_of

Truth = Literal["leak", "ok"]
Result = Literal["passed", "missed", "false_alarm", "repeat"]
"""`repeat`: no answer (uncertain or not tested). It lets no unit go, so it is no miss; it shows nothing, so no pass."""
When = Literal["shift", "random", "hours"]
DAY_S = 86_400
SLOT_S = 900
"""Random runs fall due at the start of a quarter of an hour: what a line can follow."""
LONGEST_RANDOM_S = 7 * DAY_S
"""However the lot falls, no station goes longer without one."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One registered part. Its serial is its site's: a run counts at every station there."""

    id: int
    site: str
    station: str | None = None
    """Where it is due; None: at every station of the site."""
    serial: str
    truth: Truth
    leak_std_cm3_s: float | None = None
    """As calibrated; None: not known, or a good one."""
    registered_by: str = ""
    registered_at: float
    retired_at: float | None = None


class Moment(msgspec.Struct, frozen=True):
    """Where a case stands in its station's order."""

    boot_id: str
    sequence: int
    started_at: float


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One case with a registered serial."""

    case_id: str
    part_id: int = 0
    site: str
    station: str
    serial: str
    truth: Truth
    leak_std_cm3_s: float | None = None
    boot_id: str
    sequence: int
    started_at: float
    verdict: str
    result: Result
    """The machine's."""
    decision: str = "none"
    """The inspector's; `none` where no human decided."""
    bundle_version: int | None = None

    @property
    def moment(self) -> Moment:
        return Moment(self.boot_id, self.sequence, self.started_at)

    @property
    def human_result(self) -> Result:
        return result(self.truth, self.decision)


class Interval(msgspec.Struct, frozen=True):
    """After `after`, up to and including `until`; None: without that end."""

    after: Moment | None
    until: Moment | None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """When parts are to be run."""

    when: When
    shift_starts_s: tuple[int, ...] = ()
    """Seconds after midnight, UTC."""
    hours: float = 24.0
    a_day: float = 2.0
    salt: str = ""
    grace_s: float = 1800.0
    """How long after it is due a part counts as overdue."""


class Due(msgspec.Struct, frozen=True):
    """How a station stands with one kind of part."""

    state: Literal["later", "due", "overdue"]
    at: float
    words: str


def result(truth: Truth, *words: str) -> Result:
    """What the words on a part are worth: the machine's verdict and, where it gave one, its word to the line; or the
    inspector's decision. One wrong word makes it wrong."""
    answers = {word for word in words if word in ("leak", "ok")}
    if not answers:
        return "repeat"
    if answers == {truth}:
        return "passed"
    return "missed" if truth == "leak" else "false_alarm"


def part_of(parts: Iterable[Part], serial: str, started_at: float, *, called: bool) -> Part | None:
    """The part that a case with this serial showed. `called`: the station itself said that it was a challenge; it knows
    what is registered, so its clock need not be right. What was retired before the case is no part any more."""
    mine = sorted((part for part in parts if part.serial == serial), key=lambda part: part.registered_at)
    fits = [part for part in mine if part.registered_at <= started_at < _end(part)]
    if not fits and called:
        fits = [part for part in mine if part.retired_at is None]
    return fits[-1] if fits else None


def before(one: Moment, other: Moment) -> bool:
    """Whether `one` came first."""
    if life(one.boot_id) == life(other.boot_id):
        return one.sequence < other.sequence
    return one.started_at < other.started_at


def life(boot_id: str) -> str:
    """The installation within which case numbers only rise: a boot's id begins with its id, and a dash."""
    return boot_id.rpartition("-")[0] or boot_id


def holds(interval: Interval, moment: Moment) -> bool:
    """Whether a case lies in it, whenever it arrived."""
    after, until = interval.after, interval.until
    return (after is None or before(after, moment)) and (until is None or not before(until, moment))


def proves(good: Run, missed: Run) -> bool:
    """Whether a run that passed shows that the station would not have missed the other part then: the same part, or a
    leak known to be no larger. A large leak that was found says nothing of a small one."""
    if good.result != "passed" or good.truth != missed.truth:
        return False
    if good.serial == missed.serial:
        return True
    sizes = good.leak_std_cm3_s, missed.leak_std_cm3_s
    return sizes[0] is not None and sizes[1] is not None and sizes[0] <= sizes[1]


def called_back(missed: Run, runs: Sequence[Run]) -> Interval:
    """The units that a miss puts in doubt: since the last good run of that kind. `runs`: its station's, in no order."""
    good = [run.moment for run in runs if proves(run, missed) and before(run.moment, missed.moment)]
    return Interval(_latest(good), missed.moment)


def since(missed: Run, runs: Sequence[Run]) -> Interval:
    """From the miss to the next good run of that kind, or to now."""
    good = [run.moment for run in runs if proves(run, missed) and before(missed.moment, run.moment)]
    return Interval(missed.moment, _earliest(good))


def is_open(missed: Run, runs: Sequence[Run]) -> bool:
    """No good run of that kind has followed."""
    return since(missed, runs).until is None


def due(plan: Plan, key: str, last_at: float | None, registered_at: float) -> float:
    """When the next run is due, UTC seconds. `key`: whose it is, for the lot. A part that never ran is due at once."""
    if last_at is None:
        return registered_at
    if plan.when == "random":
        return _drawn(plan, key, last_at)
    if plan.when == "shift" and plan.shift_starts_s:
        return _next_start(plan.shift_starts_s, last_at)
    return last_at + 3600 * plan.hours


def told(due_at: float, now: float, grace_s: float) -> Due:
    """The same for a person; the words follow the state's."""
    if now < due_at:
        return Due("later", due_at, f"in {_length(due_at - now)}")
    if now <= due_at + grace_s:
        return Due("due", due_at, "")
    return Due("overdue", due_at, f"by {_length(now - due_at)}: run one before the next unit")


def _end(part: Part) -> float:
    return float("inf") if part.retired_at is None else part.retired_at


def _latest(moments: Sequence[Moment]) -> Moment | None:
    found: Moment | None = None
    for moment in moments:
        found = moment if found is None or before(found, moment) else found
    return found


def _earliest(moments: Sequence[Moment]) -> Moment | None:
    found: Moment | None = None
    for moment in moments:
        found = moment if found is None or before(moment, found) else found
    return found


def _next_start(starts_s: Sequence[int], last_at: float) -> float:
    """The first shift that begins after the last run: a run just before a shift is the earlier one's."""
    midnight = last_at // DAY_S * DAY_S
    starts = [midnight + day_s + start_s for day_s in (0, DAY_S) for start_s in starts_s]
    return min(start for start in starts if start > last_at)


def _drawn(plan: Plan, key: str, last_at: float) -> float:
    """The first quarter of an hour after the last run that is drawn: each with the same chance, by a salted hash."""
    chance = plan.a_day * SLOT_S / DAY_S
    first = int(last_at // SLOT_S) + 1
    for slot in range(first, first + LONGEST_RANDOM_S // SLOT_S):
        if place_of(f"{key}/{slot}", plan.salt) < chance:
            return float(slot * SLOT_S)
    return float((first + LONGEST_RANDOM_S // SLOT_S) * SLOT_S)


def _length(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days"
