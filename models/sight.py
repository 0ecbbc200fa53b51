"""A simulated recording and a detector -> which bubbles of those that were there it found, and the gauge's readings."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge_agent.infer import Detector
from edge_agent.records import Composite, Evidence
from edge_agent.water import WaterGauge
from models import arrays, data
from models.data import Recording

FIELDS = ("noise_levels", "light_levels", "paper_levels", "blur_px", "smear_px", "clarity")
"""What is measured of a picture, in the order of the columns."""
NEAR_PX = 5.0
"""A peak this near a bubble, or within its radius, has found it."""
BORDER_PX = 10.0
ALONE_PX = 10.0
"""Bubbles closer than this cannot be told apart by a peak."""
SAME_PX = 3.0
"""A bubble is where its velocity took it, within this; the truth knows no names."""
LEAST_LOOKS = 5
"""A bubble that was in sight for fewer composites says little."""


@dataclass(frozen=True, slots=True, eq=False)
class Sightings:
    """Bubbles that rose. `bubbles`: (n, 4) float32 rows of diameter_px, composites that showed it, those in which it
    was found, median signal to noise; `seen`: (6,) float32, the recording's FIELDS, nan = not measured."""

    bubbles: np.ndarray
    seen: np.ndarray


def look(recording: Recording, detector: Detector, water: WaterGauge) -> Sightings:
    """Every bubble that rises alone and in sight."""
    # No video: its codec smooths noise and bubbles away together, and the gauge would call noise harmless.
    sent: data.Sent = "raw" if np.random.default_rng([recording.seed, 171]).random() < 0.7 else "jpeg"
    gauged = data.Gauged()
    roll = _Roll()
    for composite, things in data.composites(data.held(recording, gauged, sent=sent, water=water)):
        roll.add(composite.monotonic_s, _found(composite, things, detector.look(composite)))
    seen = gauged.seen()
    values = [np.nan if seen is None else getattr(seen, name) for name in FIELDS]
    return Sightings(roll.bubbles(), np.array(values, np.float32))


def save(sightings: Sightings, path: Path) -> None:
    """One file, whole or absent."""
    arrays.save(path, bubbles=sightings.bubbles, seen=sightings.seen)


def load(path: Path) -> Sightings:
    """What `save` wrote."""
    with np.load(path) as kept:
        return Sightings(kept["bubbles"], kept["seen"])


@dataclass(slots=True)
class _Roll:
    """Knows rising bubbles again from composite to composite."""

    _now_s: float = 0.0
    _known: np.ndarray = field(default_factory=lambda: np.empty((0, 4)))
    """Rows of the last composite's bubbles: x, y, vx, vy."""
    _names: list[int] = field(default_factory=list)
    _looks: list[list[tuple[float, float, float]]] = field(default_factory=list)
    """Of each bubble, by its name: diameter, found, signal to noise of each composite that showed it alone."""

    def add(self, now_s: float, rows: np.ndarray) -> None:
        """`rows`: as `_found` gives them."""
        passed_s, self._now_s = now_s - self._now_s, now_s
        expected = self._known[:, :2] + self._known[:, 2:] * passed_s
        far = np.hypot(*(rows[:, None, axis] - expected[:, axis] for axis in (0, 1)))
        names = []
        for number, row in enumerate(rows):
            nearest = int(far[number].argmin()) if len(expected) else -1
            if nearest >= 0 and far[number, nearest] < SAME_PX + 0.1 * np.hypot(*row[2:4]) * passed_s:
                names.append(self._names[nearest])
            else:
                names.append(len(self._looks))
                self._looks.append([])
            if row[7]:
                self._looks[names[-1]].append((row[4], row[5], row[6]))
        self._known, self._names = rows[:, :4], names

    def bubbles(self) -> np.ndarray:
        """As in Sightings."""
        shown = [np.array(looks) for looks in self._looks if len(looks) >= LEAST_LOOKS]
        rows = [(np.median(one[:, 0]), len(one), one[:, 1].sum(), np.median(one[:, 2])) for one in shown]
        return np.array(rows, np.float32).reshape(-1, 4)


def _found(composite: Composite, things: np.ndarray, evidence: Evidence) -> np.ndarray:
    """(n, 8) of the bubbles that rise: x, y, vx, vy, diameter_px, found, signal to noise, alone and in sight."""
    x, y, vx, vy, diameter, contrast, kind = things.T
    height, width = composite.image.shape[:2]
    signal = data.signal_to_noise(things, data.noise_levels(composite.image))
    gaps = np.hypot(x[:, None] - x, y[:, None] - y) + np.where(np.eye(len(x), dtype=bool), np.inf, 0)
    alone = gaps.min(axis=1, initial=np.inf) > ALONE_PX + diameter
    inside = (np.minimum(x, width - x) > BORDER_PX) & (np.minimum(y, height - y) > BORDER_PX)
    peaks = evidence.bubbles[:, :2]
    away = np.hypot(x[:, None] - peaks[:, 0], y[:, None] - peaks[:, 1]).min(axis=1, initial=np.inf)
    found = away <= np.maximum(NEAR_PX, diameter)
    # No contrast at all: the unit itself hides it.
    shown = alone & inside & (np.abs(contrast) > data.SHOWN_LEVELS)
    return np.column_stack([x, y, vx, vy, diameter, found, signal, shown])[(kind <= 1) & (vy < -data.RISING_PX_S)]
