"""Tank views -> composites: three views a set time apart become the R, G and B of one picture.

What stands still is grey, what moves is coloured. Spacing is met from capture times, never from frame counts. PURE.
"""

from collections import deque

import cv2
import numpy as np

from edge_agent.bundle import Preprocessing
from edge_agent.records import Composite, TankView


class Compositor:
    """Takes tank views in order of capture and gives a composite whenever one is due and the spacing can be met.

    `strict=False` is for recordings whose frame rate is what it is (no station file): the nearest views are taken
    however far apart they are.
    """

    def __init__(self, preprocessing: Preprocessing, *, strict: bool = True) -> None:
        self._spacing_s = preprocessing.spacing_ms / 1000
        self._tolerance_s = preprocessing.spacing_tolerance_ms / 1000 if strict else float("inf")
        self._period_s = preprocessing.period_ms / 1000
        self._views: deque[TankView] = deque()
        self._last_s = float("-inf")

    def push(self, view: TankView) -> Composite | None:
        """A composite that ends with `view`, or None where none is due or capture times do not allow one."""
        if self._views and (
            view.monotonic_s <= self._views[-1].monotonic_s or view.grey.shape != self._views[-1].grey.shape
        ):
            self.restart()
        self._views.append(view)
        if view.monotonic_s - self._last_s < self._period_s - 0.25 * self._spacing_s:
            return None
        chosen = self._three(view)
        self._forget(view.monotonic_s)
        if chosen is None:
            return None
        self._last_s = view.monotonic_s
        oldest, middle = chosen
        return Composite(
            # One channel after the other in memory, as nets take them.
            image=np.stack((oldest.grey, middle.grey, view.grey)).transpose(1, 2, 0),
            monotonic_s=view.monotonic_s,
            spacing_s=(view.monotonic_s - oldest.monotonic_s) / 2,
        )

    def restart(self) -> None:
        """Forgets everything: after a gap, a jump in time or a moved camera."""
        self._views.clear()
        self._last_s = float("-inf")

    def _three(self, newest: TankView) -> tuple[TankView, TankView] | None:
        middle = self._nearest(newest.monotonic_s - self._spacing_s, before=newest)
        oldest = middle and self._nearest(middle.monotonic_s - self._spacing_s, before=middle)
        return (oldest, middle) if middle and oldest else None

    def _nearest(self, wanted_s: float, *, before: TankView) -> TankView | None:
        older = [view for view in self._views if view.monotonic_s < before.monotonic_s]
        best = min(older, key=lambda view: abs(view.monotonic_s - wanted_s), default=None)
        if best is None or abs(best.monotonic_s - wanted_s) > self._tolerance_s:
            return None
        return best

    def _forget(self, now_s: float) -> None:
        # Twice the spacing serves the wanted pair; four more views serve slow recordings taken as they are.
        horizon_s = now_s - 2 * self._spacing_s - self._period_s
        while len(self._views) > 4 and self._views[0].monotonic_s < horizon_s:
            self._views.popleft()


def without_colour(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) BGR or (H, W) grey uint8 -> (H, W) grey uint8."""
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
