"""Sight after sight -> the figures of the picture: light, contrast, sharpness, noise, what can be seen. PURE.

Almost everything is what the eyes have measured anyway; what is computed here is computed once in two seconds, on the
thumbnail.
"""

import msgspec
import numpy as np

from edge_agent.bundle import Sensitivity
from edge_agent.camera_watch import FROZEN_S
from edge_agent.eyes import Sight
from edge_agent.messages import FrameCounts, MissingCounts, PictureMetrics
from edge_agent.records import Visibility
from edge_agent.visibility import smallest_bubble_px

LOOK_EVERY_S = 2.0
"""Twice as long as between two measurements of the eyes: between two looks there is one, or there is none to be had."""
CORNERS = 4
DARK_PERCENT, LIGHT_PERCENT = 5, 95
"""Cells beyond are reflections and shadows."""


class PictureFigures:
    """Counts since start. The frame loop calls `see`; `told` may be asked from another thread."""

    def __init__(self) -> None:
        self._sensitivity = Sensitivity()
        self._px_per_mm: float | None = None
        self._frames: dict[str, int] = dict.fromkeys(FrameCounts.__struct_fields__, 0)
        self._missing: dict[str, int] = dict.fromkeys(MissingCounts.__struct_fields__, 0)
        self._looks = 0
        self._looked_s: float | None = None
        self._changed_s = float("-inf")
        self._before: np.ndarray | None = None
        self._visible: Visibility | None = None
        self._clarity: float | None = None
        """Measured since the last look; None where nothing was."""
        self._told = PictureMetrics()

    @property
    def told(self) -> PictureMetrics:
        """As of the last look, with the counts of now."""
        return PictureMetrics(
            frames=FrameCounts(**self._frames),
            looks=self._looks,
            missing=MissingCounts(**self._missing),
            **{name: getattr(self._told, name) for name in _MEASURED},
        )

    def measured_for(self, sensitivity: Sensitivity, px_per_mm: float | None) -> None:
        """How small a bubble shows depends on who looks, and on the scale of the tank view."""
        self._sensitivity, self._px_per_mm = sensitivity, px_per_mm

    def see(self, sight: Sight) -> None:
        """One more frame."""
        now_s = sight.frame.monotonic_s
        self._frames[self._word(sight, now_s)] += 1
        self._visible = sight.visibility or self._visible
        self._clarity = self._clarity if sight.clarity is None else sight.clarity
        if self._looked_s is None:
            self._looked_s = now_s
        if now_s - self._looked_s >= LOOK_EVERY_S:
            self._looked_s = now_s
            self._look(sight)

    def passed(self) -> None:
        """One more frame, that nobody had to look at."""
        self._frames["passed"] += 1

    def _word(self, sight: Sight, now_s: float) -> str:
        """A picture that is the very same as the one before is no new one, whatever else it shows."""
        before, self._before = self._before, sight.thumb
        if before is None or not np.array_equal(before, sight.thumb):
            self._changed_s = now_s
        elif now_s - self._changed_s >= FROZEN_S:
            return "frozen"
        else:
            return "duplicated"
        if sight.fault:
            return "blind"
        return "usable" if sight.usable else "misframed"

    def _look(self, sight: Sight) -> None:
        seen, clarity, framing = self._visible, self._clarity, sight.framing
        self._looks += 1
        self._count_missing(seen, clarity, framing.corners_seen)
        px = self._smallest_px(seen, clarity)
        dark, light = np.percentile(sight.thumb, (DARK_PERCENT, LIGHT_PERCENT))
        self._told = PictureMetrics(
            contrast_levels=round(float(light - dark), 1),
            noise_levels=_rounded(seen.noise_levels) if seen else None,
            paper_levels=_rounded(seen.paper_levels) if seen else None,
            blur_px=_rounded(seen.blur_px) if seen else None,
            clarity=clarity,
            corners_seen=framing.corners_seen,
            rotation_deg=framing.rotation_deg,
            smallest_bubble_px=None if px is None else round(px, 2),
            smallest_bubble_mm=round(px / self._px_per_mm, 3) if px and self._px_per_mm else None,
        )
        self._visible = self._clarity = None

    def _smallest_px(self, seen: Visibility | None, clarity: float | None) -> float | None:
        """The water counts as well, which the eyes measure apart."""
        return smallest_bubble_px(msgspec.structs.replace(seen, clarity=clarity), self._sensitivity) if seen else None

    def _count_missing(self, seen: Visibility | None, clarity: float | None, corners: int) -> None:
        for name in ("noise_levels", "paper_levels", "blur_px"):
            self._missing[name.split("_")[0]] += seen is None or getattr(seen, name) is None
        self._missing["clarity"] += clarity is None
        self._missing["corners"] += corners < CORNERS


_MEASURED = [name for name in PictureMetrics.__struct_fields__ if name not in ("frames", "looks", "missing")]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
