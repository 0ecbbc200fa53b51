"""A bundle's golden cases, judged again by its own nets: what was said where it was made is said here, or it stays out.

The clips come with the bundle and are trusted no more than it is: all of them are looked through before any net runs.
"""

import itertools
from dataclasses import dataclass

from edge_agent import clips
from edge_agent.bundle import Bundle, GoldenCase, Preprocessing
from edge_agent.clips import Clip
from edge_agent.errors import ModelError, StoreError
from edge_agent.records import Verdict
from edge_agent.replay import judge_again

MOST_FRAMES = 400
LONGEST_S = 20.0
SMALLEST_VIEW_PX = 32


@dataclass(frozen=True, slots=True)
class Replayed:
    """A golden case and what the bundle says of it here."""

    case: GoldenCase
    verdict: Verdict


def reproduce(bundle: Bundle) -> list[Replayed]:
    """All golden cases judged again. Raises ModelError where a clip is not usable or a verdict is another one."""
    cases = bundle.manifest.golden
    opened = [opened_clip(bundle.golden[case.name], bundle.manifest.preprocessing, case.name) for case in cases]
    replayed = [Replayed(case, judge_again(clip, bundle)) for case, clip in zip(cases, opened, strict=True)]
    for one in replayed:
        _same(one, bundle)
    return replayed


def opened_clip(data: bytes, preprocessing: Preprocessing, name: str) -> Clip:
    """The clip of golden case `name`, every picture of it looked at. Raises ModelError."""
    try:
        clip = clips.read(data)
        fault = _header_fault(clip, preprocessing) or _watch_fault(clip)
        if not fault:
            clip.check_pictures()
            fault = _times_fault(clip, [view.monotonic_s for view in clip.views()])
    except StoreError as error:
        raise ModelError(f"golden case {name} cannot be read ({error}): fetch the bundle again") from error
    if fault:
        raise ModelError(f"golden case {name} {fault}: the bundle is not one of ours, fetch it again")
    return clip


def _header_fault(clip: Clip, preprocessing: Preprocessing) -> str:
    """What its header claims that no golden case has; no picture has been decoded by then."""
    (width, height), (widest, tallest) = clip.header.view_size_px, preprocessing.max_view_px
    if not (SMALLEST_VIEW_PX <= width <= widest and SMALLEST_VIEW_PX <= height <= tallest):
        return f"has views of {width}x{height} px, limit {widest}x{tallest}"
    if not clip.whole:
        return f"breaks off after {clip.frame_count} frames"
    if not 0 < clip.frame_count <= MOST_FRAMES:
        return f"has {clip.frame_count} frames, limit {MOST_FRAMES}, and 1 at least"
    return ""


def _watch_fault(clip: Clip) -> str:
    watch = clip.watch
    if watch.settled_s is None or watch.not_tested:
        return "shows no unit at rest"
    if watch.visibility is not None or len(watch.spans_s) != 1:
        return f"was watched in {len(watch.spans_s)} stretches with a measured visibility, 1 without it is needed"
    if not 0 <= watch.usable_s <= LONGEST_S:
        return f"says that it was watched for {watch.usable_s:g} s, limit {LONGEST_S:g}"
    return ""


def _times_fault(clip: Clip, times_s: list[float]) -> str:
    """Views that were watched come in order, within LONGEST_S of the unit's coming to rest."""
    settled_s = clip.watch.settled_s or 0.0
    if not all(settled_s <= at_s <= settled_s + LONGEST_S for at_s in times_s):
        return f"has frames that are not within {LONGEST_S:g} s of its unit's coming to rest"
    if not all(before < after for before, after in itertools.pairwise(times_s)):
        return "has frames that are not in order of time"
    return ""


def _same(one: Replayed, bundle: Bundle) -> None:
    """Where the score lies within its tolerance of a limit, the word hangs on rounding: the score alone must hold."""
    case, said, limits = one.case, one.verdict, bundle.manifest.thresholds
    close = any(abs(case.score - limit) <= case.tolerance for limit in (limits.ok_below, limits.leak_above))
    near = said.score is not None and abs(said.score - case.score) <= case.tolerance
    if near and (said.verdict == case.verdict or (close and said.verdict != "not_tested")):
        return
    here = said.verdict if said.score is None else f"{said.verdict} {said.score:.3f}"
    raise ModelError(
        f"golden case {case.name} is {here} here, {case.verdict} {case.score:.3f} +-{case.tolerance:g} where version "
        f"{bundle.manifest.version} was made: keep the bundle in use, and install Tankwatch anew from its lock file"
    )
