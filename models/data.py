"""Simulated immersions -> what the nets train on: crops of composites with their bubbles, and whole cases' evidence.

Pixels go through the device's own eyes and compositor. Where the immersions come from is not known here: models may
not import the twin, so its scenes are handed in as a `SceneSource`.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import cv2
import numpy as np

from edge_agent import framing
from edge_agent.bundle import Preprocessing
from edge_agent.composite import Compositor
from edge_agent.decision import DecisionWatch
from edge_agent.eyes import Eyes, Sight
from edge_agent.records import Composite, Frame, Framing, TankView, Visibility
from edge_agent.station import StationProfile
from edge_agent.visibility import median_of
from edge_agent.water import WaterGauge
from models import arrays
from models.codec import through_video

Purpose = Literal["bubbles", "cases", "limits", "water", "sight", "golden", "hard"]
Sent = Literal["raw", "jpeg", "video"]
"""How a camera's pictures come: as they are, as single JPEGs, or through a video codec."""
JPEG_QUALITY = 75
PREPROCESSING = Preprocessing(spacing_ms=50.0, spacing_tolerance_ms=20.0, period_ms=100.0, max_view_px=(640, 480))
CROP_PX = 128
MOST_ROWS = 40
"""Things kept of one crop."""
RISING, ATTACHED, BEAD, SPECK, OTHER, UNSURE = 1, 2, 3, 4, 5, 6
"""What a row of a crop is: a rising bubble, one that sticks, a bead that falls or rolls, a drifting speck; something
that is no rising bubble and whose class nobody insists on; too faint or slow to insist on anything."""
NOTHING = np.empty((0, 6), np.float32)
"""Rows of a picture without anything to find."""
RISING_PX_S = 30.0
STIRRING_PX_S = 15.0
SHOWN_LEVELS = 0.02
"""A bubble of less contrast is hidden by the unit itself."""
CLEAR, FAINT = 5.0, 2.0
"""Signal to noise over a thing's area, from which it must and below which it need not be found."""


class Truth(Protocol):
    """What one frame shows: `bubbles` (n, 7) float32 rows x_px, y_px (camera), vx_px_s, vy_px_s, diameter_px,
    contrast (grey levels), kind (0 leak, 1 trapped air, 2 attached, 3 bead, 4 speck); `lit`: lamps that shine."""

    @property
    def bubbles(self) -> np.ndarray: ...
    @property
    def lit(self) -> tuple[str, ...]: ...


class Recording(Protocol):
    """One immersion, the unit in the tank from the first frame. `births`: (n, 3) float32 rows of time in s and the
    origin's place as shares of the tank view's width and height, one a bubble of a leak; `trapped`: bubbles of trapped
    air that rise at first."""

    @property
    def profile(self) -> StationProfile: ...
    @property
    def leaky(self) -> bool: ...
    @property
    def silent(self) -> bool: ...
    @property
    def haze(self) -> float: ...
    @property
    def hold_s(self) -> float: ...
    @property
    def seed(self) -> int: ...
    @property
    def births(self) -> np.ndarray: ...
    @property
    def trapped(self) -> int: ...
    def frames(self) -> Iterator[tuple[Frame, Truth]]: ...


class SceneSource(Protocol):
    """Gives another station and scene for each seed; nothing is shared between seeds."""

    def recording(self, seed: int, purpose: Purpose) -> Recording: ...


@dataclass(frozen=True, slots=True, eq=False)
class Crops:
    """`pictures`: (n, 3, 128, 128) uint8 composites; `rows`: (n, 40, 6) float32 of x_px, y_px, vx, vy (px per
    spacing), kind, diameter_px; kind 0 = empty row."""

    pictures: np.ndarray
    rows: np.ndarray


def views(recording: Recording, *, sent: Sent = "raw") -> Iterator[tuple[TankView, np.ndarray, Truth]]:
    """(tank view, its things in view pixels, truth) as the device's eyes see them."""
    for sight, things, truth in sights(recording, sent=sent):
        yield sight.view, things, truth


def sights(
    recording: Recording, *, sent: Sent = "raw", water: WaterGauge | None = None
) -> Iterator[tuple[Sight, np.ndarray, Truth]]:
    """All that the device's eyes see, with the things in view pixels and the truth."""
    profile = recording.profile
    eyes = Eyes(profile, _Steady(profile), profile.view_size_px, None, DecisionWatch(), water=water)
    for frame, truth in _sent(recording.frames(), sent):
        sight = eyes.look(frame)
        yield sight, _in_view(truth.bubbles, sight.view.homography), truth


