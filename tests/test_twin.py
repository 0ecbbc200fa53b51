"""The simulated station: what it shows is what its truth says."""

import json
from itertools import islice

import cv2
import numpy as np
import pytest

from calibration import bubbles, record, stamps
from calibration.faults import Impairment
from calibration.scene import draw_scene, draw_station
from calibration.twin import Twin, TwinCamera, open_twin, profile_of
from edge_agent import station
from edge_agent.errors import ConfigError, StationError


def run(profile="demo", *, seed=3, leaky=True, single=True, frames=None, fps=10.0, **options):
    look = draw_station(seed, profile)
    twin = Twin(look, [draw_scene(seed, look, profile, leaky=leaky)], single=single, fps=fps, **options)
    return twin, list(islice(twin.frames(), frames))


def test_same_arguments_give_the_same_bytes():
    (_, first), (_, again) = run(frames=12), run(frames=12)
    assert all(np.array_equal(a.image, b.image) for (a, _), (b, _) in zip(first, again, strict=True))
    _, other = run(frames=12, seed=4)
    assert not np.array_equal(first[5][0].image, other[5][0].image)


def test_frames_are_pictures_with_rising_times():
    _, shots = run(frames=30, fps=15)
    assert [frame.sequence for frame, _ in shots] == list(range(30))
    assert np.allclose(np.diff([frame.monotonic_s for frame, _ in shots]), 1 / 15)
    assert all(frame.image.shape == (480, 640, 3) and frame.image.dtype == np.uint8 for frame, _ in shots)


def test_one_immersion_goes_through_all_phases_in_order():
    twin, shots = run(single=False)
    phases = [truth.phase for _, truth in shots]
    order = [phase for number, phase in enumerate(phases) if number == 0 or phases[number - 1] != phase]
    assert order == ["empty", "entering", "watching", "decided", "leaving", "empty"]
    case = twin.cases[0]
    assert case.entered_s < case.settled_s < case.decided_s < case.left_s


def test_leaky_and_tight_twins_look_alike_before_the_first_bubble():
    _, leaky = run("reference", leaky=True, single=False, frames=20)
    _, tight = run("reference", leaky=False, single=False, frames=20)
    for (a, truth), (b, _) in zip(leaky, tight, strict=True):
        if truth.phase == "empty":
            assert np.array_equal(a.image, b.image)


def test_bubbles_are_where_the_truth_says():
    twin, leaky = run(frames=70)
    _, tight = run(leaky=False, frames=70)
    misses = 0
    for (with_, truth), (without, _) in zip(leaky[40:], tight[40:], strict=True):
        change = cv2.absdiff(with_.image[:, :, 0], without.image[:, :, 0])
        rows = truth.bubbles[truth.bubbles[:, 6] == bubbles.LEAK]
        for x, y, _, _, diameter, contrast, _ in rows[rows[:, 5] > 8]:
            near = change[
                max(int(y - diameter), 0) : int(y + diameter) + 2, max(int(x - diameter), 0) : int(x + diameter) + 2
            ]
            misses += near.size == 0 or near.max() < 0.5 * contrast
    assert misses == 0
    assert twin.cases[0].label == "leak"


def test_a_small_bubble_weighs_the_same_wherever_it_lies_between_the_pixels():
    looks = stamps.paint_looks(1)
    rng = np.random.default_rng(0)
    for diameter in (1.5, 2.0, 3.0, 6.0, 12.0):
        weights = []
        for x, y in rng.uniform(0, 1, (40, 2)):
            picture = np.full((64, 64), 100, np.float32)
            one = np.ones(1)
            blobs = stamps.Blobs(
                one * (30 + x), one * (30 + y), one * diameter, one * diameter, one * 0, one * 2.0, one,
                np.array([1]), one * 0, one * 0.6,
            )  # fmt: skip
            stamps.draw(picture, blobs, looks, 80.0, None)
            weights.append(np.abs(picture - 100).sum())
        assert np.std(weights) < 0.03 * np.mean(weights)


