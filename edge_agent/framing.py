"""Markers seen in a frame + the station's reference -> Framing: does the camera still frame the tank as it was set up?

Also the tank view's geometry: homography, size, the picture itself. Reading the codes is left to `codes`. PURE.
"""

import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from edge_agent.codes import Code
from edge_agent.errors import StationError
from edge_agent.records import CORNERS, Corner, Frame, Framing, Marker
from edge_agent.station import STATION_ID, StationProfile

PERIOD_S = 0.4
"""Time between checks while all is well."""
CALM_PERIOD_S = 1.0
"""The same over an empty tank in which nothing moves: a camera that has moved is somebody's work, and no unit waits."""
WATCH_S = 0.35
"""A bad check is believed only when the median of all checks over this time agrees: shake and noise are shorter."""
LEAST_CHECKS = 3
SUSPICIOUS_SHARE = 0.75
"""From this share of a tolerance on every frame is checked."""


@dataclass(frozen=True, slots=True)
class Motion:
    """A similarity of the picture, as complex numbers x + iy: `now = turn * reference + move`."""

    turn: complex
    move: complex

    def of(self, points: np.ndarray) -> np.ndarray:
        return self.turn * points + self.move

    def matrix(self) -> np.ndarray:
        """(3, 3) float64, reference camera pixels -> camera pixels now."""
        a, b = self.turn.real, self.turn.imag
        return np.array([[a, -b, self.move.real], [b, a, self.move.imag], [0.0, 0.0, 1.0]])


def homography(tank_px: Sequence[Sequence[float]] | np.ndarray, view_size_px: tuple[int, int]) -> np.ndarray:
    """(3, 3) float64: camera pixels -> tank view pixels, the quadrilateral TL, TR, BR, BL filling (width, height).

    The whole picture, (0, 0) to (W, H), becomes itself: no pixel is blurred.
    """
    width, height = view_size_px
    view = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    return cv2.getPerspectiveTransform(np.array(tank_px, np.float32), view)