@dataclass(slots=True)
class Gauged:
    """Adds up what the gauges read over a recording."""

    visible: list[Visibility] = field(default_factory=list)
    clarities: list[float] = field(default_factory=list)

    def add(self, sight: Sight) -> None:
        self.visible += [sight.visibility] if sight.visibility else []
        self.clarities += [] if sight.clarity is None else [sight.clarity]

    def seen(self) -> Visibility | None:
        """What could be seen, as a case has it."""
        return median_of(self.visible, float(np.median(self.clarities)) if self.clarities else None)


def held(
    recording: Recording, gauged: Gauged, *, sent: Sent = "raw", water: WaterGauge | None = None
) -> Iterator[tuple[TankView, np.ndarray, Truth]]:
    """As `views`, until the inspector decides; `gauged` hears every sight."""
    for sight, things, truth in sights(recording, sent=sent, water=water):
        if sight.frame.monotonic_s > recording.hold_s:
            return
        gauged.add(sight)
        yield sight.view, things, truth


def composites(
    stream: Iterator[tuple[TankView, np.ndarray, Truth]], preprocessing: Preprocessing = PREPROCESSING
) -> Iterator[tuple[Composite, np.ndarray]]:
    """(composite, things in its middle frame)."""
    compositor = Compositor(preprocessing)
    recent: deque[tuple[float, np.ndarray]] = deque(maxlen=16)
    for view, things, _ in stream:
        composite = compositor.push(view)
        if composite is not None:
            # The compositor's own rule: the frame nearest to one spacing ago.
            wanted_s = composite.monotonic_s - preprocessing.spacing_ms / 1000
            yield composite, min(recent, key=lambda seen: abs(seen[0] - wanted_s))[1]
        recent.append((view.monotonic_s, things))


def crops(recording: Recording, rng: np.random.Generator, *, per_composite: int = 5, keep: float = 0.3) -> Crops:
    """Crops of a recording's composites: half of them centred on something that moves, the others anywhere."""
    ways: tuple[Sent, ...] = ("raw", "jpeg", "video")
    sent = ways[int(rng.choice(3, p=(0.5, 0.2, 0.3)))]
    found = [
        crop(picture, rows, rng)
        for composite, things in composites(views(recording, sent=sent))
        if rng.random() < keep
        for picture, rows in [(composite.image, rows_of(composite, things))]
        for _ in range(per_composite)
    ]
    return joined(found)


