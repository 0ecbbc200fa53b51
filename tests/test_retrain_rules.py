"""When a champion is retrained, for whom a model is made, and which datasets are refused."""

import msgspec
import pytest

from cloud_sync import scopes, set_checks, set_statistics
from cloud_sync.manifest import Example, Lineage
from cloud_sync.retrain_triggers import DAY_S, WEEK_S, Answers, Signs, falling, reasons, room_today
from cloud_sync.scopes import AtStation, Shown

NOW = 1_795_000_000.0
CALM = Signs(now=NOW, last_run_at=NOW - 2 * DAY_S, new_examples=10, enough_examples=50, code="a", last_code="a")


def example(number: int, label: str = "ok", split: str = "pool", **about) -> Example:
    lineage = Lineage(
        clip_sha256=f"{number:064x}", bundle_sha256="b" * 64, bundle_version=1, profile_sha256=None, verdict="ok",
        score=0.1, sampled_for="audit", sampled_probability=0.02, judged_by="erna", judged_at="2026-11-01T00:00:00Z",
        revision=1, seen=None, familiar=True, note="", clarity=0.9,
    )  # fmt: skip
    place = {"site": "plant", "station_id": "TANK1"} | {key: about.pop(key) for key in ("site", "station_id") if
                                                       key in about}  # fmt: skip
    return Example(
        video=f"clips/{number}.twclip", label=label, decision="ok", split=split, case_id=f"case-{number}",
        lineage=msgspec.structs.replace(lineage, **about), **place,
    )  # fmt: skip


def test_nothing_asks_for_retraining_on_a_calm_day() -> None:
    assert reasons(CALM) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"new_examples": 50}, "50 cases were judged since, 50 are enough"),
        ({"drift": ("clarity at TANK1",)}, "drift: clarity at TANK1"),
        ({"last_run_at": NOW - WEEK_S}, "a week has passed"),
        ({"last_run_at": None}, "nothing was retrained yet"),
        ({"champion_code": "b", "last_code": "b"}, "the code of training or preprocessing has changed"),
        ({"before": Answers(4000, 3980), "lately": Answers(1000, 960)}, "agree on 96.0% of 1000 units, before 99.5%"),
    ],
)
def test_each_trigger_says_why(change: dict, words: str) -> None:
    (found,) = reasons(msgspec.structs.replace(CALM, **change))
    assert words in found


def test_no_trigger_asks_twice_a_day_or_twice_for_the_same_examples() -> None:
    alarmed = msgspec.structs.replace(CALM, drift=("clarity",))
    assert reasons(msgspec.structs.replace(alarmed, last_run_at=NOW - 3600)) == []
    assert reasons(msgspec.structs.replace(alarmed, new_examples=0)) == []
    tried = msgspec.structs.replace(CALM, champion_code="old", last_code="a")
    assert reasons(tried) == []
    assert reasons(msgspec.structs.replace(tried, last_code="old", new_examples=0)) != []


def test_agreement_is_falling_only_where_chance_does_not_explain_it() -> None:
    assert falling(Answers(2000, 1980), Answers(500, 475))
    assert not falling(Answers(2000, 1980), Answers(500, 493))
    assert not falling(Answers(2000, 1980), Answers(150, 120))
    assert not falling(Answers(500, 475), Answers(2000, 1980))


def test_runs_a_day_are_bounded() -> None:
    assert (room_today(0, 6), room_today(6, 6), room_today(9, 6)) == (6, 0, 0)


def test_a_station_has_a_model_of_its_own_where_it_has_enough_of_both_kinds() -> None:
    many = [example(number, "leak" if number % 2 else "ok") for number in range(40)]
    other = [example(100 + number, "ok", station_id="TANK2") for number in range(60)]
    assert scopes.with_enough([*many, *other]) == ["site/plant", "station/plant/TANK1"]
    assert scopes.to_retrain([*many, *other], ["plant/TANK2"]) == ["site/plant"]
    assert scopes.to_retrain(many, ["plant/TANK1", "plant/TANK2"]) == ["site/plant", "station/plant/TANK1"]
    tested = [msgspec.structs.replace(one, split="test") for one in many]
    assert scopes.with_enough(tested) == []
    assert scopes.part([*many, *other], "station/plant/TANK2") == other


def test_a_station_falls_short_by_a_test_and_not_by_a_share() -> None:
    few, many, fine = (AtStation(f"plant/T{at}", *counts) for at, counts in enumerate(((20, 1), (500, 20), (500, 9))))
    assert scopes.falling_short([few, many, fine]) == ["plant/T1"]


def test_a_narrower_champion_speaks_only_where_it_was_shown_to_be_better() -> None:
    champions = {"general": "g", "site/plant": "s", "station/plant/TANK1": "t"}
    shown = [Shown("g", 0.10, 40), Shown("s", 0.05, 40), Shown("t", 0.07, 40)]
    assert scopes.best("plant/TANK1", champions, shown) == "s"
    assert scopes.best("plant/TANK1", champions, [*shown[:2], Shown("t", 0.04, 40)]) == "t"
    assert scopes.best("plant/TANK1", champions, [Shown("g", 0.1, 40), Shown("t", 0.0, 5)]) == "g"
    assert scopes.best("other/TANK1", champions, shown) == "g"
    assert scopes.best("other/TANK1", {}, []) is None
    assert scopes.best("plant/TANK1", {"station/plant/TANK1": "t"}, []) == "t"


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ({}, {"clip_sha256": f"{1:064x}"}, "1 clip in training and test data at once"),
        ({"serial": "S1"}, {"serial": "S1"}, "1 unit in training and test data at once (plant/unit/S1)"),
    ],
)
def test_a_unit_or_clip_on_both_sides_is_refused(first: dict, second: dict, words: str) -> None:
    members = [example(1, "leak", **first), example(2, "ok"), example(3, "ok", "test", **second)]
    (fault,) = set_checks.faults(members)
    assert words in fault and "release a new version" in fault


def test_a_dataset_of_one_kind_is_refused_in_words() -> None:
    (fault,) = set_checks.faults([example(1), example(2), example(3, "leak", "test")])
    assert fault.startswith("the dataset has 2 clips, all of them ok")
    assert "no clip to train on" in set_checks.faults([example(3, "leak", "test")])[0]
    assert set_checks.faults([example(1), example(2, "leak")]) == []


def test_incoming_data_unlike_the_champions_are_told() -> None:
    known = set_statistics.figures([example(number, clarity=0.8 + number / 1000) for number in range(40)])
    coming = [example(number, clarity=0.4, station_id="TANK7") for number in range(40)]
    moved, strangers = set_checks.warnings(known, set_statistics.figures(coming))
    assert moved.startswith("clarity: the median is 0.4, half of the champion's data lay between 0.81 and 0.829")
    assert strangers == "stations that the champion was not trained on: plant/TANK7"
    assert set_checks.warnings(known, known) == []
