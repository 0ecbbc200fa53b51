"""The drill of camera faults: what its camera shows, what its ledger sees, and that it can fail."""

import json
from dataclasses import replace

import msgspec
import pytest

from benchmarks import drill_camera
from benchmarks.camera_faults import FPS, KINDS, FaultyCamera, Moment, Tape, Window
from benchmarks.drill_camera import Plan, Turn
from benchmarks.made_cases import make_case
from edge_agent.camera_watch import CameraWatch
from edge_agent.records import Frame

SEED = 31
QUICK = ("freeze", "jumps", "reordered", "blocked")
PLAN = Plan(("freeze",), ("within",), SEED, drill_camera.GAP_S)
FAULT = Window("freeze", "within", 24.0, 28.0)
TURNS = [
    Turn(False, None, is_last_of_window=False),
    Turn(True, None, is_last_of_window=False),
    Turn(False, FAULT, is_last_of_window=True),
    Turn(True, None, is_last_of_window=False),
]
TOLD = {FAULT: "frozen"}


def tape() -> Tape:
    return drill_camera._tape(PLAN, leaky=True)


def shown(faults) -> dict:
    """By the capture alone: each fault shows for two seconds, every five seconds."""
    windows = [Window(fault, "within", 2.0 + 5.0 * at, 4.0 + 5.0 * at) for at, fault in enumerate(faults)]
    camera = FaultyCamera([tape()] * 3, windows, seed=SEED, state_tells=lambda: "told")
    for _ in camera.frames_or_time(0.25):
        if camera.now_s >= windows[-1].until_s + 5.0:
            break
    camera.close()
    found = {window.fault: drill_camera._found(window, camera.moments, camera.told) for window in windows}
    return {"faults": found, "false_alarms": drill_camera._false_alarms(windows, camera.moments)}


def moments(told_from_s: float = 25.0, used_from_s: float = 28.1, wrong_s: float | None = None) -> list[Moment]:
    times = [number / FPS for number in range(int(40 * FPS))]
    return [
        Moment(at_s, "frozen" if told_from_s <= at_s < used_from_s or at_s == wrong_s else "", at_s >= used_from_s)
        for at_s in times
    ]


def cases(*verdicts: str) -> list:
    made = [make_case(number, seed=1) for number in range(1, len(verdicts) + 1)]
    return [
        msgspec.structs.replace(case, verdict=verdict, started_s=10.0 * number + 3.0)
        for number, (case, verdict) in enumerate(zip(made, verdicts, strict=True))
    ]


def ledger(told=TOLD, said=("ok", "leak", "not_tested", "leak"), **seen) -> dict:
    return drill_camera.make_ledger(TURNS, moments(**seen), cases(*said), 10.0, told)


def test_the_ledger_of_a_good_run_is_good():
    good = ledger()
    assert drill_camera.is_good(good) and good["faults"]["freeze"]["found_s"] == 1.25
    assert json.loads(json.dumps(good)) == good


@pytest.mark.parametrize(
    ("bad", "key"),
    [
        (ledger(said=("ok", "leak", "ok", "leak")), "judged_in_fault"),
        (ledger(said=("ok", "leak", "not_tested")), "lost"),
        (ledger(said=("ok", "leak", "not_tested", "ok")), "otherwise"),
        (ledger(said=("ok", "leak", "not_tested", "not_tested")), "otherwise"),
        (ledger(wrong_s=12.0), "false_alarms"),
    ],
)
def test_the_ledger_sees_what_went_wrong(bad, key):
    assert bad[key] == 1 and not drill_camera.is_good(bad)


def test_two_cases_of_one_unit_are_no_good_run():
    said = cases("ok", "leak", "not_tested", "leak")
    twice = [*said, msgspec.structs.replace(said[3], case_id="another", started_s=35.0)]
    bad = drill_camera.make_ledger(TURNS, moments(), twice, 10.0, TOLD)
    assert bad["duplicated"] == 1 and not drill_camera.is_good(bad)