def view_size_for(tank_px: Sequence[Sequence[float]] | np.ndarray, max_view_px: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of the tank view: the quadrilateral's own size in camera pixels, within `max_view_px`.

    Both are multiples of four, as the nets need them.
    """
    sides = np.linalg.norm(
        np.roll(np.array(tank_px, np.float64), -1, axis=0) - np.array(tank_px, np.float64),
        axis=1,
    )
    width, height = max(sides[0], sides[2]), max(sides[1], sides[3])
    scale = min(1.0, max_view_px[0] / width, max_view_px[1] / height)
    return _four(width * scale), _four(height * scale)


def markers_in_view(profile: StationProfile, view_size_px: tuple[int, int]) -> list[np.ndarray]:
    """(4, 2) float64 each: the corners of the profile's codes in the tank view."""
    matrix = homography(profile.tank_px, view_size_px)
    return [cv2.perspectiveTransform(np.array([marker.corners_px]), matrix)[0] for marker in profile.markers]


def rectify(grey: np.ndarray, homography_px: np.ndarray, view_size_px: tuple[int, int]) -> np.ndarray:
    """(h, w) uint8 tank view of `grey` (H, W) uint8: a new array, 0 where the camera saw nothing."""
    return cv2.warpPerspective(grey, homography_px, view_size_px, flags=cv2.INTER_LINEAR)


def without_station(codes: Sequence[Code]) -> np.ndarray | None:
    """(4, 2) float32 tank quadrilateral TL, TR, BR, BL where exactly one station shows all four codes."""
    stations: dict[str, dict[Corner, np.ndarray]] = {}
    for code in codes:
        station, _, corner = code.payload.partition(":")
        if corner in CORNERS and re.fullmatch(STATION_ID, station):
            stations.setdefault(station, {})[corner] = code.corners_px
    whole = [corners for corners in stations.values() if len(corners) == len(CORNERS)]
    return tank_quad(whole[0]) if len(whole) == 1 else None


def tank_quad(corners: dict[Corner, np.ndarray]) -> np.ndarray:
    """(4, 2) float32: of each of the four codes the corner that is farthest from the middle of them all."""
    middle = np.mean([corners[corner] for corner in CORNERS], axis=(0, 1))
    outer = [max(corners[corner], key=lambda point: float(np.linalg.norm(point - middle))) for corner in CORNERS]
    return np.array(outer, np.float32)


class FramingWatch:
    """Follows a station's frames: checks now and then while all is well, every frame while anything looks wrong.

    `read`: picture -> the station's markers in it (`codes.MarkerReader(profile)`).
    """

    def __init__(
        self,
        profile: StationProfile,
        read: Callable[[np.ndarray], list[Marker]],
        view_size_px: tuple[int, int] | None = None,
        explain: Callable[[], str] = str,
    ) -> None:
        """`explain`: why the sheets last read are not where they should be, where more is known than that."""
        self._profile, self._read, self._explain = profile, read, explain
        self.view_size_px = view_size_px or profile.view_size_px
        self.calm = False
        """Nothing moves in the tank."""
        self._framing: Framing | None = None
        self._due_s = float("-inf")
        self._recent: deque[tuple[float, list[Marker]]] = deque()

    def step(self, frame: Frame) -> Framing:
        """Frames must come in order of capture; one of another size than the profile's is a StationError."""
        now_s = frame.monotonic_s
        later_s = CALM_PERIOD_S - PERIOD_S if self.calm and not self._recent else 0.0
        if self._framing is not None and self._due_s - PERIOD_S <= now_s < self._due_s + later_s:
            return self._framing
        same_size(frame, self._profile)
        markers = self._read(frame.image)
        raw = check(markers, self._profile, self.view_size_px)
        calm = not self._suspicious(raw)
        if calm and (self._framing is None or self._framing.status == "ok"):
            self._recent.clear()
            self._framing, self._due_s = raw, now_s + PERIOD_S
            return raw
        believed = self._believed(markers, now_s) or self._framing or raw
        self._framing = self._explained(replace(believed, codes_now=raw.codes_now))
        return self._framing

    def _explained(self, framing: Framing) -> Framing:
        words = self._explain() if framing.status in ("shifted", "lost") else ""
        return replace(framing, words=words) if words else framing

    def _believed(self, markers: list[Marker], now_s: float) -> Framing | None:
        """What the checks of the last WATCH_S say together; None while they are too few."""
        self._recent.append((now_s, markers))
        self._due_s = now_s
        if self._recent[-1][0] - self._recent[0][0] < WATCH_S or len(self._recent) < LEAST_CHECKS:
            return None
        together = check(
            median_of([markers for _, markers in self._recent]),
            self._profile,
            self.view_size_px,
        )
        while len(self._recent) > LEAST_CHECKS and now_s - self._recent[1][0] >= WATCH_S:
            self._recent.popleft()
        return together

    def _suspicious(self, raw: Framing) -> bool:
        if raw.status != "ok" or raw.shift_px is None or raw.rotation_deg is None:
            return True
        shift, rotation = (
            self._profile.tolerance_shift_px,
            self._profile.tolerance_rotation_deg,
        )
        return raw.shift_px > SUSPICIOUS_SHARE * shift or abs(raw.rotation_deg) > SUSPICIOUS_SHARE * rotation


def same_size(frame: Frame, profile: StationProfile) -> None:
    """Raises StationError where the picture is not of the profile's size: pixels would mean other places."""
    height, width = frame.image.shape[:2]
    if (width, height) != profile.frame_size_px:
        wanted = "{}x{}".format(*profile.frame_size_px)
        raise StationError(
            f"the picture is {width}x{height}, the profile is for {wanted}: run 'calibrate fit' on this camera"
        )


def check(
    markers: Sequence[Marker],
    reference: StationProfile,
    view_size_px: tuple[int, int] | None = None,
) -> Framing:
    """How the markers of one picture (or the median of several) lie against the reference's.

    `shift_px` is the farthest that a corner of the tank, or a marker that moved alone, has moved in camera pixels;
    `rotation_deg` is positive clockwise on the screen. `shifted` outweighs `lost`.
    """
    usual = homography(reference.tank_px, view_size_px or reference.view_size_px)
    places = {marker.corner: _complex(marker.corners_px) for marker in reference.markers}
    seen = {marker.corner: _complex(marker.corners_px) for marker in markers if marker.corner in places}
    missing = [corner for corner in places if corner not in seen]
    if not seen:
        return Framing("lost", usual, words=_missing_words(missing, len(places)))
    motion = similarity(places, seen)
    loner = _moved_alone(places, seen, reference.tolerance_shift_px) if not missing else None
    if loner:
        corner, by = loner
        words = _loner_words(corner, by, reference)
        return Framing("shifted", usual, len(seen), abs(by), 0.0, words, len(seen))
    tank = _complex(reference.tank_px)
    moved = motion.of(tank) - tank
    shift_px, rotation_deg = (
        float(np.abs(moved).max()),
        float(np.degrees(np.angle(motion.turn))),
    )
    said = [_missing_words(missing, len(places))] if missing else []
    if shift_px > reference.tolerance_shift_px or abs(rotation_deg) > reference.tolerance_rotation_deg:
        now = usual @ np.linalg.inv(motion.matrix())
        said = [_moved_words(motion, moved, reference), *said]
        return Framing("shifted", now, len(seen), shift_px, rotation_deg, "; ".join(said), len(seen))
    return Framing(
        "lost" if missing else "ok",
        usual,
        len(seen),
        shift_px,
        rotation_deg,
        "; ".join(said),
        len(seen),
    )


def similarity(places: dict[Corner, np.ndarray], seen: dict[Corner, np.ndarray]) -> Motion:
    """Least squares over all corners of the codes seen; one code alone tells a shift, no turn."""
    before = np.concatenate([places[corner] for corner in seen])
    after = np.concatenate(list(seen.values()))
    if len(seen) == 1:
        return Motion(1 + 0j, complex((after - before).mean()))
    centred = before - before.mean()
    turn = complex(np.vdot(centred, after - after.mean()) / np.vdot(centred, centred))
    return Motion(turn, complex(after.mean() - turn * before.mean()))


def _moved_alone(
    places: dict[Corner, np.ndarray], seen: dict[Corner, np.ndarray], limit_px: float
) -> tuple[Corner, complex] | None:
    """The one marker that is over the limit while the others stand where they stood, and its shift."""
    shifts = {corner: complex((seen[corner] - places[corner]).mean()) for corner in seen}
    over = [corner for corner, shift in shifts.items() if abs(shift) > limit_px]
    if len(over) != 1 or len(seen) < 3:
        return None
    others = {corner: points for corner, points in seen.items() if corner != over[0]}
    rest = similarity(places, others)
    strayed = complex((seen[over[0]] - rest.of(places[over[0]])).mean())
    still = max(abs(shifts[corner]) for corner in others) <= limit_px / 2
    return (over[0], strayed) if still and abs(strayed) > limit_px else None


def median_of(checks: Sequence[Sequence[Marker]]) -> list[Marker]:
    """Each marker that more than half of the checks saw, at the median of its places."""
    together = []
    for corner in CORNERS:
        seen = [marker.corners_px for markers in checks for marker in markers if marker.corner == corner]
        if 2 * len(seen) > len(checks):
            together.append(Marker(corner, np.median(seen, axis=0).astype(np.float32)))
    return together


def _moved_words(motion: Motion, moved: np.ndarray, reference: StationProfile) -> str:
    """Fact, limit and cure for a camera that moved; the cure is the largest of what would bring the picture back."""
    worst = int(np.abs(moved).argmax())
    shift_px, rotation_deg = (
        float(np.abs(moved[worst])),
        float(np.degrees(np.angle(motion.turn))),
    )
    fact = f"the tank's corner {CORNERS[worst]} is {_px_and_mm(shift_px, reference)} off"
    fact = f"{fact}, turned by {rotation_deg:+.2f} degrees"
    limit = f"limit {reference.tolerance_shift_px:.1f} px and {reference.tolerance_rotation_deg:.2f} degrees"
    return f"{fact}, {limit}: {_cure(motion, moved, reference)}"


def _cure(motion: Motion, moved: np.ndarray, reference: StationProfile) -> str:
    middle = complex(moved.mean())
    reach = float(np.abs(_complex(reference.tank_px) - _complex(reference.tank_px).mean()).max())
    turned, grown = float(np.angle(motion.turn)), abs(motion.turn) - 1
    # A camera turned to the left moves its picture to the right, and back again.
    cures = {
        "turn the camera " + ("right" if middle.real > 0 else "left"): abs(middle.real),
        "turn the camera " + ("down" if middle.imag > 0 else "up"): abs(middle.imag),
        "roll the camera " + ("clockwise" if turned > 0 else "anticlockwise"): abs(turned) * reach,
        "move the camera " + ("away from" if grown > 0 else "nearer to") + " the tank": abs(grown) * reach,
    }
    largest = max(cures.values())
    return " and ".join(cure for cure, px in cures.items() if px > 0.5 * largest)


def _loner_words(corner: Corner, by: complex, reference: StationProfile) -> str:
    fact = f"marker {corner} alone is {_px_and_mm(abs(by), reference)} off"
    return f"{fact}, limit {reference.tolerance_shift_px:.1f} px: put it back or run 'calibrate fit' again"


def _missing_words(missing: Sequence[Corner], wanted: int) -> str:
    noun = "marker" if len(missing) == 1 else "markers"
    return f"{noun} {', '.join(missing)} not seen, all {wanted} are needed: uncover or clean, and check light and focus"


def _px_and_mm(length_px: float, reference: StationProfile) -> str:
    if reference.px_per_mm is None:
        return f"{length_px:.1f} px"
    tank = _complex(reference.tank_px)
    camera_px_per_mm = reference.px_per_mm * float(abs(tank[1] - tank[0])) / reference.view_size_px[0]
    return f"{length_px:.1f} px ({length_px / camera_px_per_mm:.1f} mm)"


def _complex(points: Sequence[Sequence[float]] | np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(points, np.float64).view(np.complex128).ravel()


def _four(length: float) -> int:
    return max(4, int(length // 4) * 4)
