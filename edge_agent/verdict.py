"""What was watched and how the nets scored it -> Verdict. It only applies limits. PURE."""

from dataclasses import dataclass

from edge_agent.bundle import BundleManifest, Preprocessing
from edge_agent.records import FramingSummary, Verdict, VerdictWord, WaterSummary
from edge_agent.station import StationProfile
from edge_agent.visibility import smallest_leak_std_cm3_s

LEAST_COMPOSITES = 0.5
"""Share of the composites that are due: a unit whose seconds went by between them was not looked at."""
LEAST_LATE_S = 0.5
"""However short a recording may be without a profile: who saw no moment of settled water cannot say ok."""


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
    """What the nets found: the calibrated score, where bubbles come from (tank view pixels) and why, in words.

    `late_s`: seconds seen after the water had settled.
    """

    score: float
    late_s: float
    origin_px: tuple[int, int] | None
    words: str


def not_tested(reason: str, smallest_leak_std_cm3_s: float | None = None) -> Verdict:
    """The fourth answer: nothing was shown, and `reason` says why."""
    return Verdict("not_tested", None, reason, smallest_leak_std_cm3_s=smallest_leak_std_cm3_s)


def decide(
    watched: Watched,
    finding: Finding | None,
    profile: StationProfile | None,
    *,
    manifest: BundleManifest,
    px_per_mm: float | None,
) -> Verdict:
    """The verdict under the bundle's limits. Without a profile, hold, scale, framing and water are no reasons for
    `not_tested`. `px_per_mm`: of the tank view that the nets saw.
    """
    due = watched.usable_s * 1000 / manifest.preprocessing.period_ms
    gaps = _gaps(watched.composites, due, manifest.preprocessing)
    seen_s = 0.0 if gaps or watched.fault else watched.usable_s
    smallest = smallest_leak_std_cm3_s(px_per_mm, seen_s, manifest.sensitivity)
    reason = _obstacle(watched, profile, smallest, gaps)
    if finding is None or reason:
        return not_tested(reason or "too few usable frames for one composite, 3 are needed: record longer", smallest)
    thresholds = manifest.thresholds
    score = round(finding.score, 4)
    word: VerdictWord = "uncertain"
    if score > thresholds.leak_above:
        word = "leak"
    elif score < thresholds.ok_below and finding.late_s >= LEAST_LATE_S:
        word = "ok"
    return Verdict(
        verdict=word,
        score=score,
        reason=finding.words,
        leak_at_tank_px=finding.origin_px if word != "ok" else None,
        smallest_leak_std_cm3_s=smallest,
    )


def _obstacle(watched: Watched, profile: StationProfile | None, smallest: float | None, gaps: str) -> str:
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
    if gaps:
        return gaps
    required = profile.required_sensitivity_std_cm3_s
    if required is not None and smallest is not None and smallest > required:
        return (
            f"leaks below {smallest:.2g} std cm3/s could not be seen, {required:.2g} is required: "
            "hold the unit longer or move the camera closer"
        )
    return ""


def _gaps(composites: int, due: float, preprocessing: Preprocessing) -> str:
    """What kept composites from being made; empty while enough of those that were due were made."""
    if composites >= LEAST_COMPOSITES * due:
        return ""
    return (
        f"only {composites} of {due:.0f} composites could be made, the frames do not come "
        f"{preprocessing.spacing_ms:.0f} ms apart (+-{preprocessing.spacing_tolerance_ms:.0f} ms): "
        "set the camera's frame rate"
    )


def _cure(watched: Watched) -> str:
    return {"lost": "clear the markers", "shifted": "run 'calibrate check'"}.get(
        watched.framing.status, "hold it longer"
    )