@pytest.mark.parametrize(
    "bad", [ledger(told_from_s=26.0), ledger(told_from_s=50.0), ledger(used_from_s=33.5), ledger(told={})]
)
def test_a_fault_that_is_found_late_or_never_or_not_told_or_ends_late_is_beyond_a_limit(bad):
    assert drill_camera.broken(bad) == ["freeze"] and not drill_camera.is_good(bad)


def test_a_show_that_judges_every_unit_wrong_without_faults_is_no_good_run():
    assert not drill_camera.is_good(ledger(said=("leak", "leak", "not_tested", "leak")))


def test_of_several_shows_the_worst_counts():
    total = drill_camera.added([ledger(), ledger(told_from_s=25.5, wrong_s=12.0)])
    assert total["faults"]["freeze"]["found_s"] == 1.75 and total["false_alarms"] == 1 and total["cases"] == 8
    never = drill_camera.added([ledger(), ledger(told_from_s=50.0)])
    assert never["faults"]["freeze"]["found_s"] is None and not drill_camera.is_good(never)


def test_the_capture_finds_the_drills_faults_in_time_and_goes_on():
    seen = shown(QUICK)
    assert drill_camera.broken(seen) == [] and seen["false_alarms"] == 0


def test_a_watch_that_sees_nothing_fails_the_drill(monkeypatch):
    monkeypatch.setattr(CameraWatch, "see", lambda _self, frame, came_s: replace(frame, faults=()))
    monkeypatch.setattr(CameraWatch, "fault", lambda _self, now_s: None)
    seen = shown(("freeze", "jumps", "black"))
    assert drill_camera.broken(seen) == ["freeze", "jumps", "black"]


@pytest.mark.full
def test_units_that_such_a_watch_lets_be_judged_are_counted(monkeypatch, tmp_path):
    monkeypatch.setattr(CameraWatch, "see", lambda _self, frame, came_s: replace(frame, faults=()))
    monkeypatch.setattr(CameraWatch, "fault", lambda _self, now_s: None)
    plan = Plan(("half", "duplicate"), ("within",), SEED, drill_camera.GAP_S)
    seen = drill_camera.drill(plan, tmp_path)
    assert seen["judged_in_fault"] > 0 and not drill_camera.is_good(seen), seen


def test_pictures_that_were_swapped_keep_their_times():
    window = Window("reordered", "within", 0.0, 1.0)
    camera = FaultyCamera([tape()], [window], seed=SEED)
    picture = next(camera._pictures())[0]
    given: list[Frame] = []
    for number in range(1, 5):
        camera.now_s = number / FPS
        given += camera._faulty(picture, tape().tank_px, window)
    assert [round(frame.monotonic_s * FPS) for frame in given] == [2, 1, 4, 3]


def test_every_fault_has_its_turn_and_sound_units_come_between():
    plan = Plan(tuple(KINDS), drill_camera.PLACES, SEED, drill_camera.FULL_GAP_S)
    turns = drill_camera.programme(plan, tape())
    windows = {turn.window for turn in turns if turn.window}
    assert {(window.fault, window.place) for window in windows} == {
        *((fault, place) for fault in KINDS if fault != "exposure" for place in drill_camera.PLACES),
        ("exposure", "within"),
    }
    assert not turns[0].window and not turns[-1].window
    assert sum(turn.window is None for turn in turns) >= len(windows) // 3
    assert all(before.window is None or before.window.until_s < after.window.from_s - 2.0
               for before, after in zip(turns, turns[1:], strict=False)
               if after.window and before.window is not after.window)  # fmt: skip


@pytest.mark.full
def test_the_running_agent_judges_no_unit_whose_pictures_stood_still(tmp_path):
    seen = drill_camera.drill(PLAN, tmp_path)
    assert drill_camera.is_good(seen), seen
    assert seen["cases"] == seen["immersions"] == 4


@pytest.mark.full
def test_the_short_form_keeps_every_limit(capsys):
    status = drill_camera.run(["--json"])
    seen = json.loads(capsys.readouterr().out)
    assert status == 0 and set(seen["faults"]) == set(KINDS), seen
