"""Where bubbles come from that creep along the unit before they rise. PURE.

A bubble that leaves a hole in the underside creeps along the shell to its edge, and is followed only from there. The
detector is unsure of what creeps and holds it half for a bead; over a whole case the trail stands out of its ground.
"""

import numpy as np

from edge_agent.records import Evidence

CELL_PX = 4
"""Of the detector's maps, in tank view pixels."""
ABOVE_GROUND, FLICKERS = 0.03, 4.0
"""A cell is of the trail when it lies so far over the map's median, and so many of its flickers."""
GAP_CELLS, LEAST_CELLS = 4, 5
"""A trail may be hidden for this long; a shorter one is none (43 leaks that creep, 67 that do not, of the twin)."""
BEGINS = -2, 4
"""Rows about the place that bubbles rise from in which the trail may begin, and then (CLIMBS) between two cells: away
from the edge the shell goes down, and hardly up."""
CLIMBS = -1, 2


class Trail:
    """The mean of what rises and what seems a bead, of one case."""

    def __init__(self) -> None:
        self._sum: np.ndarray | None = None
        self._count = 0

    def add(self, evidence: Evidence) -> None:
        """Takes one composite; one without a map of beads tells nothing."""
        if evidence.beads is None:
            return
        seen = evidence.heat + evidence.beads
        self._sum = seen if self._sum is None else self._sum + seen
        self._count += 1

    def begins(self, rises_px: tuple[float, float]) -> tuple[float, float]:
        """Tank view pixels of where the trail begins that ends where bubbles rise; that place where there is none."""
        if self._sum is None:
            return rises_px
        mean = self._sum / self._count
        ground = float(np.median(mean))
        flicker = 1.4826 * float(np.median(np.abs(mean - ground)))
        over = mean - ground
        row, column = round(rises_px[1] / CELL_PX - 0.5), round(rises_px[0] / CELL_PX - 0.5)
        limit = max(ABOVE_GROUND, FLICKERS * flicker)
        ways = [_walked(over, row, column, step, limit) for step in (-1, 1)]
        way = max(ways, key=lambda cells: sum(float(over[cell]) for cell in cells))
        if len(way) < LEAST_CELLS:
            return rises_px
        row, column = way[-1]
        return (column + 0.5) * CELL_PX, (row + 0.5) * CELL_PX


def _walked(over: np.ndarray, row: int, column: int, step: int, limit: float) -> list[tuple[int, int]]:
    """The cells of a trail, from (row, column) to the left (-1) or to the right (1)."""
    height, width = over.shape
    found: list[tuple[int, int]] = []
    lowest, highest, missed = *BEGINS, 0
    while missed <= GAP_CELLS and 0 <= (column := column + step) < width:
        first, last = max(0, row + lowest), min(height, row + highest + 1)
        if first >= last:
            break
        here = first + int(over[first:last, column].argmax())
        if over[here, column] <= limit:
            missed += 1
            continue
        row, missed = here, 0
        found.append((row, column))
        lowest, highest = CLIMBS
    return found
