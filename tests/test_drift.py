"""Drift on the device: the declared rate while nothing is wrong, what is found and how soon, words, restarts."""

import msgspec
import numpy as np
import pytest
from msgspec import UNSET

from benchmarks import drift as bench
from benchmarks.drift_stations import SHIFTS, WORLDS
from edge_agent import drift, drift_station
from edge_agent.bundle import TrainingRange, open_bundle, write_bundle
from edge_agent.drift import GROUPS, PLACE_BETS, REFERENCE_BLOCKS, Quantity, Track, Watch
from edge_agent.drift_keeper import DriftKeeper
from edge_agent.drift_quantities import BY_NAME, QUANTITIES, figures
from edge_agent.inspection import shipped_bundle
from edge_agent.outbox import Outbox
from edge_agent.records import BundleRef, Sampled, Visibility
from tests.cloud_fakes import a_case
from tests.fakes_disk import full_disk

CASES_A_DAY = 120
BARE = Quantity(name="x", words="x", cure="look", sides=("up",))
RANGE = TrainingRange(cases=500, light_levels=(60.0, 110.0), noise_most=2.0, clarity_least=0.4)


def day(number: int) -> str:
    return f"2026-{1 + number // 28:02d}-{1 + number % 28:02d}T08:00:00Z"


def cases(days: range, *, light: float = 90.0, unsure: int = 3, **about):
    """So many days of a steady station; of each day's cases `unsure` are uncertain."""
    random = np.random.default_rng(days.start)
    for number in days:
        level = light * (1 + 0.01 * random.normal())
        for one in range(CASES_A_DAY):
            seen = Visibility(noise_levels=1.3, light_levels=level, paper_levels=100.0, blur_px=0.8)
            word = "uncertain" if one < unsure else "leak" if one % 40 == 9 else "ok"
            said = {"verdict": word, "decision": "leak" if word == "leak" else "ok", "novelty": 0.5}
            sequence = number * CASES_A_DAY + one
            yield a_case(sequence, started_at=day(number), visibility=seen, **said | about)


def keeper(folder) -> tuple[DriftKeeper, list[str]]:
    said: list[str] = []
    return DriftKeeper(folder / "drift.json", warn=said.append), said


def fed(kept: drift_station.Kept, found, known=None) -> drift_station.Kept:
    for case in found:
        kept = drift_station.took(kept, case, known)
    return kept


@pytest.fixture(scope="module")
def learnt() -> drift_station.Kept:
    """A station after its good weeks and ten days more."""
    return fed(drift_station.Kept(), cases(range(REFERENCE_BLOCKS + 10)))


def test_odds_are_fair_while_days_are_exchangeable_whatever_has_been_seen():
    assert sum(GROUPS) == REFERENCE_BLOCKS + 1 and all(abs(sum(bets) - 1) < 1e-9 for bets in PLACE_BETS)
    seen = (3, 0, 7, 1, 20)
    chances = [(size + had) / (REFERENCE_BLOCKS + 1 + sum(seen)) for size, had in zip(GROUPS, seen, strict=True)]
    assert abs(sum(chances) - 1) < 1e-9
    for bets in PLACE_BETS:
        assert abs(sum(chance * (bet / chance) for chance, bet in zip(chances, bets, strict=True)) - 1) < 1e-9


def test_a_test_without_any_tolerance_keeps_its_share_of_the_declared_rate(monkeypatch):
    """The proof's own case: days that are exchangeable, a reference of twenty of them, heavy tails."""
    monkeypatch.setattr(drift, "LEAST_SPREADS", 0.0)
    random, most, stations = np.random.default_rng(4), 300.0, 300
    rung = 0
    for _ in range(stations):
        track = Track()
        for number, value in enumerate(random.standard_t(2, REFERENCE_BLOCKS + 90)):
            began = track.watches["up"].alarmed if track.watches else False
            track = msgspec.structs.replace(track, began=f"{number:03d}", total=float(value), cases=1)
            track = drift.closed(track, BARE, most=most)
            rung += bool(track.watches) and track.watches["up"].alarmed and not began
    assert rung <= stations * 90 / most + 3 * (stations * 90 / most) ** 0.5


def test_stations_whose_days_are_alike_in_part_alarm_less_often_than_declared():
    quiet = bench.watched(WORLDS[2], 40, seed=[7])
    assert quiet.alarms_per_90_days <= bench.MOST_ALARMS


def test_a_tenth_less_light_is_found_within_a_week():
    found = bench.delays(WORLDS[2], SHIFTS[0], 30, seed=[8])
    assert found.p90_days is not None and found.p90_days <= 7


