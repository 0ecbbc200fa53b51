"""What was watched and how the nets scored it -> Verdict. It only applies limits. PURE."""

from dataclasses import dataclass, replace

import msgspec
from msgspec import UNSET

from edge_agent.bundle import BundleManifest, Preprocessing, Sensitivity, Thresholds
from edge_agent.records import Emission, FramingSummary, Verdict, VerdictWord, Visibility, WaterSummary
from edge_agent.station import StationProfile
from edge_agent.visibility import WORSE, costs, smallest_bubble_px, smallest_leak_std_cm3_s

LEAST_COMPOSITES = 0.5
"""Share of the composites that are due: a unit whose seconds went by between them was not looked at."""
LEAST_LATE_S = 0.5
"""However short a recording may be without a profile: who saw no moment of settled water cannot say ok."""


@dataclass(frozen=True, slots=True)
class Watched:
    """How a unit was watched. `fault`: words on what blinded the camera for most of the time, or empty; `trouble`: on
    what cost most of the time that is missing."""

    usable_s: float
    composites: int
    framing: FramingSummary
    water: WaterSummary
    fault: str = ""
    visibility: Visibility | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What the nets found: the calibrated score, where bubbles come from (tank view pixels) and why, in words.

    `late_s`: seconds seen after the water had settled.
    """

    score: float
    late_s: float
    origin_px: tuple[int, int] | None
    words: str
    words_if_tight: str
    """What to say where the score says that nothing leaks."""
    emission: Emission | None = None
    distance: float = 0.0
    """From the cases that the nets were trained on."""


def not_tested(reason: str) -> Verdict:
    """The fourth answer: nothing was shown, and `reason` says why."""
    return Verdict("not_tested", None, reason)


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
    view = _Shown(watched.visibility, manifest.sensitivity, px_per_mm, seen_s)
    reason = _obstacle(watched, profile, gaps) or _too_small(view, profile)
    if finding is None or reason:
        verdict = not_tested(reason or "too few usable frames for one composite, 3 are needed: record longer")
    else:
        verdict = _word(finding, watched.usable_s, manifest.thresholds)
    return msgspec.structs.replace(verdict, smallest_leak_std_cm3_s=view.leak_std_cm3_s, visibility=view.visibility)


@dataclass(frozen=True, slots=True)
class _Shown:
    """What the picture and the time could have shown."""

    seen: Visibility | None
    sensitivity: Sensitivity
    px_per_mm: float | None
    usable_s: float

    @property
    def leak_std_cm3_s(self) -> float | None:
        return smallest_leak_std_cm3_s(self.px_per_mm, self.usable_s, self.sensitivity, self.seen)

    @property
    def visibility(self) -> Visibility | None:
        """As it was measured, with the smallest bubble that it lets be seen."""
        if self.seen is None:
            return None
        px = smallest_bubble_px(self.seen, self.sensitivity)
        mm = px / self.px_per_mm if self.px_per_mm else None
        measured = {name: _rounded(getattr(self.seen, name), 3) for name in WORSE}
        told = {"smallest_bubble_px": _rounded(px, 2), "smallest_bubble_mm": _rounded(mm, 2)}
        return msgspec.structs.replace(self.seen, **measured, **told)


def _word(finding: Finding, usable_s: float, thresholds: Thresholds) -> Verdict:
    score = round(finding.score, 4)
    unfamiliar = _unfamiliar(finding, thresholds)
    word: VerdictWord = "uncertain"
    if score > thresholds.leak_above and not unfamiliar:
        word = "leak"
    elif score < thresholds.ok_below and finding.late_s >= LEAST_LATE_S and usable_s > 0 and not unfamiliar:
        word = "ok"
    return Verdict(
        word,
        score,
        unfamiliar or (finding.words_if_tight if word == "ok" else finding.words),
        leak_at_tank_px=finding.origin_px if word != "ok" else None,
        emission=finding.emission if word != "ok" else None,
        novelty=_novelty(finding, thresholds),
    )


def _novelty(finding: Finding, thresholds: Thresholds) -> float | None:
    limit = thresholds.novel_above
    return None if limit is UNSET else round(finding.distance / limit, 3)


def _unfamiliar(finding: Finding, thresholds: Thresholds) -> str:
    """Words where no case of training was like this one, so that no score of it is to be believed."""
    limit = thresholds.novel_above
    if limit is UNSET or finding.distance <= limit:
        return ""
    fact = f"the machine was trained on nothing like this (distance {finding.distance:.2f}, limit {limit:.2f})"
    return f"{fact}: look for yourself; {finding.words}"


def _obstacle(watched: Watched, profile: StationProfile | None, gaps: str) -> str:
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
        return f"{seen}{cause}: {watched.trouble or _cure(watched)}"
    return gaps


def _too_small(shown: _Shown, profile: StationProfile | None) -> str:
    """Words where leaks that the station has to find could not have been seen."""
    required = profile.required_sensitivity_std_cm3_s if profile else None
    smallest = shown.leak_std_cm3_s
    if required is None or smallest is None or smallest <= required:
        return ""
    fact = f"leaks below {smallest:.2g} std cm3/s could not be seen, {required:.2g} is required"
    usual = replace(shown, seen=None).leak_std_cm3_s
    cost = costs(shown.seen, shown.sensitivity)
    if not cost or usual is None or usual > required:
        return f"{fact}: hold the unit longer or move the camera closer"
    where, cure = _CURES[max(cost, key=cost.__getitem__)]
    visible = shown.visibility
    assert visible is not None
    return (
        f"bubbles under {visible.smallest_bubble_px:.1f} px ({visible.smallest_bubble_mm:.1f} mm) cannot be seen "
        f"{where}, {fact}: {cure}"
    )


_CURES = {
    "noise_levels": ("in a picture this noisy", "give more light and lower the camera's gain"),
    "light_levels": ("in this light", "add light behind the tank"),
    "paper_levels": ("in this light", "add light from the camera's side"),
    "blur_px": ("in a picture this blurred", "focus the camera and clean the lens"),
    "smear_px": ("with the shutter open for so long", "shorten the exposure and add light"),
    "clarity": ("in water this hazy", "change the water"),
}
"""Field of Visibility -> what is wrong where it costs most, and what to do."""


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


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
