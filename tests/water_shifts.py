"""A simulated station whose water gets murkier over a shift: what the gauge reads, and when bubbles are lost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from calibration import scenes_for_training
from calibration.scene import draw_scene
from calibration.twin import Twin
from edge_agent import framing
from edge_agent.composite import without_colour
from edge_agent.framing import rectify
from edge_agent.water import WaterGauge
from models import data

REQUIRED_PX = 2.0
"""Diameter in the tank view of the smallest bubble that has to be seen: the bundle's own smallest."""
SPARE = 2.0
"""A station that shows it with less to spare in clear water has a light to be mended, not water to be changed."""


@dataclass(frozen=True)
class Shift:
    """Immersions of one shift. `lost_at`: haze from which the smallest bubble that matters is under the noise."""

    hazes: np.ndarray
    clarities: np.ndarray
    lost_at: float


def clarities(seed: int, hazes: Sequence[float], gauge: WaterGauge) -> np.ndarray:
    """The gauge's word on one station at each haze, another unit in the tank each time."""
    return np.array([gauge.clarity(view) for view in _views(seed, hazes)])


def shift(seed: int, gauge: WaterGauge, immersions: int = 24) -> Shift | None:
    """A shift that ends murky; None for a station that is badly lit already in clear water."""
    rng = np.random.default_rng([seed, 96])
    recording = scenes_for_training.recording(seed, "cases")
    signal = _signal_of_required(recording)
    if signal is None or signal < SPARE * data.CLEAR:
        return None
    first, last = rng.uniform(0.05, 0.3), rng.uniform(1.2, 3.0)
    hazes = np.linspace(first, last, immersions)
    return Shift(hazes, clarities(seed, hazes, gauge), float(np.log(signal / data.CLEAR)))


def _views(seed: int, hazes: Sequence[float]) -> Iterator[np.ndarray]:
    recording = scenes_for_training.recording(seed, "cases")
    scenes = [
        replace(draw_scene(seed * 1000 + number, recording.look, "reference").undipped(), haze=float(haze), hold_s=0.9,
                decision="none", hands=())
        for number, haze in enumerate(hazes)
    ]  # fmt: skip
    profile = recording.profile
    to_view = framing.homography(profile.tank_px, profile.view_size_px)
    seen = set()
    twin = Twin(recording.look, scenes, fps=1.0, seed=seed, single=True, colour=True)
    for frame, truth in twin.frames():
        if truth.case_index not in seen:
            seen.add(truth.case_index)
            yield rectify(without_colour(frame.image), to_view, profile.view_size_px)


def _signal_of_required(recording: scenes_for_training.Recording) -> float | None:
    """Signal to noise of a bubble of the required size without any haze, as training counts it; None: none was seen."""
    clear = replace(recording, fps=20.0, scene=replace(recording.scene, haze=0.05, hold_s=1.5))
    contrasts, noises = [], []
    for composite, things in data.composites(data.views(clear)):
        noises.append(data.noise_levels(composite.image))
        small = (things[:, 6] <= 1) & (things[:, 4] > 0.7 * REQUIRED_PX) & (things[:, 4] < 4 * REQUIRED_PX)
        contrasts += np.abs(things[small, 5]).tolist()
    if len(contrasts) < 10:
        return None
    return float(np.median(contrasts)) * np.exp(0.05) * REQUIRED_PX / float(np.median(noises))
