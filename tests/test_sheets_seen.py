"""Whose sheets hang there, and what is wrong with how they hang: told by the codes of one picture alone."""

import numpy as np
import pytest

from edge_agent import codes, sheets_seen
from edge_agent.codes import Code
from tests.fakes_camera import moved, noisy, paint, reference_corners


def read(picture: np.ndarray) -> list[Code]:
    return codes.read(np.ascontiguousarray(noisy(picture, np.random.default_rng(1))))


def hung(**places: tuple[float, float]) -> list[Code]:
    """Codes of TANK1, by corner and place of their middles."""
    square = np.array([[-20, -20], [20, -20], [20, 20], [-20, 20]], np.float32)
    return [Code(f"TANK1:{corner}", square + np.array(at, np.float32), "zxing", 21) for corner, at in places.items()]


def test_a_station_that_hangs_as_it_should_is_well_however_the_camera_is_turned():
    picture = paint(reference_corners())
    for turned in (
        picture,
        np.rot90(picture),
        np.rot90(picture, 2),
        paint(moved(reference_corners(), degrees=15, scale=0.8)),
    ):
        told = sheets_seen.seen(read(turned), "TANK1")
        assert (told.kind, told.words, told.stations) == ("ok", "", ("TANK1",))
    assert told.corners == ("TL", "TR", "BR", "BL")


@pytest.mark.parametrize("way", [np.fliplr, np.flipud])
def test_a_mirrored_picture_is_told_by_the_way_round_the_tank(way):
    told = sheets_seen.seen(read(way(paint(reference_corners()))), "TANK1")
    assert told.kind == "mirrored"
    assert told.words.startswith("the picture is mirrored") and "switch the camera's mirroring off" in told.words


def test_three_corners_are_enough_to_tell_a_mirrored_picture_and_two_are_not():
    three = hung(TR=(0, 0), TL=(500, 0), BL=(500, 300))
    assert sheets_seen.seen(three, "TANK1").kind == "mirrored"
    assert sheets_seen.seen(three[:2], "TANK1").kind == "ok"


def test_the_markers_of_another_station_are_named():
    told = sheets_seen.seen(read(paint(reference_corners(), "TANK2")), "TANK1")
    assert (told.kind, told.stations, told.corners) == ("other_station", ("TANK2",), ())
    assert "are those of TANK2, not of TANK1" in told.words


def test_another_tank_behind_the_own_one_is_nothing():
    behind = [Code("TANK2:TL", one.corners_px + 40, "zxing", 21) for one in hung(TL=(0, 0))]
    assert sheets_seen.seen([*hung(TL=(0, 0), TR=(500, 0)), *behind], "TANK1").kind == "ok"
    two = sheets_seen.seen([*hung(TL=(0, 0), TR=(500, 0)), *behind])
    assert two.kind == "two_stations" and "TANK1 and TANK2" in two.words


def test_two_sheets_of_one_station_in_view_are_told():
    told = sheets_seen.seen([*hung(TL=(0, 0), TR=(500, 0)), *hung(TL=(0, 300))], "TANK1")
    assert told.kind == "twice"
    assert told.words.startswith("TANK1:TL can be seen twice, once is allowed")


def test_two_sheets_in_each_others_places_are_told():
    told = sheets_seen.seen(hung(TR=(0, 0), TL=(500, 0), BR=(500, 300), BL=(0, 300)), "TANK1")
    assert told.kind == "swapped" and "hang each at its own corner" in told.words


def test_a_picture_without_sheets_and_codes_that_are_none_of_ours_say_nothing():
    foreign = [Code("https://plant.example", one.corners_px, "zxing", 21) for one in hung(TL=(0, 0))]
    for nothing in ([], foreign):
        assert sheets_seen.seen(nothing, "TANK1") == sheets_seen.Sheets("none", "", (), ())
