"""A seed and a number -> one schedule of faults of a link: what happens to which packet, always the same.

Faults are bound to packets, not to times: the fifth case that goes to the broker meets its fault on any machine.
"""

import random
from dataclasses import dataclass
from typing import Literal, get_args

from benchmarks.mqtt_packets import PUBACK, PUBLISH

Side = Literal["device", "cloud"]
Kind = Literal[
    "cut",
    "half_open",
    "one_way",
    "withheld_acks",
    "lost_acks",
    "duplicate",
    "replay",
    "reorder",
    "stall",
    "slow",
    "refuse",
    "mute",
    "cable",
]
SIDES: tuple[Side, ...] = ("device", "cloud")
KINDS: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind != "cable")
"""Those of the proxy. `cable` is pulled between two hosts, and needs them."""
LONGEST_S, LONGEST_PULL_S = 6.0, 30.0
MOST_BESIDE = 2
_LASTING = ("withheld_acks", "replay", "reorder", "stall", "slow", "refuse", "mute", "cable")
FEW, MANY = 4, 25
"""Of 20 cases a device publishes 30 packets and more; receipts for them come in a handful."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one way to the broker.

    `cut`: after a part of the packet both connections end. `half_open`: from here on all is swallowed, both ways, and
    nobody is told; `one_way`: only towards here. `withheld_acks`: for a time; `lost_acks`: for good. `duplicate`: sent
    twice, the second time with DUP; `replay`: once more a while later, as it was. `reorder`: behind the packets that
    follow. `stall`: nothing moves for a time; `slow`: a few kB/s. `refuse`: cut, and nobody is let in for a time;
    `mute`: cut, and whoever connects then never hears a word. `cable`: the link between the hosts is down for a time.
    """

    kind: Kind
    side: Side
    upward: bool
    """Towards the broker."""
    at: int
    """Which packet of its type in this direction, counted from 1 at the schedule's start."""
    for_s: float
    part: float
    """Of the packet, before a cut."""
    count: int
    """Acknowledgements, or packets that overtake."""
    hard: bool
    """A cut with RST instead of FIN; a swallowed link whose buffers fill instead of being emptied."""

    @property
    def packet(self) -> int:
        """The type of packet that it is bound to."""
        return PUBACK if self.kind in ("withheld_acks", "lost_acks") else PUBLISH

    @property
    def lasts_s(self) -> float:
        """How long it has to be let alone; a link that swallows goes on until somebody leaves it."""
        return self.for_s if self.kind in _LASTING else 0.0


def schedule(seed: int, number: int, *, cable: bool = False) -> tuple[Fault, ...]:
    """The faults of schedule `number`: its own kind first, by turns, then up to two of any kind and side."""
    chance = random.Random(f"{seed}/{number}")
    kinds = (*KINDS, "cable") if cable else KINDS
    turn, place = divmod(number, len(kinds))
    first = _fault(chance, kinds[place], SIDES[(place + turn + 1) % 2])
    beside = range(chance.choice([0, 0, 1, 1, MOST_BESIDE]))
    return (first, *(_fault(chance, chance.choice(kinds), chance.choice(SIDES)) for _ in beside))


def _fault(chance: random.Random, kind: Kind, side: Side) -> Fault:
    side = "device" if kind == "cable" else side
    upward = chance.random() < 0.5
    # Cases flow from the device to the broker and from the broker to the cloud, receipts the other way, their
    # acknowledgements against them.
    with_cases = upward == (side == "device")
    many = with_cases != (kind in ("withheld_acks", "lost_acks"))
    return Fault(
        kind=kind,
        side=side,
        upward=upward,
        at=chance.randint(1, MANY if many else FEW),
        for_s=round(chance.uniform(0.3, LONGEST_PULL_S if kind == "cable" else LONGEST_S), 2),
        part=chance.random(),
        count=chance.randint(1, 12),
        hard=chance.random() < 0.5,
    )
