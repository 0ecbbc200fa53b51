"""The fine canvas that a unit is painted on, in mm of the tank's front plane."""

from dataclasses import dataclass

import cv2
import numpy as np

from calibration.look import StationLook

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in mm."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """`above` of its rows lie above the tank's top; `scale`: pixels a mm."""

    scale: float
    width: int
    height: int
    above: int

    def mm(self) -> tuple[np.ndarray, np.ndarray]:
        """x (1, w) and y (h, 1) in mm."""
        x = np.arange(self.width, dtype=np.float32)[None, :] / self.scale
        return x, (np.arange(self.height, dtype=np.float32)[:, None] - self.above) / self.scale

    def box(self, box: Box) -> "Patch":
        """A plate, edges in their exact place."""
        left, top, right, bottom = box
        columns = _span(left, right, self.scale, 0, self.width)
        rows = _span(top, bottom, self.scale, self.above, self.height)
        x, y = self.mm()
        across = np.clip(np.minimum(x - left, right - x)[:, columns] * self.scale + 0.5, 0, 1)
        return Patch(rows, columns, across * np.clip(np.minimum(y - top, bottom - y)[rows] * self.scale + 0.5, 0, 1))

    def line(self, path_mm: np.ndarray, thick_mm: float) -> "Patch":
        """A line through (n, 2) points, as the part of the sheet that it covers."""
        points = np.round((path_mm * self.scale + (0, self.above)) * 16).astype(np.int32)[:, None]
        thick = max(round(thick_mm * self.scale), 1)
        low, high = points.min((0, 1)) // 16 - thick - 1, points.max((0, 1)) // 16 + thick + 2
        left, right = np.clip((low[0], high[0]), 0, self.width)
        top, bottom = np.clip((low[1], high[1]), 0, self.height)
        mask = np.zeros((max(bottom - top, 0), max(right - left, 0)), np.uint8)
        if mask.size:
            cv2.polylines(mask, [points - (left * 16, top * 16)], False, 255, thick, cv2.LINE_AA, 4)
        return Patch(slice(top, bottom), slice(left, right), mask.astype(np.float32) / 255)


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """Alpha `part` (h, w) float32 of something that covers some rows and columns of a sheet."""

    rows: slice
    columns: slice
    part: np.ndarray

    def paint(self, light: np.ndarray, tone: float, within: np.ndarray | None = None) -> None:
        """`tone` over `light` in place, where `within` (an alpha of the whole sheet) allows it."""
        part = self.part if within is None else self.part * within[self.rows, self.columns]
        light[self.rows, self.columns] += (tone - light[self.rows, self.columns]) * part

    def cover(self, alpha: np.ndarray) -> None:
        """The patch hides what is behind it."""
        alpha[self.rows, self.columns] = np.maximum(alpha[self.rows, self.columns], self.part)


def _span(low: float, high: float, scale: float, offset: int, size: int) -> slice:
    """Rows or columns that hold `low`..`high` mm and a pixel more."""
    first, last = np.clip((int(low * scale) + offset - 2, int(high * scale) + offset + 3), 0, size)
    return slice(int(first), int(last))


def lit(look: StationLook) -> float:
    """Share of a white thing's level that the front light gives."""
    return (0.35 + 0.65 * look.front_light) * look.back_level / 130
