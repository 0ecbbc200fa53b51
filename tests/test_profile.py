import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes_camera import frame, moved, noisy, paint, reference_corners

from calibration import fitting
from calibration.profile import calibrate, framing_of, lamp_of
from calibration.scene import draw_station
from calibration.twin import Twin, draw_scenes
from calibration.view import Viewer
from edge_agent import framing, station
from edge_agent.decision import DecisionWatch
from edge_agent.empty_tank import EmptyTank, ImmersionLimits
from edge_agent.errors import ConfigError, StationError
from edge_agent.eyes import Eyes
from edge_agent.immersion import water_cells
from edge_agent.inspection import FixedFraming
from edge_agent.records import CORNERS, Frame
from edge_agent.station import Lamp

LAMPS = (Lamp("ok", (300, 5, 20, 20)), Lamp("leak", (330, 5, 20, 20)))


def filmed(picture: np.ndarray, count: int = 30, fps: float = 10.0) -> Iterator[Frame]:
    rng = np.random.default_rng(1)
    return (frame(noisy(picture, rng), number, fps=fps) for number in range(count))


def folder_of(path: Path, picture: np.ndarray, count: int = 6) -> str:
    path.mkdir()
    for number, taken in enumerate(filmed(picture, count)):
        cv2.imwrite(str(path / f"{number}.png"), taken.image)
    return str(path)


def test_fit_finds_the_tank_within_a_tenth_of_a_pixel_and_measures_the_scale() -> None:
    profile, report = fitting.fit(filmed(paint(reference_corners())), "TANK1", LAMPS, marker_mm=60)
    outer = [reference_corners()[corner][index] for index, corner in enumerate(CORNERS)]
    assert np.abs(np.array(profile.tank_px) - outer).max() < 0.1
    assert profile.px_per_mm == pytest.approx(90 / 60, rel=0.02)
    assert profile.frame_size_px == (640, 480) and profile.camera.fps == 10
    assert report.unfit == ()
    assert report.found[0].startswith("TANK1: all four markers found in ")


@pytest.mark.parametrize("seed", range(4))
def test_fit_finds_the_twins_true_corners_within_half_a_pixel_rms(seed: int) -> None:
    look = draw_station(seed, "reference", (640, 480), "TANK1")
    twin = Twin(look, draw_scenes(seed, look, "reference", 1), fps=10, seed=seed)
    frames = (taken for taken, _ in twin.frames())
    profile, _ = fitting.fit((next(frames) for _ in range(30)), "TANK1")
    error = np.linalg.norm(np.array(profile.tank_px) - look.tank_px, axis=1)
    assert np.sqrt((error**2).mean()) < 0.5


@pytest.mark.parametrize("seed", range(3))
def test_the_empty_tank_is_seen_as_the_device_sees_it(seed: int) -> None:
    look = draw_station(seed, "reference", (640, 480), "TANK1")
    picture = Viewer(look, 0).empty_station()
    x, y = np.mean(look.tank_px, axis=0).astype(int).tolist()
    profile, _ = fitting.fit((frame(picture, number) for number in range(30)), "TANK1", (Lamp("ok", (x, y, 60, 60)),))
    size = profile.view_size_px
    steady = FixedFraming(framing.homography(profile.tank_px, size))
    seen = Eyes(profile, steady, size, None, DecisionWatch()).look(frame(picture))
    water = water_cells(framing.markers_in_view(profile, size), size)
    tank = EmptyTank(profile.empty_grey(), water, ImmersionLimits())
    assert (tank.taken_share(seen.thumb), tank.touched_share) == (0, 0)


def test_a_profile_that_was_fitted_reads_back_and_its_own_station_is_in_place(tmp_path: Path) -> None:
    source, target = folder_of(tmp_path / "f", paint(reference_corners())), tmp_path / "station.toml"
    arguments = [
        "fit",
        source,
        "--station",
        "TANK1",
        "--lamp",
        "ok:300,5,20,20",
        "--marker-mm",
        "60",
        "--out",
        str(target),
    ]
    assert calibrate(arguments) == 0
    profile, _ = station.load(target)
    assert profile.lamps == (Lamp("ok", (300, 5, 20, 20)),)
    assert profile.empty_grey().shape == (24, 32)
    assert calibrate(["check", source, "--station", str(target)]) == 0


