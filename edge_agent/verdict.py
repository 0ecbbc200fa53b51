"""What was watched and how the nets scored it -> Verdict. It only applies limits. PURE."""

from dataclasses import dataclass

from edge_agent.bundle import Sensitivity, Thresholds
from edge_agent.records import FramingSummary, Verdict, VerdictWord, WaterSummary
from edge_agent.station import StationProfile
from edge_agent.visibility import smallest_leak_std_cm3_s


@dataclass(frozen=True, slots=True)
class Watched:
    """How a unit was watched. `fault`: words on what blinded the camera for most of the time, or empty."""

    usable_s: float
    composites: int
    framing: FramingSummary
    water: WaterSummary
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What the nets found: the calibrated score, where bubbles come from (tank view pixels) and why, in words."""

    score: float
    origin_px: tuple[int, int] | None
    words: str


def not_tested(reason: str, watched: Watched | None = None) -> Verdict:
    """The fourth answer: nothing was shown, and `reason` says why."""
    return Verdict(verdict="not_tested", score=None, reason=reason)


def decide(
    watched: Watched,
    finding: Finding | None,
    profile: StationProfile | None,
    *,
    thresholds: Thresholds,
    sensitivity: Sensitivity,
) -> Verdict:
    """The verdict. Without a profile, hold, scale, framing and water are no reasons for `not_tested`."""
    scale = profile.px_per_mm if profile else None
    smallest = smallest_leak_std_cm3_s(scale, watched.usable_s, sensitivity)
    reason = _obstacle(watched, profile, smallest)
    if finding is None or reason:
        return not_tested(reason or "too few usable frames for one composite, 3 are needed: record longer")
    score = round(finding.score, 4)
    word: VerdictWord = (
        "leak" if score > thresholds.leak_above else "ok" if score < thresholds.ok_below else "uncertain"
    )
    return Verdict(
        verdict=word,
        score=score,
        reason=finding.words,
        leak_at_tank_px=finding.origin_px if word != "ok" else None,
        smallest_leak_std_cm3_s=smallest,
    )


def _obstacle(watched: Watched, profile: StationProfile | None, smallest: float | None) -> str:
    if watched.fault:
        return watched.fault
    if profile is None:
        return ""
    if watched.water.status == "murky":
        return f"the water is murky (clarity {watched.water.clarity:.2f}): change the water"
    if watched.usable_s < profile.required_hold_s:
        cause = {"lost": ", the markers were covered", "shifted": ", the camera has moved"}.get(
            watched.framing.status, ""
        )
        seen = f"the unit could be watched for {watched.usable_s:.1f} s, {profile.required_hold_s:.1f} s are needed"
        return f"{seen}{cause}: {_cure(watched)}"
    required = profile.required_sensitivity_std_cm3_s
    if required is not None and smallest is not None and smallest > required:
        return (
            f"leaks below {smallest:.2g} std cm3/s could not be seen, {required:.2g} is required: "
            "hold the unit longer or move the camera closer"
        )
    return ""


def _cure(watched: Watched) -> str:
    return {"lost": "clear the markers", "shifted": "run 'calibrate check'"}.get(
        watched.framing.status, "hold it longer"
    )
