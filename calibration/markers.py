"""Station id -> the printable sheet of its four markers, to scale, with cutting marks, a ruler and the size rule."""

import argparse
import io
import re
import sys
from pathlib import Path

import segno
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from edge_agent.codes import MARKER_MODULES
from edge_agent.errors import ConfigError
from edge_agent.records import CORNERS, Corner
from edge_agent.station import STATION_ID

QUIET_MODULES = 4
"""White around a code, as ISO/IEC 18004 asks."""
LEAST_MODULE_PX = 4
"""Camera pixels that a module needs."""
PRINTED_SIZE_MM = 60.0
SMALLEST_MM, LARGEST_MM = 20.0, 130.0
"""Smaller modules bleed on a laser printer; a larger code does not fit on A4."""
PAGE_MARGIN_MM = 10.0
LABEL_MM = 7.0
GAP_MM = 6.0
RULER_MM = 100
_NAMES = {"TL": "top left", "TR": "top right", "BR": "bottom right", "BL": "bottom left"}


def marker_modules(station: str, corner: Corner) -> list[list[bool]]:
    """21 rows of 21 modules, True = dark: version 1, error correction M, payload `<station>:<corner>`."""
    code = segno.make(f"{station}:{corner}", version=1, error="m", boost_error=False, micro=False)
    return [[bool(module) for module in row] for row in code.matrix]


def write_sheet(path: Path, station: str, size_mm: float = PRINTED_SIZE_MM) -> int:
    """Writes the PDF and returns its number of pages. ConfigError where id, size or file cannot be used."""
    data, pages = sheet(station, size_mm)
    try:
        path.write_bytes(data)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}): choose another --out") from error
    return pages


def sheet(station: str, size_mm: float = PRINTED_SIZE_MM) -> tuple[bytes, int]:
    """The PDF and its number of pages. ConfigError where id or size cannot be used."""
    if not re.fullmatch(STATION_ID, station):
        raise ConfigError(f"station id {station!r} is not usable: take 1 to 16 of A-Z, 0-9 and '-', e.g. TANK1")
    if not SMALLEST_MM <= size_mm <= LARGEST_MM:
        raise ConfigError(f"markers of {size_mm:g} mm cannot be printed: choose {SMALLEST_MM:g} to {LARGEST_MM:g} mm")
    target = io.BytesIO()
    canvas = Canvas(target, pagesize=A4, invariant=True)
    canvas.setTitle(f"Tankwatch markers of {station}")
    pages = _pages(size_mm)
    for number, places in enumerate(pages, start=1):
        _heading(canvas, station, size_mm, f"sheet {number} of {len(pages)}")
        for corner, left_mm, top_mm in places:
            _marker(canvas, station, corner, (left_mm, top_mm), size_mm)
        _ruler(canvas)
        canvas.showPage()
    canvas.save()
    return target.getvalue(), len(pages)


def size_rule(size_mm: float) -> str:
    """What the camera must resolve, in words."""
    least_px = LEAST_MODULE_PX * MARKER_MODULES
    return (
        f"Each code needs at least {LEAST_MODULE_PX} camera pixels a module: {least_px} px for its {size_mm:g} mm, "
        f"{least_px / size_mm:.2f} px a mm."
    )


def markers(argv: list[str]) -> int:
    """`calibrate markers`."""
    parser = argparse.ArgumentParser(prog="tankwatch calibrate markers", description="Print a station's markers.")
    parser.add_argument("--station", required=True, metavar="ID", help="1 to 16 of A-Z, 0-9 and '-', e.g. TANK1")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE.pdf")
    parser.add_argument("--size-mm", type=float, default=PRINTED_SIZE_MM, help="side of a code (default %(default)g)")
    options = parser.parse_args(argv)
    pages = write_sheet(options.out, options.station, options.size_mm)
    sheets = "1 sheet" if pages == 1 else f"{pages} sheets"
    print(f"{options.out}: {sheets}; print at 100 % and check the ruler. {size_rule(options.size_mm)}", file=sys.stderr)
    return 0


Place = tuple[Corner, float, float]
"""A corner's cell on the sheet: its left and top edge in mm from the page's top left."""