def test_check_says_in_words_what_moved_and_ends_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "station.toml"
    target.write_bytes(station.dump(fitting.fit(filmed(paint(reference_corners())), "TANK1")[0]))
    off = folder_of(tmp_path / "off", paint(moved(reference_corners(), (-6, 0))))
    assert calibrate(["check", off, "--station", str(target)]) == 1
    assert capsys.readouterr().out.strip().endswith("turn the camera left")
    assert calibrate(["check", off, "--station", str(target), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["status"], told["corners_seen"]) == ("shifted", 4)
    assert told["shift_px"] == pytest.approx(6, abs=0.2)


def test_a_covered_corner_is_named_and_no_profile_is_written(tmp_path: Path) -> None:
    corners = {corner: points for corner, points in reference_corners().items() if corner != "BR"}
    source, target = folder_of(tmp_path / "f", paint(corners)), tmp_path / "station.toml"
    with pytest.raises(StationError, match=r"not seen: TANK1:BR \(0 of \d+ pictures\), all four are needed"):
        calibrate(["fit", source, "--station", "TANK1", "--out", str(target)])
    assert not target.exists()


def test_codes_of_another_station_are_named() -> None:
    with pytest.raises(
        StationError, match="no marker of TANK1 .* other codes seen: TANK2:.* give --station as printed"
    ):
        fitting.fit(filmed(paint(reference_corners(), "TANK2"), 3), "TANK1")


def unfit_words(picture: np.ndarray) -> str:
    return "\n".join(fitting.fit(filmed(picture, 12), "TANK1", LAMPS, marker_mm=60)[1].unfit)


def test_markers_that_are_too_small_are_called_so_with_the_size_they_need() -> None:
    small = {corner: points[:1] + (points - points[:1]) * 0.8 for corner, points in reference_corners().items()}
    assert "marker TL has 3.4 px a module, limit 4 px: bring the camera nearer, or print it 1.2 times" in unfit_words(
        paint(small)
    )


def test_a_blurred_picture_is_called_blurred_and_a_sharp_one_is_not() -> None:
    assert "is blurred" in unfit_words(paint(reference_corners(), blur_px=1.5))
    assert "is blurred" not in unfit_words(paint(reference_corners(), blur_px=0.8))


def test_a_dark_picture_is_called_dark() -> None:
    dark = (paint(reference_corners()).astype(np.float32) * 0.2).astype(np.uint8)
    assert "is dark or dull: " in unfit_words(dark)


def test_something_moving_in_the_empty_tank_is_told() -> None:
    def restless() -> Iterator[Frame]:
        for taken in filmed(paint(reference_corners()), 12):
            picture = taken.image.copy()
            cv2.rectangle(picture, (200 + 20 * taken.sequence, 200), (300 + 20 * taken.sequence, 300), 30, -1)
            yield frame(picture, taken.sequence, fps=10)

    words = "\n".join(fitting.fit(restless(), "TANK1")[1].unfit)
    assert "something moved in the tank in the first second" in words
    assert "no lamp is marked" in words and "the scale is unknown" in words


def test_a_camera_that_is_turned_while_it_is_looked_at_is_told() -> None:
    def turned() -> Iterator[Frame]:
        for taken in filmed(paint(reference_corners()), 30):
            corners = reference_corners() if taken.sequence < 15 else moved(reference_corners(), (4, 0))
            yield frame(paint(corners), taken.sequence, fps=10)

    assert "the camera moved by" in "\n".join(fitting.fit(turned(), "TANK1")[1].unfit)


@pytest.mark.parametrize("text", ["ok", "ok:1,2,3", "ok:a,b,c,d", "blue:1,2,3,4", "ok:1,2,3,4,5"])
def test_a_lamp_that_is_not_of_the_form_is_refused_in_words(text: str) -> None:
    with pytest.raises(ConfigError, match="write ok:x,y,w,h or leak:x,y,w,h"):
        lamp_of(text)


def test_a_lamp_outside_the_picture_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not lie in the picture of 640x480"):
        fitting.fit(filmed(paint(reference_corners()), 3), "TANK1", [Lamp("ok", (630, 5, 20, 20))])


def test_check_of_a_picture_of_another_size_is_refused() -> None:
    profile, _ = fitting.fit(filmed(paint(reference_corners()), 3), "TANK1")
    with pytest.raises(StationError, match="320x240"):
        framing_of(iter([frame(np.zeros((240, 320), np.uint8))]), profile)


def test_read_lists_every_code_one_line_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(tmp_path / name) for name in ("codes.png", "none.png")]
    cv2.imwrite(paths[0], paint(reference_corners()))
    cv2.imwrite(paths[1], np.full((60, 60), 99, np.uint8))
    assert calibrate(["read", *paths, "--json"]) == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["image"] == paths[0] and second["codes"] == []
    found = {code["payload"]: code for code in first["codes"]}
    assert found.keys() == {f"TANK1:{corner}" for corner in CORNERS}
    assert np.abs(np.array(found["TANK1:TL"]["corners_px"]) - reference_corners()["TL"]).max() < 0.1
    assert found["TANK1:TL"]["reader"] == "zxing"


def test_read_of_what_is_no_picture_names_it_after_the_others_were_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "a.png", tmp_path / "b.png"
    cv2.imwrite(str(good), paint(reference_corners()))
    bad.write_text("no picture")
    with pytest.raises(StationError, match=r"no picture that can be read: .*b.png"):
        calibrate(["read", str(bad), str(good), "--json"])
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_wrong_usage_ends_with_two() -> None:
    for arguments in ([], ["paint"], ["fit"]):
        with pytest.raises(SystemExit) as ended:
            calibrate(arguments)
        assert ended.value.code == 2
