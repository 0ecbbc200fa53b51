from dataclasses import replace

import msgspec
import pytest

from benchmarks import drill_swap, hostile_bundles
from benchmarks.made_cases import make_case
from edge_agent.bundle import open_bundle
from edge_agent.capture import LiveCapture
from edge_agent.errors import ModelError
from edge_agent.inspection import shipped_bundle
from models import bundle_command

OLD, NEW = "a" * 64, "b" * 64


def measured(sequences, waits_s=None):
    camera = drill_swap.Measured(LiveCapture(lambda: iter(())))
    for at, sequence in enumerate(sequences):
        captured_s = sequence / drill_swap.FPS
        camera.taken.append((sequence, captured_s, captured_s + (waits_s or {}).get(at, 0.001)))
    return camera


def seen():
    return drill_swap.Seen(wanted=[(0.0, OLD), (5.0, NEW)], at_work=[(0.0, OLD), (9.0, NEW)], resident_mb=[1, 1])


def case(number: int, started_s: float, sha256: str):
    made = make_case(number, seed=1)
    bundle = msgspec.structs.replace(made.bundle, sha256=sha256)
    return msgspec.structs.replace(made, sequence=number, started_s=started_s, bundle=bundle)


def ledger(camera, cases=()):
    return drill_swap.make_ledger(drill_swap.Plan(1, (), 0), camera, seen(), list(cases)) | {"stayed": 0}


def test_the_ledger_of_a_good_run_is_good():
    good = ledger(measured(range(400)), [case(1, 1.0, OLD), case(2, 10.0, NEW)])
    assert drill_swap.is_good(good) and good["lost"] == good["wrong_bundle"] == 0


@pytest.mark.parametrize(
    ("camera", "cases", "key"),
    [
        (measured([*range(265), *range(268, 400)]), (), "lost"),
        (measured([*range(400), 399]), (), "duplicated"),
        (measured(range(400)), (case(1, 1.0, NEW),), "wrong_bundle"),
        (measured(range(400)), (case(1, 12.0, OLD),), "wrong_bundle"),
        (measured(range(400)), (case(2, 1.0, OLD),), "cases_lost"),
    ],
)
def test_the_ledger_sees_what_went_wrong(camera, cases, key):
    bad = ledger(camera, cases)
    assert bad[key] > 0 and not drill_swap.is_good(bad)


def test_a_frame_that_waits_for_the_change_of_judges_is_no_good_run():
    bad = ledger(measured(range(400), {265: 0.05}))
    assert bad["longest_wait_frames"] == 1.5 and not drill_swap.is_good(bad)


def test_what_a_busy_machine_loses_between_swaps_too_is_told_apart_from_what_loading_loses():
    """A bundle is put in its place at 5 s and at work at 9 s: frames 150 to 240 and 252 to 270 are near."""
    while_loading, between = (200, 202), (300, 310)
    missing = lambda *spans: [number for number in range(400) if not any(a <= number < b for a, b in spans)]  # noqa: E731
    busy, bad = ledger(measured(missing(while_loading, between))), ledger(measured(missing(while_loading)))
    assert (busy["lost"], busy["lost_between"], busy["lost_at_change"]) == (2, 10, 0) and drill_swap.is_good(busy)
    assert bad["lost"] == 2 and not drill_swap.is_good(bad)
    worse = ledger(measured(missing((160, 220), between)))
    assert not drill_swap.is_good(worse), "more than the machine loses anyway"
    changing = ledger(measured(missing((260, 261), between)))
    assert changing["lost_at_change"] == 1 and not drill_swap.is_good(changing)


@pytest.mark.parametrize("kind", hostile_bundles.LIVE_KINDS)
def test_hostile_bundles_pass_the_checks_of_their_bytes_and_the_golden_cases(kind, tmp_path):
    sound = open_bundle(shipped_bundle())
    made = hostile_bundles.hostile(kind, sound, tmp_path / "hostile.bundle")
    assert made.nets["detector"] == sound.nets["detector"] and made.nets["lamps"] != sound.nets["lamps"]
    bundle_command.verify(without_golden(made))


@pytest.mark.parametrize("kind", ["always-ok", "always-leak"])
def test_a_bundle_that_always_says_the_same_is_refused_by_its_golden_cases(kind, tmp_path):
    with pytest.raises(ModelError, match="golden case"):
        bundle_command.verify(hostile_bundles.hostile(kind, open_bundle(shipped_bundle()), tmp_path / "hostile.bundle"))


@pytest.mark.full
def test_bundles_change_places_under_way_and_hostile_ones_come_back_by_themselves(tmp_path):
    found = drill_swap.drill(drill_swap.Plan(3, drill_swap.SHORT_KINDS, 31), tmp_path)
    assert (found["swapped"], found["duplicated"], found["wrong_bundle"], found["stayed"]) == (3, 0, 0, 0)
    assert found["longest_wait_frames"] <= drill_swap.LONGEST_WAIT_FRAMES


def without_golden(bundle):
    """The golden cases are of nets that are the same: they need not be judged once for each kind."""
    return replace(bundle, manifest=msgspec.structs.replace(bundle.manifest, golden=()), golden={})
