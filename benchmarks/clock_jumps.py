"""The jumps of `drill clock`, and what must hold at each with clocks that are handed in: words of what did not hold.

UTC jumps, the clock that nobody sets goes on; so no process, no waiting, and no library that lies about the time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from benchmarks.made_cases import BUNDLE, SITE, STATION, make_case
from edge_agent import alarms, clock, profile_check, shifts, utc
from edge_agent.alarm_catalogue import shipped
from edge_agent.alarms import Book, Condition, Moment, Order
from edge_agent.automation import CLOCK_TOLERANCE_S
from edge_agent.config import DeviceConfig
from edge_agent.messages import ModeCertificate, ModeOrder
from edge_agent.mode_keeper import EARLIEST, JUMP_S, Circumstances, ModeKeeper
from edge_agent.outbox import RECORD_DAYS, Outbox
from edge_agent.records import Framing

DAY = 86_400.0
START = datetime(2026, 11, 29, 8, tzinfo=UTC).timestamp()
STARTED_S = 500.0
"""On the clock that nobody sets; it has nothing to do with UTC."""
PROFILE = "c" * 64
ORDER_DAYS = 20
ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Kiritimati")
SHIFTS = ("06:00", "14:00", "22:00")
SHELF_S = 600.0


@dataclass(frozen=True, slots=True)
class Jump:
    """`to`: UTC in seconds since 1970, after it."""

    name: str
    to: float

    @property
    def by_s(self) -> float:
        return self.to - START


def _at(year: int, month: int = 1, day: int = 1, hour: int = 0, second: int = 0) -> float:
    return datetime(year, month, day, hour, 0, second, tzinfo=UTC).timestamp()


JUMPS = (
    Jump("1 s forward", START + 1),
    Jump("1 s back", START - 1),
    Jump("1 min forward", START + 60),
    Jump("1 min back", START - 60),
    Jump("a zone forward", START + 2 * 3600),
    Jump("a zone back", START - 5 * 3600),
    Jump("31 days forward", START + 31 * DAY),
    Jump("31 days back", START - 31 * DAY),
    Jump("1970", 0.0),
    Jump("before 1970", -3600.0),
    Jump("19 January 2038", 2.0**31 - 1),
    Jump("after it", 2.0**31 + 10),
    Jump("after 2106", 2.0**32 + 10),
    Jump("2200", _at(2200)),
)


@dataclass
class Clocks:
    """Two clocks that are handed in."""

    utc_s: float = START
    monotonic_s: float = STARTED_S

    def utc(self) -> float:
        return self.utc_s

    def monotonic(self) -> float:
        return self.monotonic_s

    def go_on(self, by_s: float) -> None:
        self.utc_s += by_s
        self.monotonic_s += by_s


def outbox_stands_it(jump: Jump, folder: Path) -> str:
    """Order, receipts and retention over the jump, and over the way back."""
    clocks = Clocks()
    outbox = Outbox.open(folder / "outbox.db", folder / "spool", clocks.utc)
    try:
        removed = _day(outbox, clocks, range(1, 4), folder)
        clocks.utc_s += jump.by_s
        removed += _day(outbox, clocks, range(4, 7), folder)
        clocks.utc_s -= jump.by_s
        removed += _day(outbox, clocks, range(7, 9), folder)
        kept = [case.sequence for case in outbox.cases_after(0, 100)]
        if removed or kept != list(range(1, 9)):
            return f"{removed} records were removed, cases {kept} are left of 8 in three days"
        clocks.monotonic_s += RECORD_DAYS * DAY
        outbox.retain(clocks.monotonic_s, 0)
        left = len(outbox.cases_after(0, 100))
        return "" if left < len(kept) else f"{left} records are kept for ever"
    finally:
        outbox.close()


def _day(outbox: Outbox, clocks: Clocks, numbers: range, folder: Path) -> int:
    """Cases are made, receipted and, as each hour, looked through; how many records went."""
    for number in numbers:
        outbox.put(make_case(number, ended_at=utc.text(clocks.utc_s)))
        clocks.go_on(60.0)
    waiting = outbox.waiting_cases(100)
    known = outbox.receipted(cases=[(case.case_id, case.sha256) for case in waiting])
    removed = outbox.retain(clocks.monotonic_s, 0)
    clocks.go_on(DAY)
    return removed + outbox.retain(clocks.monotonic_s, 0) + abs(known - len(numbers))


def mode_is_as_documented(jump: Jump, folder: Path) -> str:
    """`partial` before; after it what docs/automation.md says, until it is acknowledged and the time is right again."""
    clocks, circumstances = Clocks(), Circumstances(BUNDLE.sha256, "ok", True, "clear")
    device = DeviceConfig(site=SITE, station="station.toml", camera="x", data_dir=str(folder), mode="full")
    (folder / "signed").mkdir()
    profile_check.mark_checked(device.profiles_path, PROFILE, Framing("ok", np.eye(3), 4, 0.3, 0.0), now=START)
    device.order_path.write_bytes(msgspec.json.encode(_order()))
    keeper = ModeKeeper(device, STATION, PROFILE, (clocks.utc, clocks.monotonic))
    seen = [keeper.look(circumstances).mode]
    clocks.utc_s += jump.by_s
    for _ in range(2):
        clocks.go_on(0.25)
        seen.append(keeper.look(circumstances).mode)
    clocks.utc_s -= jump.by_s
    clocks.go_on(0.25)
    seen.append(keeper.look(circumstances).mode)
    keeper.acknowledge()
    seen.append(keeper.look(circumstances).mode)
    wanted = _modes(jump)
    return "" if seen == wanted else f"the modes were {', '.join(seen)}; wanted {', '.join(wanted)}"


def _modes(jump: Jump) -> list[str]:
    """Before, twice after it, back again, acknowledged.

    What the human alone decided is over with its cause; `shadow` stays until somebody acknowledges. An order that the
    clock has ended is not brought back by it.
    """
    if abs(jump.by_s) <= JUMP_S:
        return ["partial"] * 5
    lowest = "human_only" if jump.to < EARLIEST else "shadow"
    return ["partial", lowest, lowest, "shadow", "shadow" if jump.by_s > ORDER_DAYS * DAY else "partial"]


def _order() -> ModeOrder:
    ordered, ends = START - CLOCK_TOLERANCE_S, utc.text(START + ORDER_DAYS * DAY)
    certificate = ModeCertificate(
        miss_rate_upper=0.009,
        false_alarm_rate_upper=0.01,
        confidence=0.95,
        shown_by="units",
        leaky=900,
        good=9000,
        coverage=0.97,
        measured_at=utc.text(ordered),
        expires_at=ends,
    )
    return ModeOrder(
        site=SITE,
        station=STATION,
        mode="partial",
        counter=1,
        bundle_sha256=BUNDLE.sha256,
        profile_sha256=PROFILE,
        certificate=certificate,
        reason="drill",
        ordered_by="drill",
        ordered_at=utc.text(ordered),
        expires_at=ends,
    )


def shelf_ends(jump: Jump, folder: Path) -> str:
    """An alarm is shelved, the clock jumps: it is out of sight for no longer than was ordered, and never lost."""
    clocks, rules = Clocks(), shipped().rules("inspect")
    order = Order(key="1", id="camera", order="shelve", by="erna", at_s=START, for_s=SHELF_S, reason="drill")
    book, words = Book(), Condition(id="camera", words="no picture: look at the cable")

    def look(by_s: float, orders: tuple[Order, ...] = ()) -> str:
        nonlocal book
        clocks.go_on(by_s)
        now = Moment(clocks.monotonic_s, clocks.utc_s)
        book, _ = alarms.step(book, rules, conditions=[words], orders=orders, now=now)
        return next(one.state for one in alarms.board(book, rules).holding)

    long_s = rules.alarm["camera"].on_delay_s + 1.0
    before = [look(0.0), look(long_s), look(0.0, (order,))]
    clocks.utc_s += jump.by_s
    after, ended = look(1.0, (order,)), look(SHELF_S, (order,))
    if before[-1] != "shelved" or ended != "unacknowledged":
        return f"the alarm was {before[-1]}, after its time {ended}"
    return "" if after == "shelved" or jump.by_s >= SHELF_S - long_s else f"at the jump it was {after}"


def shift_is_found(jump: Jump, _: Path) -> str:
    """In every zone a shift begins before now and ends after it, within a day and an hour."""
    for name in ZONES:
        shift = shifts.shift_at(jump.to, SHIFTS, ZoneInfo(name))
        if not shift.begins <= jump.to < shift.ends or shift.ends - shift.begins > DAY + 3600:
            return f"{name}: {shift.words} is no shift of {utc.text(jump.to)}"
    return ""


def wrong_time_is_refused(jump: Jump, _: Path) -> str:
    """Before what the cloud has signed nothing is looked for, in words with the cure."""
    signed = datetime.fromtimestamp(START, UTC)
    words = clock.fault(signed + timedelta(seconds=jump.by_s), signed - timedelta(days=1), signed)
    is_behind = -jump.by_s > clock.SLACK.total_seconds()
    return "" if bool(words) == is_behind else f"said {words!r}"


CHECKS: dict[str, Callable[[Jump, Path], str]] = {
    "outbox": outbox_stands_it,
    "mode": mode_is_as_documented,
    "shelf": shelf_ends,
    "shift": shift_is_found,
    "updates": wrong_time_is_refused,
}


def broken(jump: Jump, folder: Path) -> list[str]:
    """What did not hold at this jump, a line each. A crash is one of them."""
    found = []
    for name, check in CHECKS.items():
        at = folder / name
        at.mkdir(parents=True)
        try:
            words = check(jump, at)
        except Exception as error:  # noqa: BLE001 - a crash is what the drill looks for
            words = f"{type(error).__name__}: {error}"
        if words:
            found.append(f"{jump.name}: {name}: {words}")
    return found
