"""Still pictures -> composites with painted bubbles: sizes, speeds and looks that no simulated station shows.

A bubble is what is round and goes up, whatever its light; what looks the same and goes elsewhere, or jumps, is not.
"""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from models.data import CROP_PX, OTHER, RISING, UNSURE

MOST_PAINTED = 14
LEAST_CHANGE = 12.0
"""Grey levels that a painted thing must change somewhere to be demanded."""
ODD_SHARE = 0.4
"""Of what is painted, that moves as bubbles do not."""


def painted(still: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(3, 128, 128) uint8 picture without motion -> (picture with bubbles, (n, 6) rows as of `data.rows_of`)."""
    frames = still.astype(np.float32)
    count = int(rng.integers(1, MOST_PAINTED))
    look = _look(rng)
    typical_px = np.exp(rng.uniform(np.log(0.8), np.log(14)))
    speed_px = np.exp(rng.uniform(np.log(2.5), np.log(28)))
    rows = np.array([_one(frames, look, typical_px, speed_px, rng) for _ in range(count)], np.float32)
    before, frames = still[1].astype(np.float32), frames.clip(0, 255)
    if rng.random() < 0.12:
        level = before.mean()
        before, frames = np.where(before > level, 255.0, 0.0), np.where(frames > level, 255.0, 0.0)
    rows[[_hidden(row, np.abs(frames[1] - before)) for row in rows], 4] = UNSURE
    noise = rng.uniform(0, 3) * rng.standard_normal(frames.shape)
    return (frames + noise).clip(0, 255).astype(np.uint8), rows


def _hidden(row: np.ndarray, changed: np.ndarray) -> bool:
    """Whether the picture hardly changed by what was painted: black on black, or beside the picture."""
    reach = int(row[5] / 2) + 2
    x, y = int(row[0]), int(row[1])
    part = changed[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
    return part.size == 0 or float(part.max()) < LEAST_CHANGE


def _one(
    frames: np.ndarray, look: dict, typical_px: float, speed_px: float, rng: np.random.Generator
) -> tuple[float, ...]:
    """Paints one thing into the three frames; its row."""
    radius = typical_px * float(np.exp(rng.normal(0, 0.3)))
    at = rng.uniform(-2, CROP_PX + 2, 2)
    speed = speed_px * float(np.exp(rng.normal(0, 0.2)))
    if rng.random() < ODD_SHARE:
        kind, steps = OTHER, _odd_steps(speed, rng)
    else:
        slant = rng.normal(0, 0.15)
        velocity = speed * np.array([np.sin(slant), -np.cos(slant)])
        kind, steps = RISING, np.array([-velocity, (0, 0), velocity])
        steps[[0, 2]] += rng.normal(0, 0.04 * speed, (2, 2))
    for frame, step in zip(frames, steps, strict=True):
        _stamp(frame, at + step, radius * float(rng.uniform(0.97, 1.03)), look)
    vx, vy = (steps[2] - steps[0]) / 2
    return float(at[0]), float(at[1]), float(vx), float(vy), float(kind), 2 * radius


def _odd_steps(speed: float, rng: np.random.Generator) -> np.ndarray:
    """(3, 2): where it is in the three frames. Down, sideways, a jump, a tremble, or there in one frame alone."""
    way = rng.choice(["down", "sideways", "jump", "tremble", "blink"])
    if way in ("down", "sideways"):
        angle = rng.uniform(0.15, np.pi - 0.15) if way == "down" else rng.choice([0, np.pi]) + rng.uniform(-0.25, 0.25)
        velocity = speed * rng.uniform(0.1, 1) * np.array([np.cos(angle), np.sin(angle)])
        return np.array([-velocity, (0, 0), velocity])
    if way == "blink":
        return np.array([(-999, -999), (0, 0), (-999, -999)], float)
    size = speed if way == "jump" else rng.uniform(0.2, 2)
    first, last = rng.normal(0, size, (2, 2))
    # Two steps that together lead up are a bubble's: the last one is turned down.
    return np.array([first, (0, 0), (last[0], abs(last[1]))])


def _look(rng: np.random.Generator) -> dict:
    """One light for all the bubbles of a picture."""
    return {
        "body": float(rng.choice([0, rng.uniform(-120, 120)])),
        "rim": float(rng.choice([-1, -1, 1])) * float(rng.uniform(15, 170)),
        "rim_px": float(rng.uniform(0.6, 2.2)),
        "spark": float(rng.choice([0, rng.uniform(30, 200)])),
        "spark_at": rng.uniform(-0.6, 0.6, 2),
        "squash": float(rng.uniform(0.7, 1.0)),
    }


def _stamp(frame: np.ndarray, at: np.ndarray, radius: float, look: dict) -> None:
    reach = int(radius + 4)
    x0, y0 = int(at[0]) - reach, int(at[1]) - reach
    left, right = max(0, x0), min(frame.shape[1], x0 + 2 * reach + 1)
    top, bottom = max(0, y0), min(frame.shape[0], y0 + 2 * reach + 1)
    if left >= right or top >= bottom:
        return
    dx = np.arange(left, right)[None] - at[0]
    dy = (np.arange(top, bottom)[:, None] - at[1]) / look["squash"]
    off = np.hypot(dx, dy)
    inside = np.clip(radius + 0.5 - off, 0, 1)
    rim = np.clip(1 - np.abs(off - radius + look["rim_px"] / 2) / look["rim_px"], 0, 1) if radius > 1.5 else inside
    spark_x, spark_y = look["spark_at"] * radius
    spark = np.exp(-((dx - spark_x) ** 2 + (dy - spark_y) ** 2) / (0.3 + 0.05 * radius**2))
    frame[top:bottom, left:right] += look["body"] * inside + look["rim"] * rim + look["spark"] * spark * inside


def streams(clip: Iterable[tuple[float, np.ndarray]], seed: int) -> Iterator[tuple[float, np.ndarray]]:
    """(time, (h, w) uint8 picture) of a clip -> the same, bubbles rising again and again from one to five places."""
    rng = np.random.default_rng([seed, 161])
    count = int(rng.integers(1, 6))
    places, rates = (
        rng.uniform((0.1, 0.4), (0.9, 0.98), (count, 2)),
        np.exp(rng.uniform(np.log(0.7), np.log(12), count)),
    )
    look, radius_px = _look(rng), float(np.exp(rng.uniform(np.log(1.3), np.log(9))))
    speed_px_s, phases = float(np.exp(rng.uniform(np.log(50), np.log(450)))), rng.random(count)
    top = rng.uniform(0, 0.2)
    for now_s, grey in clip:
        frame = grey.astype(np.float32)
        height, width = frame.shape
        for place, rate, phase in zip(places * (width, height), rates, phases, strict=True):
            ages_s = (now_s + phase / rate) % (1 / rate) + np.arange(
                0, (place[1] - top * height) / speed_px_s, 1 / rate
            )
            for age_s in ages_s[ages_s * speed_px_s < place[1] - top * height]:
                number = round((now_s - age_s) * rate + phase)
                own = np.random.default_rng([seed, 162, number + 1000])
                sway = own.uniform(0, 3) * np.sin(30 * age_s + own.uniform(0, 6.3))
                at = place - (own.normal(0, 1.5) + sway, speed_px_s * age_s)
                _stamp(frame, at, radius_px * float(np.exp(own.normal(0, 0.2))), look)
        yield now_s, frame.clip(0, 255).astype(np.uint8)


def still(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(3, 128, 128): one frame of a crop three times, slightly defocused, as a background for painting."""
    smooth = cv2.GaussianBlur(picture[1], (0, 0), float(rng.uniform(0.5, 1.2)))
    return np.repeat(smooth[None], 3, axis=0)