def test_bubbles_that_overlap_are_both_drawn():
    looks = stamps.paint_looks(1)
    pair = np.ones(2)
    both, single = (np.full((40, 40), 100, np.float32) for _ in range(2))
    at = pair * 20
    blobs = stamps.Blobs(at, at, pair * 4, pair * 4, pair * 0, pair * 0, pair, np.array([1, 1]), pair * 0, pair * 0.6)
    lone = stamps.Blobs(*(getattr(blobs, name)[:1] for name in stamps.Blobs.__slots__))
    stamps.draw(both, blobs, looks, 50.0, None)
    stamps.draw(single, lone, looks, 50.0, None)
    assert np.allclose(both - 100, 2 * (single - 100), atol=1e-3)


def test_leak_bubbles_move_up_in_the_picture():
    _, shots = run(frames=80)
    rows = np.concatenate([truth.bubbles for _, truth in shots])
    leak = rows[rows[:, 6] == bubbles.LEAK]
    assert len(leak) > 50
    assert (leak[:, 3] <= 0).all()


def test_a_lamp_lights_for_the_decision_alone():
    twin, shots = run()
    case, look = twin.cases[0], twin.look
    x, y, width, height = look.lamps[case.decision]
    other = look.lamps["ok" if case.decision == "leak" else "leak"]
    colourful = []
    for box in ((x, y, width, height), other):
        x, y, width, height = box
        patches = [frame.image[y : y + height, x : x + width].astype(int) for frame, _ in shots]
        colourful.append([(patch.max(2) - patch.min(2)).mean() for patch in patches])
    after = [frame.monotonic_s >= case.decided_s for frame, _ in shots]
    lit = np.array(colourful[0]) > 60
    assert np.array_equal(lit, after)
    assert max(colourful[1]) < 60


def test_lamps_are_outside_of_the_tank_view():
    for seed in range(40):
        look = draw_station(seed)
        right = look.tank_px[1:3, 0].max()
        assert all(x > right for x, _, _, _ in look.lamps.values())


def test_four_codes_are_read_at_their_true_places():
    zxingcpp = pytest.importorskip("zxingcpp")
    for seed in range(6):
        look = draw_station(seed)
        frame, truth = next(Twin(look, [draw_scene(seed, look)], single=True).frames())
        found = {code.text: code.position for code in zxingcpp.read_barcodes(frame.image[:, :, 0])}
        assert set(found) == {f"TANK1:{corner}" for corner in ("TL", "TR", "BR", "BL")}
        outer = [found["TANK1:TL"].top_left, found["TANK1:TR"].top_right]
        outer += [found["TANK1:BR"].bottom_right, found["TANK1:BL"].bottom_left]
        read = np.array([[point.x, point.y] for point in outer])
        assert np.abs(read - truth.tank_px).max() < 4


def test_true_profile_survives_its_file():
    profile = profile_of(draw_station(2))
    assert station.parse(station.dump(profile)) == profile
    assert profile.empty_grey().shape == (24, 32)
    assert {lamp.means for lamp in profile.lamps} == {"ok", "leak"}


def test_murky_water_hides_every_bubble_and_is_labelled_so():
    twin, shots = run("murky", frames=60)
    assert twin.cases[0].label == "not_testable"
    rows = np.concatenate([truth.bubbles for _, truth in shots])
    assert rows[:, 5].max() < 5


def test_an_empty_station_has_no_cases_when_it_runs_on():
    twin, shots = run("empty", leaky=None, single=False)
    assert twin.cases == []
    assert {truth.phase for _, truth in shots} == {"empty"}
    assert all(truth.case_index is None for _, truth in shots)


def test_a_shifted_camera_moves_the_true_corners_and_the_picture():
    _, still = run(frames=12)
    _, moved = run(frames=12, impairments=(Impairment("shift", 0.2, 5.0),))
    assert np.allclose(moved[0][1].tank_px, still[0][1].tank_px)
    assert np.allclose(moved[8][1].tank_px - still[8][1].tank_px, [5.0, 0.0])
    here, there = still[8][0].image[:, 40:500, 0], moved[8][0].image[:, 45:505, 0]
    assert (
        np.abs(here.astype(int) - there).mean() < np.abs(here.astype(int) - moved[8][0].image[:, 40:500, 0]).mean() / 2
    )


