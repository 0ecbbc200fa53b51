"""PURE. How a rollout goes and what stops it: the steps, their time, and the gates' limits, with a reason for each.

They are the section [rollout] of the policy file; a rollout keeps the plan that it was begun with.
"""

from typing import Annotated

import msgspec

from edge_agent.errors import ConfigError

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Above0 = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]
HOUR_S = 3600.0


class Gates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What no device may do with the new bundle. One breach takes it back from all of them."""

    false_halt_rate: Annotated[float, msgspec.Meta(gt=0, le=0.5)] = 0.05
    """Of rollouts of a bundle that worsens no share: at most so many are stopped by a share, however often it is looked
    at."""
    uncertain_margin: Share = 0.02
    """Percentage points, as a fraction, by which a share may be worse than before: whether a bundle is better was
    settled beside the champion, on the same units; the rollout only has to see that the switch worked."""
    not_tested_margin: Share = 0.02
    disagreement_margin: Share = 0.02
    share_most: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.5
    """The limit of any share where there is nothing to compare with."""
    latency_ratio: Annotated[float, msgspec.Meta(ge=1)] = 2.0
    """A device's verdict may take so many times what it took before: nets differ, and the figure is a 95th percentile
    of few cases."""
    latency_pooled_ratio: Annotated[float, msgspec.Meta(ge=1)] = 1.5
    """The middle one of all updated devices; chance is less there."""
    latency_free_ms: Above0 = 500.0
    """No inspector notices less."""
    latency_most_ms: Above0 = 2000.0
    """Where it is not known what it took before."""
    latency_hold_s: Count = 60
    """So long it has to be too slow: one busy moment is none of the bundle's."""
    crashes_most: Count = 1
    """Of one device since it runs the bundle: someone may have switched it off and on."""
    crashes_share: Share = 0.05
    """Crashes of all updated devices together, for each of them, where that is more than `crashes_most`."""
    refused_share: Share = 0.02
    """Of the devices that were asked: one with a full disk among a hundred is no fault of the bundle."""
    returned_share: Share = 0.01
    """Of the devices that were asked: it ran and failed there."""
    alarm_window_s: Above0 = 900.0
    """A high alarm that comes so soon after the switch counts as the bundle's; later ones are only shown, since
    cameras are knocked every day."""
    alarm_share: Share = 0.05
    """Of the updated devices, beyond the share of the others that had a new one meanwhile."""


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a rollout goes."""

    steps: tuple[Share, ...] = (0.05, 0.25, 0.5, 1.0)
    """Shares of the devices; each step has at least one device, and steps that add none are left out."""
    soak_h: Annotated[float, msgspec.Meta(ge=0)] = 8.0
    """A shift: another inspector, other light."""
    least_cases: Count = 50
    """Of all updated devices together in a step: without cases time shows nothing."""
    late_h: Above0 = 2.0
    """A device that has not taken the bundle by then is passed over, and another one takes its place."""
    gates: Gates = Gates()

    @property
    def soak_s(self) -> float:
        return self.soak_h * HOUR_S

    @property
    def late_s(self) -> float:
        return self.late_h * HOUR_S


def checked(plan: Plan) -> Plan:
    """Raises ConfigError where the steps do not lead to all devices."""
    rising = all(before < after for before, after in zip((0.0, *plan.steps), plan.steps, strict=False))
    if not plan.steps or not rising or plan.steps[-1] != 1:
        raise ConfigError("steps of the rollout have to rise from above 0 to 1.0, such as [0.05, 0.25, 0.5, 1.0]")
    return plan


def sizes(plan: Plan, devices: int) -> tuple[int, ...]:
    """How many of so many devices may have the bundle at each step: at least one, and each time more than before."""
    counts = (max(1, int(share * devices + 1e-9)) for share in plan.steps)
    return tuple(sorted({min(count, devices) for count in counts}))