@pytest.mark.full
def test_bench_keeps_its_promise_on_more_stations(capsys, tmp_path):
    plot = tmp_path / "evidence.svg"
    assert bench.run(["--stations", "300", "--shifted", "50", "--json", "--plot", str(plot)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(WORLDS) + 2 * len(SHIFTS)
    assert plot.read_text().startswith("<svg")


def test_a_station_at_which_nothing_changes_has_nothing_to_say(learnt):
    assert drift_station.moves(learnt.tracks) == [] and drift_station.words([]) == ""


def test_the_alarm_says_what_moved_since_about_when_by_how_much_and_the_cure(learnt):
    moved = fed(learnt, cases(range(30, 37), light=75.0))
    (move,) = drift_station.moves(moved.tracks)
    assert (move.quantity.name, move.side) == ("light", "down")
    assert move.since == day(30)[:10]
    said = drift_station.words([move])
    assert "light: 74" in said or "light: 75" in said
    assert "since about 3 February" in said and "in its good weeks: clean the lamp" in said


def test_the_alarm_ends_by_itself_once_the_days_are_as_before(learnt):
    moved = fed(learnt, cases(range(30, 37), light=75.0))
    assert drift_station.moves(moved.tracks)
    assert not drift_station.moves(fed(moved, cases(range(37, 43))).tracks)


def test_the_alarm_stands_as_long_as_the_move_does_though_its_evidence_wanes(learnt):
    kept = fed(learnt, cases(range(30, 36), light=75.0))
    for number in range(36, 56):
        kept = fed(kept, cases(range(number, number + 1), light=75.0))
        assert drift_station.moves(kept.tracks), number


def test_twice_as_many_uncertain_units_are_found(learnt):
    moved = drift_station.moves(fed(learnt, cases(range(30, 50), unsure=9)).tracks)
    assert "unsure" in [move.quantity.name for move in moved]


def test_units_unlike_the_training_data_alarm_from_the_first_day_on():
    kept = fed(drift_station.Kept(), cases(range(4), novelty=1.4))
    (move,) = drift_station.moves(kept.tracks)
    assert move.quantity.name == "novel" and "100.0 %" in move.fact and "3.0 % tolerated" in move.fact


def test_light_beyond_the_training_data_counts_only_where_the_bundle_knows_them():
    dark = list(cases(range(8), light=30.0))
    assert not drift_station.moves(fed(drift_station.Kept(), dark).tracks)
    found = drift_station.moves(fed(drift_station.Kept(), dark, RANGE).tracks)
    assert [move.quantity.name for move in found] == ["beyond_light"]


def test_weeks_in_which_machine_and_inspector_disagree_are_not_learnt_as_good_ones():
    kept = fed(drift_station.Kept(), cases(range(REFERENCE_BLOCKS + 2), decision="leak"))
    assert {len(track.reference) for track in kept.tracks.values()} <= {0, 1}
    assert drift_station.moves(kept.tracks) == []


def test_another_bundle_learns_the_machine_anew_and_another_profile_everything(learnt):
    bundle = fed(learnt, list(cases(range(40, 41), bundle=BundleRef(4, "d" * 64)))[:1])
    assert len(bundle.tracks["light"].reference) == REFERENCE_BLOCKS and not bundle.tracks["score"].reference
    profile = fed(learnt, list(cases(range(40, 41), profile_sha256="e" * 64))[:1])
    assert not any(track.reference for track in profile.tracks.values())


def test_challenge_parts_and_what_was_not_measured_tell_of_no_drift():
    assert figures(a_case(sampled=Sampled("challenge", 1.0))) == {}
    untested = figures(a_case(verdict="not_tested", score=None))
    assert untested["not_tested"] == 1.0 and "light" not in untested and "score" not in untested
    assert set(figures(a_case())) <= set(BY_NAME)


def test_a_short_day_waits_for_the_next_one():
    track = Track()
    for number in range(25):
        track = drift.added(track, BY_NAME["light"], day=f"2026-01-{1 + number // 10:02d}", value=1.0, most=9.0)
    assert track.reference == () and track.cases == 25
    for _ in range(6):
        track = drift.added(track, BY_NAME["light"], day="2026-01-04", value=1.0, most=9.0)
    track = drift.added(track, BY_NAME["light"], day="2026-01-05", value=1.0, most=9.0)
    assert track.reference == (1.0,) and track.began == "2026-01-05"


def test_a_clock_that_is_set_back_closes_no_day():
    track = Track(day="2026-01-05", began="2026-01-05", total=50.0, cases=50)
    assert drift.added(track, BY_NAME["light"], day="2026-01-04", value=1.0, most=9.0).cases == 51


def test_days_go_on_ending_once_a_clock_that_ran_ahead_was_set_right():
    track = Track(day="2061-01-05", began="2061-01-05", total=50.0, cases=50)
    for day in ("2026-01-05", "2026-01-05", "2026-01-06"):
        track = drift.added(track, BY_NAME["light"], day=day, value=1.0, most=9.0)
    assert (track.day, track.cases, track.reference) == ("2026-01-06", 1, (1.0,))


@pytest.mark.parametrize(
    "damaged",
    [
        {"schema": "tankwatch/drift/2"},
        {"tracks": {"light": {"watches": {"up": {"seen": [1, 2]}}}}},
        {"tracks": {"light": {"watches": {"up": {"evidence": [1.0]}}}}},
        {"tracks": {"light": {"watches": {"up": {"since": "soon"}}}}},
        {"tracks": {"light": {"day": "soon"}}},
        {"tracks": {"light": {"reference": [1.0] * (REFERENCE_BLOCKS + 1)}}},
    ],
)
def test_a_file_that_is_whole_but_not_of_these_tests_is_learnt_anew_and_ends_nothing(tmp_path, damaged):
    (tmp_path / "drift.json").write_bytes(msgspec.json.encode({"sequence": 5} | damaged))
    kept, said = keeper(tmp_path)
    assert kept.sequence == -1 and "learnt anew" in said[0]


def test_all_tests_of_a_station_share_one_declared_rate():
    sides = sum(len(one.sides) for one in QUANTITIES)
    assert drift.limit(QUANTITIES) == sides * drift.MEAN_DAYS_BETWEEN_FALSE_ALARMS


def test_a_restart_in_the_middle_of_a_day_changes_nothing(tmp_path):
    found = list(cases(range(3)))
    whole, _ = keeper(tmp_path)
    whole.catch_up(found)
    (tmp_path / "b").mkdir()
    first, _ = keeper(tmp_path / "b")
    first.catch_up(found[:150])
    second, _ = keeper(tmp_path / "b")
    assert second.sequence == found[149].sequence
    second.catch_up(found)
    assert second.kept == whole.kept


def test_cases_that_a_power_cut_took_come_again_from_the_outbox_receipted_or_not(tmp_path):
    outbox = Outbox.open(tmp_path / "outbox.db", tmp_path / "spool")
    put = [outbox.put(a_case(number)) for number in range(1, 6)]
    outbox.receipted([(one.case_id, one.sha256) for one in outbox.waiting_cases(2)])
    assert [case.sequence for case in outbox.cases_after(put[1].sequence, 10)] == [one.sequence for one in put[2:]]
    assert len(outbox.cases_after(-1, 3)) == 3
    outbox.close()


def test_a_full_disk_and_a_damaged_file_are_said_and_end_nothing(tmp_path):
    kept, said = keeper(tmp_path)
    kept.said(a_case(1))
    with full_disk():
        kept.said(a_case(2))
    assert kept.sequence == 2 and "drift is not kept" in said[0]
    (tmp_path / "drift.json").write_bytes(b"{")
    again, said = keeper(tmp_path)
    assert again.sequence == -1 and "learnt anew" in said[0] and again.words == ""


def test_only_what_speaks_of_the_machine_brings_the_mode_down(tmp_path):
    kept, _ = keeper(tmp_path)
    track = Track(reference=(0.01,) * REFERENCE_BLOCKS)
    alarmed = Watch(alarmed=True, since="2026-02-03", moved=0.06, blocks=3, run=9.0)
    kept._moves = drift_station.moves({"leaks": msgspec.structs.replace(track, watches={"up": alarmed})})
    assert "inspector finds leaking: 2.0 %" in kept.words and kept.lapse == ""


def test_a_bundle_says_what_its_training_pictures_are_like_and_older_ones_say_nothing(tmp_path):
    package = pytest.importorskip("models.package", reason="training is not installed")
    random = np.random.default_rng(1)
    seen = [
        Visibility(noise_levels=1 + one / 500, light_levels=60 + one / 10, clarity=one / 500)
        for one in random.permutation(501)
    ]
    found = package.training_range([*seen, None])
    assert found.cases == 501 and found.light_levels == (60.5, 109.5)
    assert (found.noise_most, found.clarity_least) == (1.98, 0.02)
    assert package.training_range(seen[:50]) is UNSET
    opened = open_bundle(shipped_bundle())
    assert opened.manifest.training_range is not UNSET and opened.manifest.training_range.cases > 1000
    for name, told in (("new", found), ("old", UNSET)):
        manifest = msgspec.structs.replace(opened.manifest, training_range=told)
        written = write_bundle(tmp_path / name, manifest, opened.nets, opened.features, golden=opened.golden)
        assert written.manifest.training_range == told == open_bundle(tmp_path / name).manifest.training_range
    same = write_bundle(tmp_path / "same", opened.manifest, opened.nets, opened.features, golden=opened.golden)
    assert same.sha256 == opened.sha256
