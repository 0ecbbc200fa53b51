import cv2
import numpy as np
import pytest
from fakes_camera import SIZE_PX, frame, moved, noisy, paint, profile, reference_corners, seen

from edge_agent import framing
from edge_agent.codes import Code, MarkerReader
from edge_agent.errors import StationError
from edge_agent.framing import FramingWatch, check
from edge_agent.records import CORNERS, Corner, Frame, Marker

FPS = 20.0
WITHIN_FRAMES = int(1.0 * FPS)


def sighted(corners: dict[Corner, np.ndarray], rng: np.random.Generator, shake_px: np.ndarray) -> list[Marker]:
    """What the readers make of it: 0.15 px of noise at each corner."""
    return seen({corner: points + shake_px + rng.normal(0, 0.15, (4, 2)) for corner, points in corners.items()})


class Sights:
    """Feeds a watch with markers instead of pictures; the frames' pictures are blank."""

    def __init__(self) -> None:
        self.markers: list[Marker] = []
        self.checks = 0
        self.watch = FramingWatch(profile(), self._read)
        self.sequence = 0

    def _read(self, image: np.ndarray) -> list[Marker]:
        self.checks += 1
        return self.markers

    def step(self, markers: list[Marker]) -> framing.Framing:
        self.markers = markers
        self.sequence += 1
        return self.watch.step(frame(BLANK, self.sequence, fps=FPS))


BLANK = np.zeros((480, 640), np.uint8)


def shake(rng: np.random.Generator, now_s: float, amplitude_px: float = 1.4) -> np.ndarray:
    """A machine hall: two vibrations and some jitter."""
    slow, fast = np.sin(2 * np.pi * 3.3 * now_s), np.sin(2 * np.pi * 11.7 * now_s + 1)
    return amplitude_px * np.array([0.6 * slow, 0.5 * fast]) + rng.normal(0, 0.15 * amplitude_px, 2)


def test_no_alarm_in_20000_unmoved_frames_with_noise_and_shake_of_a_millimetre() -> None:
    rng, sights, corners = np.random.default_rng(0), Sights(), reference_corners()
    words = {sights.step(sighted(corners, rng, shake(rng, n / FPS))).words for n in range(20_000)}
    assert words == {""}


@pytest.mark.parametrize("angle", range(0, 360, 45))
def test_every_shift_of_three_pixels_is_reported_within_a_second(angle: int) -> None:
    shift = 3.0 * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    assert_reported(moved(reference_corners(), tuple(shift)), "shifted")


@pytest.mark.parametrize("degrees", [0.5, -0.5])
def test_every_rotation_of_half_a_degree_is_reported_within_a_second(degrees: float) -> None:
    last = assert_reported(moved(reference_corners(), degrees=degrees), "shifted")
    assert last.rotation_deg == pytest.approx(degrees, abs=0.1)


@pytest.mark.parametrize("corner", CORNERS)
def test_every_covered_marker_is_reported_within_a_second(corner: Corner) -> None:
    left = {name: points for name, points in reference_corners().items() if name != corner}
    last = assert_reported(left, "lost")
    assert f"marker {corner} not seen" in last.words
    assert last.corners_seen == 3


def assert_reported(corners: dict[Corner, np.ndarray], status: str) -> framing.Framing:
    last = None
    for start in range(16):
        rng, sights = np.random.default_rng(start), Sights()
        for n in range(20 + start):
            assert sights.step(sighted(reference_corners(), rng, shake(rng, n / FPS))).status == "ok"
        reports = [sights.step(sighted(corners, rng, shake(rng, n / FPS))) for n in range(WITHIN_FRAMES)]
        last = reports[-1]
        assert last.status == status
    assert last is not None
    return last


def test_all_is_well_again_within_a_second_after_the_camera_was_put_back() -> None:
    rng, sights = np.random.default_rng(0), Sights()
    for corners in (reference_corners(), moved(reference_corners(), (9, 0)), reference_corners()):
        reports = [sights.step(sighted(corners, rng, shake(rng, n / FPS))) for n in range(WITHIN_FRAMES)]
    assert reports[-1].status == "ok"


def test_a_hand_before_a_marker_for_two_frames_is_no_alarm() -> None:
    sights, corners = Sights(), reference_corners()
    hidden = {name: points for name, points in corners.items() if name != "BR"}
    for n in range(60):
        assert sights.step(seen(hidden if n % 20 in (3, 4) else corners)).status == "ok"


def test_while_all_is_well_only_one_frame_in_eight_is_checked_and_else_every_one() -> None:
    sights = Sights()
    for _ in range(80):
        sights.step(seen(reference_corners()))
    assert sights.checks == 10
    for _ in range(40):
        sights.step(seen(moved(reference_corners(), (20, 0))))
    assert sights.checks >= 10 + 40 - 8


def test_while_all_is_well_the_homography_does_not_jitter() -> None:
    rng, sights = np.random.default_rng(3), Sights()
    seen_homographies = {
        sights.step(sighted(reference_corners(), rng, np.zeros(2))).homography.tobytes() for _ in range(100)
    }
    assert len(seen_homographies) == 1


def test_first_frame_of_a_camera_that_has_moved_is_not_called_ok() -> None:
    assert Sights().step(seen(moved(reference_corners(), (12, 0)))).status == "shifted"


def test_time_that_jumps_back_is_checked_at_once() -> None:
    sights = Sights()
    sights.sequence = 1000
    sights.step(seen(reference_corners()))
    sights.sequence = 0
    sights.step(seen(reference_corners()))
    assert sights.checks == 2


