"""Unit -> what makers put on a shell: paint lines, rivets, letters, and the hose that fills it with air."""

from dataclasses import dataclass

import numpy as np

from calibration.look import StationLook
from calibration.sheet import Sheet, lit
from calibration.unit import Unit


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """A unit being painted: `light` (grey levels) and `alpha` change, `shell` (its alpha) stays; (h, w) float32."""

    sheet: Sheet
    light: np.ndarray
    alpha: np.ndarray
    shell: np.ndarray


def decorate(rng: np.random.Generator, unit: Unit, look: StationLook, canvas: Canvas) -> None:
    """Paint, rivets and letters on the shell."""
    for _ in range(int(rng.integers(0, 4))):
        _stripe(rng, unit, look, canvas)
    if rng.random() < 0.5:
        _rivet(rng, unit, look, canvas)
    if rng.random() < 0.4:
        _letter(rng, unit, look, canvas)


def connect(rng: np.random.Generator, unit: Unit, look: StationLook, canvas: Canvas) -> None:
    """The air hose, and seldom a cable, from the shell up out of the water."""
    share = np.linspace(0, 1, 30)[:, None]
    for _ in range(int(rng.integers(0, 3))):
        side = float(rng.choice([-1, 1]))
        root = unit.top_mm + rng.uniform(0.1, 0.5) * unit.height_mm
        start = np.array([unit.centre_mm + side * 0.4 * unit.width_mm, root])
        bend = start + (side * rng.uniform(4, 30), -rng.uniform(0.1, 0.5) * unit.height_mm)
        end = np.array([unit.centre_mm + side * rng.uniform(2, 0.45 * unit.width_mm), -60.0])
        path = (1 - share) ** 2 * start + 2 * share * (1 - share) * bend + share**2 * end
        thick, tone = float(rng.uniform(2.0, 7.0)), float(rng.uniform(15, 200)) * lit(look)
        for width, level in ((thick, tone), (thick * 0.25, min(1.6 * tone + 10, 245.0))):
            line = canvas.sheet.line(path, width)
            line.paint(canvas.light, level)
            line.cover(canvas.alpha)


def _stripe(rng: np.random.Generator, unit: Unit, look: StationLook, canvas: Canvas) -> None:
    """A line of paint around the shell or down it, or a bead of filler drawn by hand."""
    share = np.linspace(-1, 1, 12)
    bow = rng.normal(0, 1.5) * share**2 + rng.normal(0, 0.4, 12)
    across = unit.centre_mm + rng.uniform(0.2, 0.55) * unit.width_mm * share
    height = unit.bottom_mm - rng.uniform(0.05, 0.95) * unit.height_mm
    path = np.stack([across, height + bow], -1)
    if rng.random() < 0.25:
        x_mm = unit.centre_mm + rng.uniform(-0.4, 0.4) * unit.width_mm
        path = np.stack([x_mm + bow, unit.bottom_mm - (share + 1) / 2 * unit.height_mm], -1)
    line = canvas.sheet.line(path, float(rng.uniform(0.8, 5.0)))
    line.paint(canvas.light, float(rng.uniform(10, 240)) * lit(look), canvas.shell)


def _rivet(rng: np.random.Generator, unit: Unit, look: StationLook, canvas: Canvas) -> None:
    """A row of rivets or bolts: as round and as small as bubbles are, but still."""
    count, radius = int(rng.integers(4, 16)), float(rng.uniform(0.8, 2.6))
    y_mm = unit.bottom_mm - rng.uniform(0.1, 0.9) * unit.height_mm
    for x_mm in unit.centre_mm + np.linspace(-0.42, 0.42, count) * unit.width_mm:
        head = np.array([[x_mm, y_mm], [x_mm, y_mm]])
        tone = float(canvas.light[_row(canvas, y_mm), _column(canvas, x_mm)])
        canvas.sheet.line(head + 0.15 * radius, 2 * radius).paint(canvas.light, 0.5 * tone, canvas.shell)
        canvas.sheet.line(head - 0.1 * radius, 1.6 * radius).paint(canvas.light, 1.2 * tone + 6, canvas.shell)
        canvas.sheet.line(head - 0.4 * radius, 0.5 * radius).paint(
            canvas.light, min(1.8 * tone + 40 * look.front_light, 250.0), canvas.shell
        )


def _letter(rng: np.random.Generator, unit: Unit, look: StationLook, canvas: Canvas) -> None:
    """A printed or chalked number: short strokes in a row."""
    size, tone = float(rng.uniform(4, 12)), float(rng.choice([15.0, 220.0])) * lit(look)
    left = unit.centre_mm + rng.uniform(-0.4, 0.0) * unit.width_mm
    top = unit.bottom_mm - rng.uniform(0.25, 0.8) * unit.height_mm
    for letter in range(int(rng.integers(3, 8))):
        stroke = rng.uniform(0, 1, (int(rng.integers(3, 6)), 2)) * (0.6 * size, size)
        line = canvas.sheet.line(stroke + (left + letter * 0.85 * size, top), size * 0.13)
        line.paint(canvas.light, tone, canvas.shell)


def _row(canvas: Canvas, y_mm: float) -> int:
    return int(np.clip(y_mm * canvas.sheet.scale + canvas.sheet.above, 0, canvas.sheet.height - 1))


def _column(canvas: Canvas, x_mm: float) -> int:
    return int(np.clip(x_mm * canvas.sheet.scale, 0, canvas.sheet.width - 1))