def _pages(size_mm: float) -> list[list[Place]]:
    """Two by two where that fits, else one to a page."""
    cell_mm = _cell_mm(size_mm)
    width_mm, height_mm = A4[0] / mm, A4[1] / mm
    top_mm = 34.0
    if (
        2 * cell_mm + GAP_MM > width_mm - 2 * PAGE_MARGIN_MM
        or 2 * (cell_mm + LABEL_MM) + GAP_MM + top_mm > height_mm - 30
    ):
        return [[(corner, (width_mm - cell_mm) / 2, top_mm)] for corner in CORNERS]
    left_mm = (width_mm - 2 * cell_mm - GAP_MM) / 2
    right_mm, low_mm = left_mm + cell_mm + GAP_MM, top_mm + cell_mm + LABEL_MM + GAP_MM
    return [[("TL", left_mm, top_mm), ("TR", right_mm, top_mm), ("BR", right_mm, low_mm), ("BL", left_mm, low_mm)]]


def _cell_mm(size_mm: float) -> float:
    """A code with its quiet zone."""
    return size_mm * (MARKER_MODULES + 2 * QUIET_MODULES) / MARKER_MODULES


def _heading(canvas: Canvas, station: str, size_mm: float, sheet: str) -> None:
    lines = (
        f"Print at 100 % (no fitting to the page), matt, and check the ruler below. {size_rule(size_mm)}",
        "Cut at the marks, white edge included. Glue each code upright onto its corner of the tank's front, as far",
        "out as the tank goes: the four outer corners enclose the view that is inspected. Keep them clean and free.",
    )
    canvas.setFont("Helvetica-Bold", 13)
    canvas.drawString(PAGE_MARGIN_MM * mm, A4[1] - 14 * mm, f"Tankwatch markers, station {station}")
    canvas.setFont("Helvetica", 7.5)
    canvas.drawRightString(A4[0] - PAGE_MARGIN_MM * mm, A4[1] - 14 * mm, sheet)
    for row, line in enumerate(lines):
        canvas.drawString(PAGE_MARGIN_MM * mm, A4[1] - (20 + 4 * row) * mm, line)


def _marker(canvas: Canvas, station: str, corner: Corner, left_top_mm: tuple[float, float], size_mm: float) -> None:
    """The code as one vector path: neighbouring rectangles would show hairlines."""
    left_mm, top_mm = left_top_mm
    cell_mm, module_mm = _cell_mm(size_mm), size_mm / MARKER_MODULES
    quiet_mm = QUIET_MODULES * module_mm
    path = canvas.beginPath()
    for row, modules in enumerate(marker_modules(station, corner)):
        for start, length in _runs(modules):
            x_mm = left_mm + quiet_mm + start * module_mm
            y_mm = top_mm + quiet_mm + (row + 1) * module_mm
            path.rect(x_mm * mm, A4[1] - y_mm * mm, length * module_mm * mm, module_mm * mm)
    canvas.setFillGray(0)
    canvas.drawPath(path, stroke=0, fill=1)
    _cutting_marks(canvas, left_mm, top_mm, cell_mm)
    canvas.setFont("Helvetica", 9)
    words = f"{station}:{corner}   {_NAMES[corner]} of the tank, this way up"
    canvas.drawCentredString((left_mm + cell_mm / 2) * mm, A4[1] - (top_mm + cell_mm + 4.5) * mm, words)


def _runs(modules: list[bool]) -> list[tuple[int, int]]:
    """(start, length) of each stretch of dark modules."""
    edges = [False, *modules, False]
    changes = [index for index in range(len(edges) - 1) if edges[index] != edges[index + 1]]
    return [(start, end - start) for start, end in zip(changes[::2], changes[1::2], strict=True)]


def _cutting_marks(canvas: Canvas, left_mm: float, top_mm: float, cell_mm: float) -> None:
    """Short lines that meet at the cell's corners."""
    canvas.setLineWidth(0.3)
    for x_mm in (left_mm, left_mm + cell_mm):
        for y_mm in (top_mm, top_mm + cell_mm):
            x, y = x_mm * mm, A4[1] - y_mm * mm
            canvas.line(x - 2.5 * mm, y, x + 2.5 * mm, y)
            canvas.line(x, y - 2.5 * mm, x, y + 2.5 * mm)


def _ruler(canvas: Canvas) -> None:
    left, base = (A4[0] - RULER_MM * mm) / 2, 12 * mm
    canvas.setLineWidth(0.3)
    canvas.line(left, base, left + RULER_MM * mm, base)
    for tick in range(RULER_MM + 1):
        length_mm = 4 if tick % 10 == 0 else 3 if tick % 5 == 0 else 2
        canvas.line(left + tick * mm, base, left + tick * mm, base + length_mm * mm)
    canvas.setFont("Helvetica", 7)
    for tick in range(0, RULER_MM + 1, 10):
        canvas.drawCentredString(left + tick * mm, base + 5 * mm, str(tick))
    canvas.drawCentredString(A4[0] / 2, base - 4 * mm, "must measure 100 mm; if not, print again without scaling")
