"""Seed -> Scene: what happens during one immersion. PURE.

Only numbers are drawn here; calibration/bubbles.py makes them move and calibration/twin.py makes them visible.
Lengths are in mm on the tank's front plane: origin at the tank view's top left corner, x right, y down.
"""

from dataclasses import dataclass, replace

import numpy as np

from calibration.look import StationLook, at_pose, draw_station
from calibration.profiles import SceneProfile, draw, profile_named
from calibration.unit import Leak, Unit, draw_leaks, draw_unit
from edge_agent.records import DecisionWord

__all__ = ["Hand", "Leak", "Scene", "StationLook", "Unit", "at_pose", "draw_scene", "draw_station"]

SILENT_BELOW = 3
"""A leak that lets go fewer bubbles during the hold cannot be told from chance: it is a class of its own."""


@dataclass(frozen=True, slots=True)
class Hand:
    """An arm before the glass; times in seconds after the scene's start."""

    from_s: float
    until_s: float
    side: int
    reach: float
    tone: float = 62.0
    shadow: bool = False
    """Only its shadow falls on the tank."""


@dataclass(frozen=True, slots=True)
class Dip:
    """The unit is lifted out and lowered again before anybody decides; seconds after it first came to rest."""

    from_s: float
    until_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One immersion; times in seconds after the unit came to rest unless named otherwise."""

    seed: int
    profile: str
    unit: Unit | None
    leaky: bool
    leaks: tuple[Leak, ...]
    trapped_bubbles: int
    trapped_spots: int
    trapped_tau_s: float
    late_detachments_s: tuple[float, ...]
    attached_bubbles: int
    beads: int
    specks: int
    micro_bubbles: int
    clean_water: float
    """0 = contaminated surface (slow bubbles), 1 = clean."""
    haze: float
    gap_s: float
    lower_s: float
    hold_s: float
    lamp_delay_s: float
    """From the lamp to the moment the unit is raised; long where it is left in."""
    lamp_on_s: float
    raise_s: float
    decision: DecisionWord
    both_lamps: bool
    hands: tuple[Hand, ...]
    knock_px: float
    knock_s: float
    slide_share: float = 0.0
    """Share of the trapped air that creeps along the underside before it rises."""
    left_in: bool = False
    dips: tuple[Dip, ...] = ()

    @property
    def rests_from_s(self) -> float:
        """When the unit came to rest for the last time before the lamp: from then on it is watched."""
        return self.dips[-1].until_s if self.dips else 0.0

    def undipped(self) -> "Scene":
        """The same without the first, broken-off immersion: what a recording of a unit at rest shows."""
        return replace(self, dips=(), hold_s=self.hold_s - self.rests_from_s)

    @property
    def testable(self) -> bool:
        """False where the water hides every bubble."""
        return self.haze < 1.2

    @property
    def bubbles_released(self) -> int:
        """Leak bubbles let go from the last rest until the lamp."""
        start = self.rests_from_s
        watched = ((leak.births_s >= start) & (leak.births_s < self.hold_s) for leak in self.leaks)
        return int(sum(np.count_nonzero(births) for births in watched))

    @property
    def silent(self) -> bool:
        """True for a leak that lets go too few bubbles to be known for one."""
        return self.leaky and self.bubbles_released < SILENT_BELOW


def draw_scene(
    seed: int,
    look: StationLook,
    profile: str = "reference",
    *,
    leaky: bool | None = None,
    inspector_error_rate: float = 0.0,
) -> Scene:
    """One immersion by seed. A leaky unit and its tight twin of the same seed differ in nothing but the leak."""
    ranges = profile_named(profile)
    rng = np.random.default_rng([seed, 21])
    luck, leak_rng = (np.random.default_rng([seed, 22]), np.random.default_rng([seed, 23]))
    drawn_leaky = bool(luck.random() < ranges.leak_share)
    leaky = ranges.has_unit and (drawn_leaky if leaky is None else leaky)
    hold, gap, lower = draw(rng, ranges.hold_s), draw(rng, ranges.gap_s), float(rng.uniform(0.8, 1.6))
    unit = draw_unit(rng, look, ranges) if ranges.has_unit else None
    people = np.random.default_rng([seed, 26])
    dips = _draw_dips(people, ranges) if unit else ()
    hold += dips[-1].until_s if dips else 0.0
    left_in = bool(unit and people.random() < ranges.left_in_share)
    delay = float(people.uniform(8, 40)) if left_in else float(people.uniform(0.3, 0.8))
    late = np.sort(rng.uniform(0.5, hold + 1, rng.poisson(draw(rng, ranges.late_rate) * (hold + 0.5))))
    return Scene(
        seed=seed,
        profile=profile,
        unit=unit,
        leaky=leaky,
        leaks=draw_leaks(leak_rng, look, unit, ranges, hold + delay + 3.0) if leaky and unit else (),
        trapped_bubbles=int(rng.integers(2, 41)) if unit and rng.random() < ranges.trapped_share else 0,
        trapped_spots=int(rng.integers(1, 5)),
        trapped_tau_s=float(rng.uniform(0.12, 0.5)),
        late_detachments_s=tuple(float(at) for at in late) if unit else (),
        attached_bubbles=int(rng.integers(1, 25)) if unit and rng.random() < ranges.attached_share else 0,
        beads=int(rng.integers(1, 9)) if unit and rng.random() < ranges.bead_share else 0,
        specks=int(draw(rng, ranges.specks)),
        micro_bubbles=int(draw(rng, ranges.micro_bubbles)),
        clean_water=float(rng.random()),
        haze=look.haze * float(rng.uniform(0.9, 1.1)),
        gap_s=gap,
        lower_s=lower,
        hold_s=hold,
        lamp_delay_s=delay,
        lamp_on_s=float(rng.uniform(1.5, ranges.lamp_on_max_s)),
        raise_s=float(rng.uniform(0.8, 1.4)),
        decision=_decide(luck, leaky, unit is not None, ranges, inspector_error_rate),
        both_lamps=bool(luck.random() < ranges.both_lamps_share),
        hands=_draw_hands(people, ranges, gap + lower + hold),
        knock_px=draw(rng, ranges.knock_px) if rng.random() < ranges.knock_share else 0.0,
        knock_s=float(rng.uniform(0.5, max(hold, 1.0))),
        slide_share=ranges.slide_share,
        left_in=left_in,
        dips=dips,
    )


def _draw_dips(rng: np.random.Generator, ranges: SceneProfile) -> tuple[Dip, ...]:
    if rng.random() >= ranges.dip_share:
        return ()
    start = float(rng.uniform(0.5, 4.0))
    return (Dip(start, start + float(rng.uniform(2.0, 4.0))),)


def _decide(
    luck: np.random.Generator, leaky: bool, has_unit: bool, ranges: SceneProfile, error_rate: float
) -> DecisionWord:
    """The inspector's word: the truth, but for `error_rate` of the cases and those that nobody decides."""
    errs, silent = (bool(luck.random() < error_rate), bool(luck.random() < ranges.undecided_share))
    if not has_unit or silent:
        return "none"
    return "leak" if leaky != errs else "ok"


def _draw_hands(rng: np.random.Generator, ranges: SceneProfile, until: float) -> tuple[Hand, ...]:
    """An arm, and independently of it a shadow that somebody throws on the tank."""
    shares = ((ranges.hand_share, False), (ranges.shadow_share, True))
    return tuple(_draw_hand(rng, until, shadow) for share, shadow in shares if rng.random() < share)


def _draw_hand(rng: np.random.Generator, until: float, shadow: bool) -> Hand:
    start = float(rng.uniform(0.2, max(until - 1.0, 0.4)))
    return Hand(
        from_s=start,
        until_s=start + float(rng.uniform(0.6, 2.0)),
        side=int(rng.choice([-1, 1])),
        reach=float(rng.uniform(0.2, 0.6)),
        tone=float(rng.choice([rng.uniform(25, 90), rng.uniform(110, 210)])),
        shadow=shadow,
    )