def test_a_rotated_camera_turns_the_true_corners():
    _, still = run(frames=4)
    _, turned = run(frames=4, impairments=(Impairment("rotate", 0.0, 0.5),))
    edge = [shots[3][1].tank_px[1] - shots[3][1].tank_px[0] for shots in (still, turned)]
    angles = [np.rad2deg(np.arctan2(y, x)) for x, y in edge]
    assert abs(angles[1] - angles[0] - 0.5) < 0.01


def test_camera_faults_show_from_their_time_on():
    def picture(name, amount=0.0):
        return [frame for frame, _ in run(frames=10, fps=20.0, impairments=(Impairment(name, 0.2, amount),))[1]]

    frozen = picture("freeze")
    assert all(np.array_equal(frame.image, frozen[3].image) for frame in frozen[4:])
    assert not np.array_equal(frozen[2].image, frozen[3].image)
    assert picture("black")[5].image.max() < 5
    assert picture("white")[5].image.min() == 255
    noisy = picture("noise", 40.0)
    assert noisy[5].image[:, :, 0].astype(int).std() > 1.05 * noisy[2].image[:, :, 0].astype(int).std()
    half = [frame.sequence for frame in picture("half")]
    assert half[:5] == [0, 1, 2, 3, 4] and set(np.diff(half[4:])) == {2}
    old, new = picture("dim", 0.0)[9].image, picture("shift", 0.0)[9].image
    assert np.isclose(old.mean() / new.mean(), 1 - 0.25 / 60, atol=2e-3)
    stalled = picture("stall", 1.0)
    assert stalled[4].monotonic_s - stalled[3].monotonic_s > 1.0


def test_a_covered_code_cannot_be_read():
    zxingcpp = pytest.importorskip("zxingcpp")
    _, shots = run(frames=3, impairments=(Impairment("covered", 0.0, 2.0),))
    texts = {code.text for code in zxingcpp.read_barcodes(shots[2][0].image[:, :, 0])}
    assert texts == {"TANK1:TL", "TANK1:TR", "TANK1:BL"}


def test_the_demo_inspector_errs_once_within_three_cases_and_once_in_four():
    from calibration.twin import error_rate

    for seed in range(30):
        wrong = [error_rate(seed, "demo", number) for number in range(40)]
        assert sum(wrong[:3]) == 1
        assert sum(wrong) == 10


def test_a_live_camera_keeps_pace_with_its_clock():
    now = [100.0]
    look = draw_station(1, "demo")
    twin = Twin(look, [draw_scene(1, look, "demo")], fps=20)
    camera = TwinCamera(twin, live=True, pace=lambda wait: now.__setitem__(0, now[0] + wait), clock=lambda: now[0])
    for frame in islice(camera.frames(), 40):
        assert now[0] >= 100.0 + frame.monotonic_s - 1e-9
    camera.close()
    assert abs(now[0] - 100.0 - 39 / 20) < 1e-6


def test_a_stalled_live_camera_waits_and_ends_when_closed():
    now, look = [0.0], draw_station(1, "demo")

    def pace(wait):
        now[0] += wait
        if now[0] > 3:
            camera.close()

    twin = Twin(look, [draw_scene(1, look, "demo")], fps=20, impairments=(Impairment("stall", 1.0, 1e9),))
    camera = TwinCamera(twin, live=True, pace=pace, clock=lambda: now[0])
    assert len(list(camera.frames())) == 20
    assert 3 < now[0] < 3.2


