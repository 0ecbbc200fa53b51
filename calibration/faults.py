"""Camera faults that the twin shows from a given time on: frozen, black, noisy, moved, dim, old or resized pictures,
lost frames, wrong times."""

from dataclasses import dataclass

import numpy as np

from edge_agent.errors import StationError

_AMOUNTS = {
    "freeze": 0.0, "black": 0.0, "white": 0.0, "stall": 1e9, "half": 0.0, "noise": 40.0, "covered": 0.0,
    "shift": 3.0, "rotate": 0.5, "dim": 0.7, "duplicate": 0.0, "stale": 40.0, "resolution": 2.0, "exposure": 1.6,
    "jump": 3600.0, "lag": 0.9,
}  # fmt: skip
FAULTS = tuple(_AMOUNTS)
_DRIFTS_IN_S = 40.0
"""An automatic exposure that runs away."""
_AGES_IN_S = 60.0
"""An LED takes years to lose a third of its light; here a minute, so that a recording shows it."""


@dataclass(frozen=True, slots=True)
class Impairment:
    """`amount`: seconds for `stall`, grey levels for `noise`, px for `shift`, degrees for `rotate`,
    pictures for `stale`, the divisor for `resolution`, the gain at last for `exposure`, seconds ahead for `jump`,
    seconds a second for `lag`.

    For `covered` it is the corner's number: 0 TL, 1 TR, 2 BR, 3 BL; for `dim` the share of the light left at last.
    """

    name: str
    from_s: float
    amount: float
    until_s: float = 1e9


def parse(text: str) -> Impairment:
    """`NAME@SECONDS[:AMOUNT]` -> Impairment; StationError names the known faults."""
    name, _, rest = text.partition("@")
    at, _, amount = rest.partition(":")
    if name not in _AMOUNTS:
        raise StationError(f"twin fault {name!r} is not known: use one of {' '.join(FAULTS)}, as NAME@SECONDS[:AMOUNT]")
    try:
        return Impairment(name, float(at), float(amount) if amount else _AMOUNTS[name])
    except ValueError:
        raise StationError(f"twin fault {text!r} has no time: write NAME@SECONDS[:AMOUNT], e.g. freeze@12") from None


def active(impairments: tuple[Impairment, ...], now_s: float) -> tuple[Impairment, ...]:
    """Those that show at `now_s`."""
    return tuple(fault for fault in impairments if fault.from_s <= now_s < fault.until_s)


def is_captured(faults: tuple[Impairment, ...], sequence: int, now_s: float) -> bool:
    """False where the camera delivers nothing."""
    for fault in faults:
        if fault.name == "stall" and now_s < fault.from_s + fault.amount:
            return False
        if fault.name == "half" and sequence % 2:
            return False
    return True


def camera_motion(faults: tuple[Impairment, ...]) -> tuple[float, float]:
    """Shift to the right in px, and rotation in degrees, of a camera that was knocked."""
    shift = sum(fault.amount for fault in faults if fault.name == "shift")
    return shift, sum(fault.amount for fault in faults if fault.name == "rotate")


def told_s(faults: tuple[Impairment, ...], now_s: float) -> float:
    """The capture time that the camera tells for a picture taken at `now_s`."""
    ahead = sum(fault.amount for fault in faults if fault.name == "jump")
    return now_s + ahead - sum(fault.amount * (now_s - fault.from_s) for fault in faults if fault.name == "lag")


def shown_again(faults: tuple[Impairment, ...], sequence: int) -> int:
    """How many pictures ago the one was taken that the camera gives as this; 0 for this one itself."""
    for fault in faults:
        if fault.name == "stale":
            return max(1, int(fault.amount))
        if fault.name == "duplicate" and sequence % 2:
            return 1
    return 0


def impaired(
    image: np.ndarray,
    last: np.ndarray | None,
    faults: tuple[Impairment, ...],
    tank_px: np.ndarray,
    rng: np.random.Generator,
    now_s: float,
) -> np.ndarray:
    """`image` (h, w, 3) uint8 as the faulty camera gives it; `last` is the picture before."""
    for fault in faults:
        if fault.name == "freeze" and last is not None:
            image = last
        elif fault.name == "black":
            image = rng.integers(0, 3, image.shape, np.uint8)
        elif fault.name == "white":
            image = np.full_like(image, 255)
        elif fault.name == "noise":
            loud = image + rng.normal(0, fault.amount, image.shape).astype(np.float32)
            image = np.clip(loud, 0, 255).astype(np.uint8)
        elif fault.name == "dim":
            aged = min((now_s - fault.from_s) / _AGES_IN_S, 1.0)
            image = np.round(image * (1 - (1 - fault.amount) * aged)).astype(np.uint8)
        elif fault.name == "exposure":
            gain = 1 + (fault.amount - 1) * min((now_s - fault.from_s) / _DRIFTS_IN_S, 1.0)
            image = np.clip(image * np.float32(gain), 0, 255).astype(np.uint8)
        elif fault.name == "resolution":
            step = max(1, int(fault.amount))
            image = np.ascontiguousarray(image[::step, ::step])
        elif fault.name == "covered":
            image = _covered(image, tank_px, int(fault.amount) % 4)
    return image


def _covered(image: np.ndarray, tank_px: np.ndarray, corner: int) -> np.ndarray:
    """A grey thing before one marker."""
    height, width = image.shape[:2]
    size = 0.17 * width
    towards = np.sign(tank_px.mean(0) - tank_px[corner])
    ends = np.sort(np.stack([tank_px[corner] - 12 * towards, tank_px[corner] + size * towards]), axis=0)
    left, top, right, bottom = np.clip(np.round(ends).astype(int).reshape(-1), 0, max(width, height))
    image = image.copy()
    image[top:bottom, left:right] = 88
    return image
