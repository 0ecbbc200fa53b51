"""What was seen of the tank -> which frames may pass unseen, while it is empty and nothing in it moves. PURE.

Most of a day nothing happens. Whatever stirs brings every frame back at once, and no frame of a unit passes.
"""

import cv2
import numpy as np

from edge_agent.eyes import Sight
from edge_agent.immersion import Immersion
from edge_agent.records import Frame

REST_S = 2.0
"""Without anything that moves, is lit or is wrong; a lamp that comes late still belongs to the unit that has left."""
GLANCE_EVERY_S = 0.19
"""Five glances a second, of a camera with 20 frames. What takes less than 0.4 s to come in is no unit that was lowered
(`ImmersionLimits.entry_s`), and a lamp is read twice in the window that decides on it (`decision.WINDOW_S`)."""
LOOK_EVERY_S = 1.0
"""Markers, water and light are looked at so often, whatever a glance shows."""
CELLS = 80, 60
CHANGED_LEVELS = 8.0
"""A glance compares the means of cells. Noise of 8 levels moves the largest difference of 14,400 of them, at 640x480,
to about 6; a lamp or a unit's edge that fills an eighth of a cell moves it by more. Waves pass it: then the tank is
looked at as often as it is glanced at."""


class IdleWatch:
    """Follows one station's inspection."""

    def __init__(self) -> None:
        self._looked_s: float | None = None
        self._stirred_s: float | None = None
        self._glanced_s = float("-inf")
        self._cells: np.ndarray | None = None
        """Of the last frame that was looked at."""

    @property
    def is_calm(self) -> bool:
        """The tank is empty, and nothing has moved in it for a while."""
        looked_s, stirred_s = self._looked_s, self._stirred_s
        return looked_s is not None and stirred_s is not None and looked_s - stirred_s >= REST_S

    def saw(self, sight: Sight, immersion: Immersion, *, between_cases: bool) -> None:
        """After each frame that was looked at."""
        now_s = self._looked_s = self._glanced_s = sight.frame.monotonic_s
        stirs = not (
            between_cases
            and sight.usable
            and immersion.phase == "empty"
            and not immersion.moving
            and sight.signal.decision == "none"
            and sight.signal.panel == "off"
        )
        if stirs or self._stirred_s is None:
            self._stirred_s = now_s
        self._cells = _cells(sight.frame) if self.is_calm else None

    def may_pass(self, frame: Frame) -> bool:
        """Whether this frame, the next one of a live camera, shows nothing that the one after it will not show.

        Only one that whoever captured it found well: who judges a camera by its frames has to have them all.
        """
        now_s, looked_s = frame.monotonic_s, self._looked_s
        if not self.is_calm or looked_s is None or frame.faults != () or not 0 <= now_s - looked_s < LOOK_EVERY_S:
            return False
        if now_s - self._glanced_s < GLANCE_EVERY_S:
            return True
        self._glanced_s = now_s
        return not self._has_changed(frame)

    def _has_changed(self, frame: Frame) -> bool:
        """Since the last look, so that what changes slowly adds up."""
        cells = _cells(frame)
        before = self._cells
        return before is None or before.shape != cells.shape or float(np.abs(cells - before).max()) > CHANGED_LEVELS


def _cells(frame: Frame) -> np.ndarray:
    """float32 (60, 80) or (60, 80, 3): means of the picture's cells, in levels."""
    return cv2.resize(frame.image, CELLS, interpolation=cv2.INTER_AREA).astype(np.float32)
