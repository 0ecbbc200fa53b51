"""Seed -> pictures of things that move and are no bubbles: what else a camera may see, drawn to teach doubt.

Swimming, falling, drifting and flickering things, flames, swaying lines, shaking and panning cameras. None of it is
like a tank; a detector that has seen it looks for bubbles and not for motion.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import cv2
import numpy as np

from models.codec import through_video

VIDEO_SHARE = 0.35
PRINTED_SHARE = 0.2
Painter = Callable[[np.ndarray, float], None]
"""Draws its things of the time (s) onto a (h, w) float32 picture."""


def pictures(
    seed: int, *, seconds: float, fps: float, size: tuple[int, int] = (400, 300), kinds: Sequence[str] | None = None
) -> Iterator[tuple[float, np.ndarray]]:
    """(time in s, (h, w) uint8 grey picture) of one make-believe clip; a third of them went through a video codec.

    `kinds`: of KINDS, the only ones that may move in it, none of them where it is empty; None = all.
    """
    clip = _pictures(seed, seconds, fps, size, KINDS if kinds is None else kinds)
    if np.random.default_rng([seed, 82]).random() < VIDEO_SHARE:
        drawn = list(clip)
        clip = zip((now_s for now_s, _ in drawn), through_video([grey for _, grey in drawn], fps), strict=True)
    yield from clip


def _pictures(
    seed: int, seconds: float, fps: float, size: tuple[int, int], kinds: Sequence[str]
) -> Iterator[tuple[float, np.ndarray]]:
    rng = np.random.default_rng([seed, 81])
    width, height = size
    margin = 48
    background = texture(rng, (height + 2 * margin, width + 2 * margin), contrast=rng.uniform(5, 60))
    background += rng.uniform(15, 190)
    _clutter(background, rng)
    if rng.random() < PRINTED_SHARE:
        _sheets(background, rng)
    motion = _camera(rng)
    count = min(int(rng.integers(1, 4)), len(kinds))
    painters = [_MAKERS[kinds[int(index)]](rng, size) for index in rng.choice(len(kinds), count, replace=False)]
    flicker, noise = rng.choice([0, rng.uniform(0, 0.03)]), rng.uniform(0.3, 4.0)
    quality = int(rng.integers(40, 95)) if rng.random() < 0.6 else None
    for index in range(int(seconds * fps)):
        now_s = index / fps
        dx, dy = motion(now_s)
        shift = np.array([[1, 0, margin + dx], [0, 1, margin + dy]], np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        picture = cv2.warpAffine(background, shift, size, flags=flags, borderMode=cv2.BORDER_REFLECT)
        for paint in painters:
            paint(picture, now_s)
        picture *= 1 + flicker * rng.standard_normal()
        picture += noise * rng.standard_normal(picture.shape, np.float32)
        grey = np.clip(picture, 0, 255).astype(np.uint8)
        if quality is not None:
            _, jpeg = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality])
            grey = cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE)
        yield now_s, grey


def texture(rng: np.random.Generator, shape: tuple[int, int], contrast: float) -> np.ndarray:
    """(h, w) float32 cloud of several scales, zero mean, standard deviation `contrast`."""
    height, width = shape
    cloud = np.zeros(shape, np.float32)
    roughness = rng.uniform(0.4, 1.1)
    for cells in (3, 6, 12, 24, 48, 96):
        coarse = rng.standard_normal((cells * height // width + 2, cells + 2), np.float32)
        cloud += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * float(cells**-roughness)
    return (cloud - cloud.mean()) * np.float32(contrast / cloud.std())


def _clutter(background: np.ndarray, rng: np.random.Generator) -> None:
    """Edges, bars and discs that stand still."""
    height, width = background.shape
    for _ in range(int(rng.integers(0, 14))):
        level = float(rng.uniform(0, 255))
        first, second = ((rng.uniform(0, 1, 2) * (width, height)).astype(int).tolist() for _ in range(2))
        if rng.random() < 0.6:
            cv2.line(background, first, second, level, int(rng.integers(1, 12)), cv2.LINE_AA)
        else:
            cv2.circle(background, first, int(rng.integers(3, 60)), level, -1, cv2.LINE_AA)


def _sheets(background: np.ndarray, rng: np.random.Generator) -> None:
    """Sheets of black and white modules, as codes, labels and tables have them: nothing is richer in small spots."""
    height, width = background.shape
    for _ in range(int(rng.integers(1, 5))):
        modules, cell = int(rng.integers(8, 34)), int(rng.integers(2, 9))
        dark, light = rng.uniform(5, 90), rng.uniform(120, 250)
        sheet = np.where(rng.random((modules, modules)) < 0.5, dark, light).astype(np.float32)
        sheet = np.pad(np.kron(sheet, np.ones((cell, cell), np.float32)), 3 * cell, constant_values=light)
        side, slant = len(sheet), float(rng.uniform(-30, 30))
        turn = cv2.getRotationMatrix2D((side / 2, side / 2), slant, float(rng.uniform(0.7, 1.3)))
        turn[:, 2] += rng.uniform(-0.5, 1, 2) * (width, height)
        shown = cv2.warpAffine(sheet, turn, (width, height), flags=cv2.INTER_LINEAR, borderValue=-1.0)
        background[shown >= 0] = shown[shown >= 0]


def _camera(rng: np.random.Generator) -> Callable[[float], tuple[float, float]]:
    """Its motion in pixels: still, shaking, hand-held, panning or carried about."""
    kind = rng.choice(["still", "shake", "hand", "pan", "carried"], p=[0.4, 0.15, 0.2, 0.1, 0.15])
    if kind == "still":
        return lambda now_s: (0.0, 0.0)
    sizes = {"shake": rng.uniform(0.1, 1.5), "hand": rng.uniform(1, 10), "pan": rng.uniform(0, 2)}
    size = sizes.get(kind, rng.uniform(10, 60))
    rates = {"shake": rng.uniform(2, 14, 4), "carried": rng.uniform(0.1, 1.2, 4)}.get(kind, rng.uniform(0.3, 5, 4))
    phases = rng.uniform(0, 6.3, 8)
    pan = rng.uniform(-20, 20, 2) if kind == "pan" else np.zeros(2)

    def motion(now_s: float) -> tuple[float, float]:
        waves = np.sin(6.28 * np.concatenate([rates, rates[::-1]]) * now_s + phases)
        return float(size * waves[:4].sum() / 2 + pan[0] * now_s), float(size * waves[4:].sum() / 2 + pan[1] * now_s)

    return motion


def _swimmers(rng: np.random.Generator, size: tuple[int, int]) -> Painter:
    """Fish: ellipses that meander, mostly sideways, with a dark or bright stripe and a beating tail."""
    count = int(rng.integers(2, 22))
    start, heading = rng.uniform(0, 1, (count, 2)) * size, rng.choice([0.0, np.pi], count) + rng.normal(0, 0.5, count)
    speed, length = rng.uniform(5, 110, count), rng.uniform(4, 45) * rng.uniform(0.6, 1.4, count)
    level, turn = rng.uniform(0, 255, (count, 2)), rng.uniform(0.1, 1.2, (count, 2))
    slender, gape = rng.uniform(0.15, 0.5), rng.uniform(0.2, 1.5)

    def paint(picture: np.ndarray, now_s: float) -> None:
        swing = gape * np.sin(6.28 * turn[:, 0] * now_s + 6.28 * turn[:, 1])
        way = speed * now_s
        place = start + np.column_stack([np.cos(heading) * way, np.sin(heading) * way * 0.4])
        place += np.column_stack([8 * np.cos(swing * 2), 18 * swing])
        place = place % (np.array(size) + 60) - 30
        for (x, y), angle, body, (back, belly) in zip(place, heading + 0.3 * swing, length, level, strict=True):
            axes = (max(1, int(body / 2 * 8)), max(1, int(body * slender / 2 * 8)))
            at = (int(x * 8), int(y * 8))
            for half_axes, grey in ((axes, back), ((axes[0], axes[1] // 3), belly)):
                cv2.ellipse(picture, at, half_axes, np.degrees(angle), 0, 360, float(grey), -1, cv2.LINE_AA, 3)

    return paint


def _fallers(rng: np.random.Generator, size: tuple[int, int]) -> Painter:
    """Beads and chips: discs and rims that fall, roll or drift sideways; everything but up."""
    count = int(rng.integers(2, 60))
    start, radius = rng.uniform(0, 1, (count, 2)) * size, rng.uniform(0.7, 5, count)
    angle = rng.uniform(-0.15, np.pi + 0.15)
    pace = rng.uniform(20, 500) * rng.uniform(0.6, 1.4, count)
    velocity = np.column_stack([np.cos(angle) * pace, np.sin(angle) * pace])
    levels, rim = rng.uniform(0, 255, count), rng.random() < 0.5
    return partial(_discs, start=start, velocity=velocity, radius=radius, levels=levels, rim=rim, size=size)


def _specks(rng: np.random.Generator, size: tuple[int, int]) -> Painter:
    """Dust in the water: dots of a pixel or two that drift with one current, slowly, each a little its own way."""
    count = int(np.exp(rng.uniform(np.log(15), np.log(400))))
    start, radius = rng.uniform(0, 1, (count, 2)) * size, rng.uniform(0.4, 1.6, count)
    angle, pace = rng.uniform(-0.3, np.pi + 0.3), np.exp(rng.uniform(np.log(2), np.log(90)))
    velocity = pace * np.array([np.cos(angle), np.sin(angle)]) + rng.normal(0, 0.25 * pace, (count, 2))
    # None of them may go up like a bubble.
    velocity[:, 1] = np.maximum(velocity[:, 1], -0.4 * np.abs(velocity[:, 0]))
    levels = rng.uniform(0, 255, count) if rng.random() < 0.5 else np.full(count, rng.uniform(150, 255))
    return partial(_discs, start=start, velocity=velocity, radius=radius, levels=levels, rim=False, size=size)


def _discs(picture: np.ndarray, now_s: float, *, start, velocity, radius, levels, rim, size) -> None:
    place = (start + velocity * now_s) % (np.array(size) + 20) - 10
    for (x, y), r, level in zip(place, radius, levels, strict=True):
        thick = 1 if rim and r > 2 else -1
        cv2.circle(picture, (int(x * 8), int(y * 8)), int(r * 8), float(level), thick, cv2.LINE_AA, 3)


def _drifters(rng: np.random.Generator, size: tuple[int, int]) -> Painter:
    """Clouds that drift through a part of the picture, in any direction: murk, smoke, reflections."""
    width, height = size
    cloud = texture(rng, (height * 2, width * 2), rng.uniform(3, 40))
    velocity = rng.uniform(-120, 120, 2) * rng.uniform(0, 1)
    window = _window(rng, size)

    def paint(picture: np.ndarray, now_s: float) -> None:
        shift = np.array([[1, 0, velocity[0] * now_s], [0, 1, velocity[1] * now_s]], np.float32)
        picture += window * cv2.warpAffine(cloud, shift, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)

    return paint


def _flames(rng: np.random.Generator, size: tuple[int, int]) -> Painter:
    """Fire and glare: bright ragged tongues that lick upwards, change shape as they go and are gone."""
    width, height = size
    clouds = [texture(rng, (height * 2, width), 1.0) for _ in range(2)]
    rise, bright, window = rng.uniform(60, 400, 2), rng.uniform(60, 220), _window(rng, size)
    level = rng.uniform(-0.3, 1.2)
    narrow = rng.uniform(0.5, 3.0)

    def paint(picture: np.ndarray, now_s: float) -> None:
        low, high = (np.roll(cloud, -int(up * now_s), axis=0)[:height] for cloud, up in zip(clouds, rise, strict=True))
        heat = (low + np.roll(high, int(20 * np.sin(5 * now_s)), axis=1) - level) * narrow
        picture += window * bright * np.clip(heat, 0, 1)

    return paint


def _glints(rng: np.random.Generator, size: tuple[int, int]) -> Painter:
    """Spots that blink where they are: ripples, sparks, dead pixels."""
    count = int(rng.integers(5, 120))
    place, radius = rng.uniform(0, 1, (count, 2)) * size, rng.uniform(0.6, 4, count)
    rate, phase, level = rng.uniform(0.5, 12, count), rng.uniform(0, 6.3, count), rng.uniform(-120, 160, count)

    def paint(picture: np.ndarray, now_s: float) -> None:
        height, width = picture.shape
        shine = np.maximum(0, np.sin(6.28 * rate * now_s + phase)) * level
        for (x, y), r, change in zip(place, radius, shine, strict=True):
            around = picture[min(int(y), height - 1), min(int(x), width - 1)]
            grey = float(np.clip(around + change, 0, 255))
            cv2.circle(picture, (int(x * 8), int(y * 8)), int(r * 8), grey, -1, cv2.LINE_AA, 3)

    return paint


def _jitterers(rng: np.random.Generator, size: tuple[int, int]) -> Painter:
    """Specks that tremble without going anywhere."""
    count = int(np.exp(rng.uniform(np.log(20), np.log(700))))
    place, radius = rng.uniform(0, 1, (count, 2)) * size, rng.uniform(0.7, 4, count)
    level, step, seed = (
        rng.uniform(0, 255, count),
        float(np.exp(rng.uniform(np.log(0.15), np.log(4)))),
        int(rng.integers(2**31)),
    )

    def paint(picture: np.ndarray, now_s: float) -> None:
        chance = np.random.default_rng([seed, int(now_s * 1000)])
        for (x, y), r, grey in zip(place + chance.normal(0, step, place.shape), radius, level, strict=True):
            cv2.circle(picture, (int(x * 8), int(y * 8)), int(r * 8), float(grey), -1, cv2.LINE_AA, 3)

    return paint


def _swayers(rng: np.random.Generator, size: tuple[int, int]) -> Painter:
    """Plants and cables: lines fixed at one end that sway."""
    width, height = size
    count = int(rng.integers(2, 25))
    foot = np.column_stack([rng.uniform(0, width, count), rng.uniform(0.4, 1.1, count) * height])
    length, lean = rng.uniform(0.1, 0.7, count) * height, rng.uniform(0.02, 0.3, count)
    rate, phase = rng.uniform(0.1, 1.5, count), rng.uniform(0, 6.3, count)
    level, thick = rng.uniform(0, 255, count), rng.integers(1, 6, count)
    along = np.linspace(0, 1, 8)

    def paint(picture: np.ndarray, now_s: float) -> None:
        swing = lean * np.sin(6.28 * rate * now_s + phase)
        for (x, y), reach, bend, grey, wide in zip(foot, length, swing, level, thick, strict=True):
            line = np.column_stack([x + reach * bend * along**2 * 2, y - reach * along])
            cv2.polylines(picture, [np.int32(line * 8)], False, float(grey), int(wide), cv2.LINE_AA, 3)

    return paint


def _boxes(rng: np.random.Generator, size: tuple[int, int]) -> Painter:
    """Things on a conveyor, hands, a part being lowered or lifted: textured rectangles that move and stop."""
    width, height = size
    count = int(rng.integers(1, 4))
    sizes = (rng.uniform(0.05, 0.5, (count, 2)) * size).astype(int) + 4
    skins = [texture(rng, (int(h), int(w)), rng.uniform(3, 50)) + rng.uniform(20, 230) for w, h in sizes]
    start = rng.uniform(-0.2, 1, (count, 2)) * size
    velocity = rng.uniform(-200, 200, (count, 2)) * rng.uniform(0, 1, (count, 1))
    velocity[rng.random(count) < 0.6, 1] = 0
    stops_s = rng.uniform(0.5, 6, count)

    def paint(picture: np.ndarray, now_s: float) -> None:
        for skin, at, pace, stop_s in zip(skins, start, velocity, stops_s, strict=True):
            high, wide = skin.shape
            x, y = (at + pace * min(now_s % (2 * stop_s), stop_s)) % (np.array(size) + (wide, high)) - (wide, high)
            left, right = max(0, int(x)), min(width, int(x) + wide)
            top, bottom = max(0, int(y)), min(height, int(y) + high)
            if left < right and top < bottom:
                part = skin[top - int(y) : bottom - int(y), left - int(x) : right - int(x)]
                picture[top:bottom, left:right] = part[: bottom - top, : right - left]

    return paint


def _window(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """(h, w) float32 0..1: a soft part of the picture, or all of it."""
    width, height = size
    if rng.random() < 0.3:
        return np.ones((height, width), np.float32)
    window = np.zeros((height, width), np.float32)
    centre, axes = (rng.uniform(0, 1, 2) * size).astype(int), (rng.uniform(0.1, 0.5, 2) * size).astype(int) + 4
    cv2.ellipse(window, centre.tolist(), axes.tolist(), 0, 0, 360, 1.0, -1)
    return cv2.GaussianBlur(window, (0, 0), float(rng.uniform(2, 20)))


_MAKERS = {
    "swimmers": _swimmers, "fallers": _fallers, "specks": _specks, "drifters": _drifters, "flames": _flames,
    "glints": _glints, "jitterers": _jitterers, "swayers": _swayers, "boxes": _boxes,
}  # fmt: skip
KINDS = tuple(_MAKERS)
"""Kinds of things that move and are no bubbles."""
