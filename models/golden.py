"""Scenes -> golden cases: small stored clips that travel in a bundle, with what its own nets say of each.

Which scenes they are depends on the recipe's seed alone, never on what a net thinks of them.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_agent import clips, golden
from edge_agent.bundle import Bundle, GoldenCase
from edge_agent.clips import ClipHeader, ClipWriter, Watch
from edge_agent.errors import ModelError
from edge_agent.records import TankView
from edge_agent.replay import judge_again
from models import data
from models.data import Purpose, Recording
from models.stages import Workplace

TOLERANCE = 0.02
"""What a replay promises; the same nets on another processor differ by rounding."""
LARGEST_VIEW_PX = 320, 240
LONGEST_S = 5.5
LARGEST_BYTES = 750_000
QUALITY = 75
SETTLED_S = 1.0
LEAST_BIRTHS = 5
"""Of a leak's bubbles after the water has settled, so that its clip shows one."""
MOST_SLOW_BIRTHS = 12
LEAST_TRAPPED = 10
TRIES = 50
"""Scenes that are looked at for one case."""


@dataclass(frozen=True, slots=True, eq=False)
class GoldenClip:
    """`clip`: the bytes of a .twclip file."""

    name: str
    leaky: bool
    clip: bytes


@dataclass(frozen=True, slots=True)
class Kind:
    """What a golden case shows: which scenes are asked for, and which of them are taken."""

    purpose: Purpose
    leaky: bool
    fits: Callable[[Recording], bool]


def from_scenes(place: Workplace, count: int) -> list[GoldenClip]:
    """The first `count` of KINDS, each a scene of its own."""
    kinds = list(KINDS.items())[:count]
    first = place.first_seed("golden")

    def make(seed: int, file: Path) -> None:
        name, kind = kinds[seed - first]
        # Kinds take turns with the seeds, so that no scene is looked at for two of them.
        seeds = range(seed, seed + TRIES * len(KINDS), len(KINDS))
        for recording in (place.scenes.recording(seed, kind.purpose) for seed in seeds):
            if kind.fits(recording) and _kept(recording, file, name):
                return
        raise ModelError(f"none of {TRIES} scenes is a golden case {name}: take another seed")

    files = place.each("golden", len(kinds), make, suffix=clips.SUFFIX)
    return [GoldenClip(name, kind.leaky, file.read_bytes()) for (name, kind), file in zip(kinds, files, strict=True)]


def of_bundle(bundle: Bundle) -> list[GoldenClip]:
    """The clips that a bundle carries, for the next one."""
    return [GoldenClip(case.name, case.leaky, bundle.golden[case.name]) for case in bundle.manifest.golden]


def judged(bundle: Bundle, found: Iterable[GoldenClip]) -> tuple[GoldenCase, ...]:
    """What `bundle` says of each clip. Raises ModelError for one that cannot be a golden case."""
    return tuple(_judged(bundle, one) for one in found)


def _judged(bundle: Bundle, one: GoldenClip) -> GoldenCase:
    said = judge_again(golden.opened_clip(one.clip, bundle.manifest.preprocessing, one.name), bundle)
    if said.score is None or said.verdict == "not_tested":
        raise ModelError(f"golden case {one.name} is not tested ({said.reason}): take another clip")
    return GoldenCase(
        name=one.name,
        sha256=hashlib.sha256(one.clip).hexdigest(),
        leaky=one.leaky,
        verdict=said.verdict,
        score=said.score,
        tolerance=TOLERANCE,
    )


def _births(recording: Recording) -> int:
    """Bubbles of the leak that the clip shows after the water has settled."""
    births_s = recording.births[:, 0]
    return int(((births_s >= SETTLED_S) & (births_s < min(LONGEST_S, recording.hold_s))).sum())


def _leaks(recording: Recording) -> bool:
    return recording.leaky and _births(recording) >= LEAST_BIRTHS


def _leaks_slowly(recording: Recording) -> bool:
    return _leaks(recording) and _births(recording) <= MOST_SLOW_BIRTHS


def _tight_with_trapped_air(recording: Recording) -> bool:
    return not recording.leaky and recording.trapped >= LEAST_TRAPPED


KINDS = {
    "leak": Kind("golden", True, _leaks),
    "trapped-air": Kind("golden", False, _tight_with_trapped_air),
    "hard-leak": Kind("hard", True, _leaks_slowly),
    "other-leak": Kind("golden", True, _leaks),
}
"""Two leaks, a tight unit with trapped air, and a slow leak at a hard station, whatever the nets make of it."""


def _kept(recording: Recording, file: Path, name: str) -> bool:
    """The recording's tank views, made smaller, as a clip; False, and no file, where it is too large for a bundle."""
    profile = recording.profile
    size, scale = _smaller(profile.view_size_px)
    partial = file.with_suffix(".part")
    partial.unlink(missing_ok=True)
    header = ClipHeader(
        case_id=f"golden-{name}",
        station=profile.station,
        view_size_px=size,
        px_per_mm=None if profile.px_per_mm is None else profile.px_per_mm * scale,
    )
    writer, times_s = ClipWriter(partial, header, QUALITY), []
    for view, _, _ in data.views(recording):
        if view.monotonic_s > min(LONGEST_S, recording.hold_s):
            break
        writer.frame(_resized(view, size), view.monotonic_s)
        times_s.append(view.monotonic_s)
    span_s = times_s[0], times_s[-1]
    clip = writer.close(Watch(settled_s=span_s[0], spans_s=(span_s,), usable_s=span_s[1] - span_s[0]))
    if clip.bytes > LARGEST_BYTES:
        writer.discard()
        return False
    partial.replace(file)
    return True


def _smaller(view_size_px: tuple[int, int]) -> tuple[tuple[int, int], float]:
    """(width and height within LARGEST_VIEW_PX, how much smaller)."""
    scale = min(1.0, *(most / side for most, side in zip(LARGEST_VIEW_PX, view_size_px, strict=True)))
    return (round(view_size_px[0] * scale), round(view_size_px[1] * scale)), scale


def _resized(view: TankView, size: tuple[int, int]) -> TankView:
    height, width = view.grey.shape
    shrink = np.diag([size[0] / width, size[1] / height, 1.0])
    grey = cv2.resize(view.grey, size, interpolation=cv2.INTER_AREA)
    return TankView(grey, view.sequence, view.monotonic_s, shrink @ view.homography)