@pytest.mark.full
def test_poses_of_one_run_follow_each_other_without_a_gap():
    camera = open_twin("twin:seed=5,cases=2,poses=2,profile=demo,fps=15")
    corners, sequences = [], []
    for frame in camera.frames():
        sequences.append(frame.sequence)
        corners.append(camera.truths[0].tank_px)
    assert sequences == list(range(len(sequences)))
    assert [case.index for case in camera.cases] == [0, 1]
    assert camera.cases[1].entered_s > camera.cases[0].left_s
    assert np.abs(corners[0] - corners[-1]).max() > 3


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ("twin:sed=7", "seed"), ("twin:seed", "key=value"), ("twin:fps=0", "fps=0"), ("twin:size=12", "640"),
        ("twin:fault=melt@3", "freeze"), ("twin:fault=freeze", "SECONDS"), ("twin:profile=moon", "reference"),
        ("twin:live=yes", "0 or 1"), ("twin:live=01", "0 or 1"),
        ("twin:live=1,poses=2", "cases"), ("twin:cases=-1", "whole number"),
    ],
)  # fmt: skip
def test_a_bad_spec_is_refused_with_its_cure(spec, named):
    with pytest.raises(StationError, match="(?s)twin") as caught:
        open_twin(spec)
    assert named.lower() in str(caught.value).lower() or "write WIDTHxHEIGHT" in str(caught.value)


def test_recordings_have_truth_manifest_and_profile(tmp_path):
    arguments = ["record", "--cases", "2", "--seed", "3", "--out", str(tmp_path), "--profile", "demo", "--fps", "15"]
    assert record.twin(arguments) == 0
    rows = [json.loads(line) for line in (tmp_path / "manifest.jsonl").read_text().splitlines()]
    assert len(rows) == 2
    for row in rows:
        assert row["label"] in ("ok", "leak")
        profile, _ = station.load(tmp_path / row["station"])
        capture = cv2.VideoCapture(str(tmp_path / row["video"]))
        assert capture.read()[1].shape[:2] == profile.frame_size_px[::-1]
        assert capture.get(cv2.CAP_PROP_FPS) == 15


@pytest.mark.full
def test_an_interrupted_recording_goes_on_where_it_stopped(tmp_path):
    arguments = ["record", "--cases", "2", "--seed", "3", "--out", str(tmp_path), "--profile", "demo", "--fps", "15"]
    record.twin(arguments)
    kept, redone = tmp_path / "case0000.mkv", tmp_path / "case0001.mkv"
    before, bytes_before = kept.stat().st_mtime_ns, redone.read_bytes()
    manifest = (tmp_path / "manifest.jsonl").read_bytes()
    (tmp_path / "case0001.truth.jsonl").unlink()
    redone.write_bytes(bytes_before[:1000])
    record.twin(arguments)
    assert kept.stat().st_mtime_ns == before
    assert len(redone.read_bytes()) == len(bytes_before)
    assert (tmp_path / "manifest.jsonl").read_bytes() == manifest


def test_a_folder_never_mixes_two_runs(tmp_path):
    arguments = ["record", "--cases", "1", "--out", str(tmp_path), "--profile", "empty", "--fps", "5"]
    record.twin([*arguments, "--seed", "1"])
    with pytest.raises(ConfigError, match="seed was 1, not 2"):
        record.twin([*arguments, "--seed", "2"])


@pytest.mark.full
def test_a_lossless_recording_gives_the_twins_pixels_back(tmp_path):
    plan = record.Plan(
        cases=1, seed=5, profile="demo", fps=15.0, size=(640, 480), station_id="TANK1", lossless=True,
        leaky_share=1.0, stations=1, continuous=False, poses=1,
    )  # fmt: skip
    record.record(plan, tmp_path)
    take = record.takes_of(plan)[0]
    look = record.look_of(plan, take)
    twin = Twin(look, list(record.draw_scenes(5, look, "demo", 1, leak_share=1.0)), fps=15.0, seed=5, single=True)
    capture = cv2.VideoCapture(str(tmp_path / "case0000.mkv"))
    for frame, _ in islice(twin.frames(), 10):
        assert np.array_equal(capture.read()[1], frame.image)
    assert take.station_file == "station.toml"
