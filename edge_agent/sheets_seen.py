"""The codes of a picture -> whose sheets hang there, and what is wrong with how they hang, in words. PURE.

Where a sheet lies against the profile is `framing`'s matter; here only what no profile is needed for.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from edge_agent.codes import Code
from edge_agent.records import CORNERS, Corner
from edge_agent.station import STATION_ID

SheetKind = Literal["ok", "none", "other_station", "two_stations", "twice", "mirrored", "swapped"]
LEAST_FOR_ORDER = 3
"""Corners that must be seen before anything is said of their order: a code read in a mirror looks like one that was
hung turned by 90 degrees, only the way round the tank tells the two apart."""
MIRRORED = "the picture is mirrored: switch the camera's mirroring off, or look at the tank without a mirror"


@dataclass(frozen=True, slots=True)
class Sheets:
    """Whose sheets a picture shows. `words`: fact and cure; empty where nothing is wrong as far as it was seen."""

    kind: SheetKind
    words: str
    stations: tuple[str, ...]
    """Ids in the picture, those with most corners first."""
    corners: tuple[Corner, ...]
    """Seen of the station that was asked for, or of the only one."""


def seen(codes: Iterable[Code], station: str | None = None) -> Sheets:
    """What hangs there. `station`: the id that is expected; None = whichever it is.

    Of several faults the one that has to be mended first is told.
    """
    places = _by_station(codes)
    stations = tuple(sorted(places, key=lambda id: (-len(places[id]), id)))
    if not stations:
        return Sheets("none", "", (), ())
    wanted = station or stations[0]
    own = places.get(wanted, {})
    kind, words = _fault(places, stations, wanted=wanted, expected=station)
    return Sheets(kind, words, stations, tuple(corner for corner in CORNERS if corner in own))


def _fault(
    places: dict[str, dict[Corner, list[np.ndarray]]],
    stations: tuple[str, ...],
    *,
    wanted: str,
    expected: str | None,
) -> tuple[SheetKind, str]:
    own = places.get(wanted, {})
    if not own:
        others = " and ".join(stations)
        cure = "give this device the profile of the tank that it looks at, or hang the right sheets"
        return "other_station", f"the markers in the picture are those of {others}, not of {wanted}: {cure}"
    if expected is None and len(stations) > 1:
        named = " and ".join(stations)
        return "two_stations", f"the sheets of {named} are in one picture: turn the camera, or cover the other tank's"
    twice = [corner for corner in CORNERS if len(own.get(corner, ())) > 1]
    if twice:
        named = ", ".join(f"{wanted}:{corner}" for corner in twice)
        cure = "take the second sheet away, or shade what mirrors it"
        return "twice", f"{named} can be seen twice, once is allowed: {cure}"
    return _order_fault({corner: found[0] for corner, found in own.items()}, wanted)


def _order_fault(own: dict[Corner, np.ndarray], station: str) -> tuple[SheetKind, str]:
    """TL, TR, BR, BL go round clockwise, however the camera is turned; in a mirror they go round the other way."""
    corners = [corner for corner in CORNERS if corner in own]
    if len(corners) < LEAST_FOR_ORDER:
        return "ok", ""
    turns = [_turn([own[corner] for corner in three]) for three in combinations(corners, 3)]
    if all(turn > 0 for turn in turns):
        return "ok", ""
    if all(turn < 0 for turn in turns):
        return "mirrored", MIRRORED
    named = ", ".join(corners)
    return "swapped", f"the markers {named} of {station} hang in each other's places: hang each at its own corner"


def _turn(points: Sequence[np.ndarray]) -> float:
    """Twice the signed area of three places: positive where they go round clockwise as the picture shows it."""
    (ax, ay), (bx, by) = points[1] - points[0], points[2] - points[0]
    return float(ax * by - ay * bx)


def _by_station(codes: Iterable[Code]) -> dict[str, dict[Corner, list[np.ndarray]]]:
    """Station -> corner -> middles of its codes, (2,) float32 each in camera pixels."""
    places: dict[str, dict[Corner, list[np.ndarray]]] = {}
    for code in codes:
        station, _, corner = code.payload.partition(":")
        if corner in CORNERS and re.fullmatch(STATION_ID, station):
            places.setdefault(station, {}).setdefault(corner, []).append(code.corners_px.mean(axis=0))
    return places
