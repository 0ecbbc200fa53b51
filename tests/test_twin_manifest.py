"""Single cases without files: what a manifest's `twin:` sources show is what recordings of the same run hold."""

import json
import math
from dataclasses import replace
from itertools import islice

import cv2
import numpy as np
import pytest

from calibration import record
from calibration.manifest import json_lines, line, row_of
from calibration.scene import draw_scene, draw_station
from calibration.slices import slices_of
from calibration.twin import open_twin, profile_of, station_of
from calibration.twin_spec import TwinSpec, read_spec
from edge_agent import station
from edge_agent.errors import StationError

SLICES = {
    "rate", "diameter_px", "front_light", "light", "haze", "shake_px", "shake_mm", "ripple_mm", "beads", "trapped",
    "late_trapped", "codec", "fps", "spot", "odd", "hands", "dirt", "exposure_ms", "silent",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("recorded")
    words = ["--cases", "3", "--seed", "11", "--profile", "demo", "--fps", "5", "--size", "320x240"]
    assert record.twin(["record", *words, "--out", str(path), "--lossless"]) == 0
    assert record.twin(["manifest", *words, "--out", str(path / "sources.jsonl")]) == 0
    return path


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_manifest_of_sources_says_the_same_as_one_of_recordings(folder):
    recorded, named = lines(folder / "manifest.jsonl"), lines(folder / "sources.jsonl")
    assert [row["video"] for row in recorded] == [f"case{number:04d}.mkv" for number in range(3)]
    for with_file, with_source in zip(recorded, named, strict=True):
        for row in (with_file, with_source):
            row.pop("video")
        with_file.pop("station")
        assert with_file == with_source
    assert set(named[0]) >= SLICES


def test_a_source_shows_the_pixels_of_its_recording(folder):
    for number in (0, 2):
        capture = cv2.VideoCapture(str(folder / f"case{number:04d}.mkv"))
        camera = open_twin(lines(folder / "sources.jsonl")[number]["video"])
        shown = 0
        for frame in camera.frames():
            readable, image = capture.read()
            assert readable and np.array_equal(image, frame.image)
            shown += 1
        assert shown > 20 and not capture.read()[0]


def test_a_source_brings_its_perfect_station_profile(folder):
    for number, row in enumerate(lines(folder / "sources.jsonl")):
        known, _ = station.load(folder / f"station{number:04d}.toml")
        assert open_twin(row["video"]).profile == known


@pytest.mark.parametrize("profile", ["reference", "hard"])
def test_a_source_with_a_codec_shows_the_pixels_of_its_recording(profile, tmp_path):
    numbers = [n for n in range(20) if row_of(TwinSpec(seed=4, profile=profile), n)["codec"] != "none"]
    look = station_of(4, numbers[0], profile, (640, 480), "TANK1")
    again = open_twin(f"twin:seed=4,first={numbers[0]},cases=1,profile={profile},single=1,own=1")
    assert again.profile == profile_of(look, profile)
    twice = open_twin(f"twin:seed=4,first={numbers[0]},cases=1,profile={profile},single=1,own=1")
    for a, b in islice(zip(again.frames(), twice.frames(), strict=True), 8):
        assert np.array_equal(a.image, b.image)
    assert again.cases[0].slices["fps"] == look.fps


def test_frame_rates_are_drawn_from_the_profile_unless_given():
    rates = {row_of(TwinSpec(seed=6, profile="plant"), number)["fps"] for number in range(60)}
    assert rates == {15.0, 20.0, 24.0, 25.0, 30.0, 50.0, 60.0}
    assert row_of(TwinSpec(seed=6, profile="plant", fps=12.0), 0)["fps"] == 12.0


def test_runs_of_different_seeds_share_neither_stations_nor_units():
    rows = [[row_of(TwinSpec(seed=seed), number) for number in range(200)] for seed in (1, 2)]
    for key in ("seed", "front_light", "haze", "shake_px", "px_per_mm"):
        assert not {row[key] for row in rows[0]} & {row[key] for row in rows[1]}


def test_a_run_can_begin_at_a_later_case():
    one = open_twin("twin:seed=5,first=3,cases=1,profile=demo,fps=5,size=320x240")
    all_ = open_twin("twin:seed=5,cases=4,profile=demo,fps=5,size=320x240")
    list(one.frames()), list(all_.frames())
    assert [case.scene_seed for case in one.cases] == [all_.cases[3].scene_seed]
    assert one.cases[0].index == 3


@pytest.mark.parametrize("spec", ["twin:own=1,live=1", "twin:own=1,cases=2,poses=2"])
def test_own_stations_need_a_number_of_cases_and_one_pose(spec):
    with pytest.raises(StationError, match="cases=N"):
        open_twin(spec)


def test_a_share_of_leaks_is_between_none_and_all():
    with pytest.raises(StationError, match="0 to 1"):
        read_spec("twin:leaky_share=2")


def test_a_manifest_says_how_large_a_leak_is_and_whether_it_has_to_be_found():
    look = draw_station(3)
    scene = next(one for one in (draw_scene(seed, look, leaky=True) for seed in range(300)) if len(one.leaks) == 2)
    first = replace(scene.leaks[0], diameter_mm=2.0, spread=0.0, births_s=np.array([1.0, 2.0, scene.hold_s + 1]))
    told = slices_of(look, replace(scene, leaks=(first,)), 20.0)
    assert told["leak_std_cm3_s"] == pytest.approx(2 * np.pi / 6 * 0.2**3 / scene.hold_s)
    large, small = replace(first, diameter_mm=50.0), replace(first, diameter_mm=0.01)
    for leaks, word in (((small,), "smaller"), ((small, large), "required"), ((), None)):
        assert slices_of(look, replace(scene, leaks=leaks), 20.0)["leak_required"] == word


def test_a_manifest_has_the_same_bytes_whatever_the_last_digit_of_a_processors_sums():
    exact = {
        "label": "leak",
        "decision": "ok",
        "profile": "demo",
        "scene_seed": 2**53 - 1,
        "rate": 1.1,
        "codec": "h264",
    }
    exact |= {"leak_origin_px": (349.8992021273999, 7.0), "leak_origins_px": ((349.8992021273999, 7.0),)}
    other = exact | {"rate": math.nextafter(1.1, 2), "leak_origin_px": (math.nextafter(349.8992021273999, 0), 7.0)}
    assert json_lines([line(exact, "twin:")]) == json_lines([line(other, "twin:")])
    assert line(exact, "twin:")["seed"] == 2**53 - 1