def crop(image: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A (3, 128, 128) piece of a (h, w, 3) composite and its rows."""
    height, width = image.shape[:2]
    left, top = rng.integers(0, width - CROP_PX + 1), rng.integers(0, height - CROP_PX + 1)
    sought = rows[np.isin(rows[:, 4], (RISING, BEAD, SPECK))]
    if len(sought) and rng.random() < 0.5:
        centre = sought[rng.integers(len(sought)), :2] - rng.uniform(0.15, 0.85, 2) * CROP_PX
        left, top = np.clip(centre, 0, (width - CROP_PX, height - CROP_PX)).astype(int)
    picture = np.ascontiguousarray(image[top : top + CROP_PX, left : left + CROP_PX].transpose(2, 0, 1))
    return picture, rows_in(rows, (left, top))


def joined(found: list[tuple[np.ndarray, np.ndarray]]) -> Crops:
    """Single crops -> one set."""
    pictures = np.array([picture for picture, _ in found], np.uint8).reshape(-1, 3, CROP_PX, CROP_PX)
    return Crops(pictures, np.array([rows for _, rows in found], np.float32).reshape(-1, MOST_ROWS, 6))


def rows_of(composite: Composite, things: np.ndarray) -> np.ndarray:
    """(n, 6) x_px, y_px, vx, vy (px per spacing), kind, diameter_px of what a detector must find, or need not."""
    x, y, vx, vy, diameter, _, kind = things.T
    signal = signal_to_noise(things, noise_levels(composite.image))
    role = _roles(kind, vx, vy)
    role = np.where(signal < CLEAR, np.where(role == RISING, UNSURE, OTHER), role)
    # A speck that rises or a bubble that only just starts looks like its neighbour in kind.
    role = np.where((role != RISING) & (vy < -RISING_PX_S / 2), UNSURE, role)
    rows = np.column_stack([x, y, vx * composite.spacing_s, vy * composite.spacing_s, role, diameter])
    return rows[(signal >= FAINT) & (diameter > 0)]


def signal_to_noise(things: np.ndarray, noise: float) -> np.ndarray:
    """(n,) of `things` (n, 7), over their area; `noise`: standard deviation in grey levels."""
    return np.abs(things[:, 5]) * np.maximum(1.0, things[:, 4]) / noise


def _roles(kind: np.ndarray, vx: np.ndarray, vy: np.ndarray) -> np.ndarray:
    """(n,) what each thing of the truth is to a detector, were it seen well."""
    moves = np.hypot(vx, vy) > STIRRING_PX_S
    return np.select(
        [(kind <= 1) & (vy < -RISING_PX_S), kind == 2, (kind == 3) & moves, (kind == 4) & moves],
        [RISING, ATTACHED, BEAD, SPECK],
        OTHER,
    )


def rows_in(rows: np.ndarray, corner_px: tuple[int, int]) -> np.ndarray:
    """(40, 6): the rows that lie in a crop, in its own pixels, the largest first."""
    inside = rows.copy()
    inside[:, :2] -= corner_px
    inside = inside[((inside[:, :2] > -4) & (inside[:, :2] < CROP_PX + 4)).all(1)]
    inside = inside[np.argsort(-inside[:, 5])][:MOST_ROWS]
    full = np.zeros((MOST_ROWS, 6), np.float32)
    full[: len(inside)] = inside
    return full


def noise_levels(image: np.ndarray) -> float:
    """Grey levels of noise (standard deviation) in a (h, w, 3) composite, from what changes everywhere."""
    sample = image[::3, ::3].astype(np.float32)
    return max(0.7, float(np.median(np.abs(sample[..., 1] - sample[..., 0]))) * 1.4826 / np.sqrt(2))


def save(crops: Crops, path: Path) -> None:
    """One file, whole or absent."""
    arrays.save(path, pictures=crops.pictures, rows=crops.rows)


def load(paths: list[Path]) -> Crops:
    """All the files' crops in one set."""
    parts = [np.load(path) for path in paths]
    return Crops(np.concatenate([part["pictures"] for part in parts]), np.concatenate([part["rows"] for part in parts]))


class _Steady:
    """Framing that is right: what the markers would say is not trained here."""

    def __init__(self, profile: StationProfile) -> None:
        self._framing = Framing("ok", framing.homography(profile.tank_px, profile.view_size_px))

    def step(self, frame: Frame) -> Framing:
        return self._framing


def _sent(frames: Iterator[tuple[Frame, Truth]], how: Sent) -> Iterator[tuple[Frame, Truth]]:
    """The frames as a network camera would have sent them, grey."""
    if how == "raw":
        yield from frames
        return
    kept = [(frame, truth, cv2.cvtColor(frame.image, cv2.COLOR_BGR2GRAY)) for frame, truth in frames]
    greys = [grey for _, _, grey in kept]
    times = [frame.monotonic_s for frame, _, _ in kept]
    coded = map(_jpeg, greys) if how == "jpeg" else through_video(greys, (len(times) - 1) / (times[-1] - times[0]))
    for (frame, truth, _), grey in zip(kept, coded, strict=True):
        yield Frame(grey, frame.sequence, frame.monotonic_s, frame.taken_at), truth


def _jpeg(grey: np.ndarray) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1], cv2.IMREAD_GRAYSCALE)


def _in_view(things: np.ndarray, homography: np.ndarray) -> np.ndarray:
    """Camera pixels -> tank view pixels, positions, velocities and sizes."""
    if not len(things):
        return things.reshape(-1, 7)
    at = things[:, None, :2].astype(np.float64)
    ahead = at + things[:, None, 2:4] * 0.01
    place = cv2.perspectiveTransform(at, homography)[:, 0]
    moved = (cv2.perspectiveTransform(ahead, homography)[:, 0] - place) / 0.01
    scale = np.sqrt(abs(np.linalg.det(homography[:2, :2])))
    return np.column_stack([place, moved, things[:, 4] * scale, things[:, 5:]])
