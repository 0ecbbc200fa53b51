"""Evidence over time -> tracks: bubbles linked from composite to composite by the velocity that the detector saw. PURE.

Greedy linking by position alone aliases: at 20 fps a chain of 30 bubbles a second is spaced closer than a bubble moves.
The detector's own velocity predicts where a bubble must be next, and a track waits for a bubble that was missed.
"""

from dataclasses import dataclass

import numpy as np

from edge_agent.records import Evidence

PATIENCE_S = 0.45
"""A track that has missed its bubble for longer has ended."""
GATE_PX = 4.0
GATE_SHARE = 0.3
"""A bubble may lie this share of its predicted way, and GATE_PX, beside the prediction."""
VELOCITY_GAIN = 0.4
"""Share of the newest velocity in a track's running one."""
MOST_TRACKS = 20_000
"""Of one case; beyond it the oldest are forgotten (memory of a device that watches something absurd)."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One thing followed. `points`: (n, 5) float64 rows of since_immersion_s, x_px, y_px, score, diameter_px."""

    points: np.ndarray


class Linker:
    """Links the bubbles of one case."""

    def __init__(self) -> None:
        self._open: list[list[tuple[float, ...]]] = []
        self._state = np.empty((0, 5))
        """Rows of the open tracks: time, x, y, vx, vy."""
        self._ended: list[Track] = []

    def add(self, evidence: Evidence, since_s: float) -> None:
        """Takes the bubbles of one composite, `since_s` seconds after immersion; times must rise."""
        self._end_those_that_waited(since_s)
        bubbles = evidence.bubbles.astype(np.float64)
        taken = self._continue(bubbles, since_s) if len(self._open) and len(bubbles) else np.zeros(len(bubbles), bool)
        new = bubbles[~taken]
        self._open += [[(since_s, *values)] for values in new[:, [0, 1, 2, 5]].tolist()]
        begun = np.column_stack([np.full(len(new), since_s), new[:, [0, 1, 3, 4]]])
        self._state = np.concatenate([self._state, begun])

    def tracks(self) -> list[Track]:
        """All tracks so far, those that may still go on included."""
        return self._ended + [Track(np.array(points)) for points in self._open]

    def _end_those_that_waited(self, now_s: float) -> None:
        over = now_s - self._state[:, 0] > PATIENCE_S
        if over.any():
            self._ended += [Track(np.array(points)) for points, end in zip(self._open, over, strict=True) if end]
            self._ended = self._ended[-MOST_TRACKS:]
            self._open = [points for points, end in zip(self._open, over, strict=True) if not end]
            self._state = self._state[~over]

    def _continue(self, bubbles: np.ndarray, now_s: float) -> np.ndarray:
        """Gives each open track its best bubble, nearest pairs first; (n,) bool, which bubbles were taken."""
        waited = now_s - self._state[:, :1]
        way = self._state[:, 3:5] * waited
        off = bubbles[None, :, :2] - (self._state[:, 1:3] + way)[:, None]
        gate = GATE_PX + GATE_SHARE * np.hypot(way[:, 0], way[:, 1])
        cost = np.hypot(off[..., 0], off[..., 1]) / gate[:, None]
        rows, columns = np.nonzero(cost < 1)
        taken, fed = np.zeros(len(bubbles), bool), np.zeros(len(self._open), bool)
        for index in np.argsort(cost[rows, columns], kind="stable").tolist():
            row, column = rows[index], columns[index]
            if not fed[row] and not taken[column]:
                fed[row] = taken[column] = True
                self._feed(int(row), bubbles[column], now_s)
        return taken

    def _feed(self, row: int, bubble: np.ndarray, now_s: float) -> None:
        x, y, score, vx, vy, diameter = bubble.tolist()
        self._open[row].append((now_s, x, y, score, diameter))
        state = self._state[row]
        state[0], state[1], state[2] = now_s, x, y
        state[3] += VELOCITY_GAIN * (vx - state[3])
        state[4] += VELOCITY_GAIN * (vy - state[4])