@pytest.mark.parametrize(
    ("shift_px", "degrees", "scale", "cure"),
    [
        ((23.4, 0), 0, 1, "turn the camera right"),
        ((-23.4, 0), 0, 1, "turn the camera left"),
        ((0, 12), 0, 1, "turn the camera down"),
        ((0, -12), 0, 1, "turn the camera up"),
        ((0, 0), 1.2, 1, "roll the camera clockwise"),
        ((0, 0), -1.2, 1, "roll the camera anticlockwise"),
        ((0, 0), 0, 1.02, "move the camera away from the tank"),
        ((0, 0), 0, 0.98, "move the camera nearer to the tank"),
    ],
)
def test_words_say_how_to_put_it_right(shift_px: tuple[float, float], degrees: float, scale: float, cure: str) -> None:
    found = check(seen(moved(reference_corners(), shift_px, degrees, scale)), profile())
    assert found.status == "shifted"
    assert found.words.endswith(f": {cure}")
    assert "limit 2.0 px and 0.35 degrees" in found.words


def test_words_name_pixels_and_millimetres_where_the_scale_is_known() -> None:
    corners = seen(moved(reference_corners(), (15, 0)))
    assert "15.0 px (9.9 mm) off" in check(corners, profile(px_per_mm=1.5)).words
    assert "15.0 px off" in check(corners, profile(px_per_mm=None)).words


def test_one_marker_that_moved_alone_is_named_and_the_camera_is_not_blamed() -> None:
    for corner in CORNERS:
        corners = reference_corners()
        corners[corner] = corners[corner] + np.array([3.0, -2.0])
        found = check(seen(corners), profile())
        assert found.status == "shifted"
        assert found.words.startswith(f"marker {corner} alone is")
        assert found.shift_px == pytest.approx(3.6, abs=0.3)


def test_no_marker_at_all_is_lost() -> None:
    found = check([], profile())
    assert (found.status, found.corners_seen, found.shift_px) == ("lost", 0, None)
    assert "TL, TR, BR, BL not seen" in found.words


def test_a_moved_camera_with_a_corner_out_of_the_picture_is_called_moved_first() -> None:
    corners = moved(reference_corners(), (-40, 0))
    found = check(seen({name: points for name, points in corners.items() if name != "TL"}), profile())
    assert found.status == "shifted"
    assert "turn the camera left" in found.words and "marker TL not seen" in found.words


def test_a_shifted_picture_still_maps_the_tank_onto_its_view() -> None:
    corners = moved(reference_corners(), (7, -4), degrees=1.0)
    found = check(seen(corners), profile())
    outer = np.array([corners[corner][index] for index, corner in enumerate(CORNERS)])
    mapped = cv2.perspectiveTransform(outer[None], found.homography)[0]
    assert np.abs(mapped - [[0, 0], [588, 0], [588, 436], [0, 436]]).max() < 0.1


def test_from_pictures_a_shift_of_three_pixels_is_told_to_a_tenth_of_a_pixel() -> None:
    rng, read = np.random.default_rng(5), MarkerReader(profile())
    still = check(read(noisy(paint(reference_corners()), rng)), profile())
    assert still.status == "ok" and still.shift_px is not None and still.shift_px < 0.3
    off = check(read(noisy(paint(moved(reference_corners(), (3, 0))), rng)), profile())
    assert off.status == "shifted"
    assert off.shift_px == pytest.approx(3.0, abs=0.2)


def test_a_picture_of_another_size_than_the_profiles_is_refused_in_words() -> None:
    with pytest.raises(StationError, match="320x240, the profile is for 640x480: run 'calibrate fit'"):
        FramingWatch(profile(), MarkerReader(profile())).step(Frame(np.zeros((240, 320), np.uint8), 0, 0.0, 0.0))


def test_a_view_is_native_size_in_steps_of_four_and_never_over_the_limit() -> None:
    quad = [[10, 10], [601, 12], [600, 455], [9, 452]]
    assert framing.view_size_for(quad, (960, 720)) == (588, 440)
    assert framing.view_size_for(quad, (320, 320)) == (320, 236)
    assert framing.view_size_for([[0, 0], [1, 0], [1, 1], [0, 1]], (640, 480)) == (4, 4)


def test_the_whole_picture_as_view_is_the_picture_itself() -> None:
    picture = np.random.default_rng(0).integers(0, 255, SIZE_PX[::-1], np.uint8)
    whole = [[0, 0], [640, 0], [640, 480], [0, 480]]
    assert (framing.rectify(picture, framing.homography(whole, SIZE_PX), SIZE_PX) == picture).all()


def code(payload: str, points: np.ndarray) -> Code:
    return Code(payload, points.astype(np.float32), "zxing", 21)


def test_four_codes_of_one_station_give_the_tank_and_foreign_codes_do_not_disturb() -> None:
    corners = reference_corners()
    own = [code(f"T-9:{corner}", points) for corner, points in corners.items()]
    foreign = [code("https://example.org/a:TL", corners["TL"]), code("OTHER:TL", corners["BR"])]
    quad = framing.without_station([*foreign, *own])
    assert quad is not None
    assert np.allclose(quad, [corners[corner][index] for index, corner in enumerate(CORNERS)])
    assert framing.without_station(own[:3]) is None
    assert framing.without_station(own + [code(f"T-8:{c}", p) for c, p in corners.items()]) is None


def test_a_code_glued_on_upside_down_does_not_shrink_the_tank() -> None:
    corners = reference_corners()
    turned = {corner: np.roll(points, 2, axis=0) for corner, points in corners.items()}
    assert np.allclose(framing.tank_quad(turned), framing.tank_quad(corners))
