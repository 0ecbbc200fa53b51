"""PURE. What a rollout is, what devices report, and what comes of it: the records of `rollout_state`, frozen."""

from typing import Literal

import msgspec

from cloud_sync.rollout_plan import Plan
from cloud_sync.worsening import Tally
from edge_agent.messages import UpdateReport
from edge_agent.records import BundleRef, Mode

Place = tuple[str, str]
"""Site and station."""
State = Literal["planned", "rolling", "soaking", "halted", "rolling_back", "done", "rolled_back"]
ACTIVE: tuple[State, ...] = ("planned", "rolling", "soaking", "halted", "rolling_back")
"""In these it holds its places: a newer rollout of any of them waits."""
GateName = Literal[
    "uncertain", "not_tested", "disagreement", "latency", "crashes", "refused", "returned", "high_alarms"
]
EventKind = Literal[
    "begun",
    "rolling",
    "soaking",
    "asked",
    "took",
    "late",
    "held_back",
    "refused",
    "returned",
    "breached",
    "halted",
    "resumed",
    "rolling_back",
    "aborted",
    "rolled_back",
    "done",
]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one device now."""

    running: BundleRef | None = None
    """As it last said."""
    asked: BundleRef | None = None
    """What the cloud wants of it now."""
    online: bool = False
    mode: Mode | None = None
    why_not: str = ""
    """Why it may not switch to the rollout's bundle; empty = it may."""
    update: UpdateReport | None = None
    metrics_at: float | None = None
    """When the latest metrics came, by the cloud's clock."""
    verdict_ms: float | None = None
    starts: int = 0
    """Of the inspection, since the present bundle speaks."""
    alarms: tuple[tuple[str, float], ...] = ()
    """Active ones of high priority: id, and when the cloud first heard of it."""
    ran: Tally = Tally()
    """Cases of the bundle that it is running."""
    new: Tally = Tally()
    """Cases of the rollout's bundle, ever."""


class Before(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a device was before it was asked; until then, when the rollout started."""

    sha256: str = ""
    """Of the bundle that it ran."""
    ran: Tally = Tally()
    new: Tally = Tally()
    verdict_ms: float | None = None
    update: UpdateReport | None = None
    """Of an earlier wish: no news."""
    alarms: tuple[str, ...] = ()


class Seat(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One device in a rollout."""

    site: str
    station: str
    former: BundleRef | None = None
    """What it goes back to; set as soon as it was touched, for good."""
    asked_at: float | None = None
    """Set: it is wished the new bundle."""
    taken_at: float | None = None
    """When the cloud first heard that it runs the new bundle."""
    back_at: float | None = None
    passed: int | None = None
    """The step in which it was passed over."""
    late: bool = False
    failed: Literal["", "refused", "returned"] = ""
    held: str = ""
    """Why it is held back."""
    slow_since: float | None = None
    before: Before = Before()

    @property
    def place(self) -> Place:
        return self.site, self.station


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """Moving devices to a bundle in steps."""

    bundle: BundleRef
    plan: Plan
    sizes: tuple[int, ...]
    """How many devices may be wished the bundle at each step."""
    seats: tuple[Seat, ...]
    """In the order in which they are chosen."""
    state: State = "planned"
    step: int = 0
    since: float = 0.0
    """When state or step last changed."""
    soak_from: int = 0
    """Cases of the bundle in this rollout when the soak began."""
    was_done: bool = False
    """It had reached every device before somebody took it back."""

    @property
    def last_step(self) -> bool:
        return self.step == len(self.sizes) - 1


class Event(msgspec.Struct, frozen=True):
    """Something that a person may want to read later."""

    kind: EventKind
    words: str = ""
    place: Place | None = None


class Reading(msgspec.Struct, frozen=True):
    """One gate's figure: of one device, or of all that are updated."""

    gate: GateName
    place: Place | None
    value: float | None
    limit: float | None
    cases: int
    """Or devices, where those are counted; what the figure stands on."""
    breach: bool


class Decision(msgspec.Struct, frozen=True):
    """What follows from a look at the devices."""

    rollout: Rollout
    wishes: dict[Place, BundleRef]
    """Of every place that was ever touched."""
    events: tuple[Event, ...]
