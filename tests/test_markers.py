import base64
import re
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from reportlab.lib.pagesizes import A4

from calibration.markers import markers, size_rule, write_sheet
from calibration.profile import calibrate
from edge_agent.codes import read
from edge_agent.errors import ConfigError
from edge_agent.records import CORNERS

PRINTER_DPI = 150
FINER = 4


def printed(pdf: Path) -> list[np.ndarray]:
    """(H, W) uint8 pages as a printer puts them on paper: every filled rectangle in the file's content streams."""
    pages = []
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", pdf.read_bytes(), re.DOTALL):
        drawing = zlib.decompress(base64.a85decode(stream.strip().removesuffix(b"~>"))).decode("latin-1")
        scale = FINER * PRINTER_DPI / 72
        paper = np.full([round(side * scale) for side in A4[::-1]], 255, np.uint8)
        for numbers in re.findall(r"([-\d.]+) ([-\d.]+) ([-\d.]+) ([-\d.]+) re", drawing):
            x, y, width, height = (float(number) * scale for number in numbers)
            low = len(paper) - y
            paper[round(low - height) : round(low), round(x) : round(x + width)] = 0
        pages.append(cv2.resize(paper, None, fx=1 / FINER, fy=1 / FINER, interpolation=cv2.INTER_AREA))
    return pages


def drawn(path: Path, station: str, size_mm: float) -> list[np.ndarray]:
    pages = write_sheet(path, station, size_mm)
    sheets = printed(path)
    assert len(sheets) == pages
    return sheets


@pytest.mark.parametrize(("station", "size_mm"), [("TANK1", 60.0), ("LINE-3-STATION-7", 45.0)])
def test_the_printed_sheet_reads_back_to_scale(tmp_path: Path, station: str, size_mm: float) -> None:
    sheet = drawn(tmp_path / "sheet.pdf", station, size_mm)[0]
    found = {code.payload: code.corners_px for code in read(sheet)}
    assert found.keys() == {f"{station}:{corner}" for corner in CORNERS}
    for corners in found.values():
        sides_mm = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1) / PRINTER_DPI * 25.4
        assert np.abs(sides_mm - size_mm).max() < 0.1


def test_codes_lie_as_their_corners_on_the_tank(tmp_path: Path) -> None:
    sheet = drawn(tmp_path / "sheet.pdf", "TANK1", 60.0)[0]
    middle = {code.payload[-2:]: code.corners_px.mean(axis=0) for code in read(sheet)}
    assert middle["TL"][0] < middle["TR"][0] and middle["TL"][1] < middle["BL"][1]
    assert middle["BR"][0] > middle["BL"][0] and middle["BR"][1] > middle["TR"][1]


def test_large_codes_get_a_sheet_each(tmp_path: Path) -> None:
    sheets = drawn(tmp_path / "sheet.pdf", "TANK1", 100.0)
    assert [[code.payload for code in read(sheet)] for sheet in sheets] == [[f"TANK1:{corner}"] for corner in CORNERS]


@pytest.mark.parametrize("station", ["tank1", "", "TANK 1", "A" * 17, "TANK1:TL", "TANK1\n"])
def test_a_bad_station_id_is_refused_in_words(tmp_path: Path, station: str) -> None:
    with pytest.raises(ConfigError, match="take 1 to 16 of A-Z, 0-9 and '-'"):
        write_sheet(tmp_path / "sheet.pdf", station)
    assert not list(tmp_path.iterdir())


def test_a_size_that_does_not_fit_the_paper_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="choose 20 to 130 mm"):
        write_sheet(tmp_path / "sheet.pdf", "TANK1", 200)


def test_a_folder_that_is_not_there_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        write_sheet(tmp_path / "none" / "sheet.pdf", "TANK1")


def test_the_command_writes_the_sheet_and_says_the_size_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "sheet.pdf"
    assert calibrate(["markers", "--station", "TANK1", "--out", str(target)]) == 0
    assert target.read_bytes().startswith(b"%PDF")
    told = capsys.readouterr()
    assert size_rule(60) in told.err and told.out == ""
    assert "84 px" in size_rule(60)


def test_the_same_station_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.pdf", "b.pdf"):
        assert markers(["--station", "TANK1", "--out", str(tmp_path / name)]) == 0
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
