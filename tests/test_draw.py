"""Who is in which set: by rules and by a hash of the unit, so that no unit is on both sides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_sync.draw import Candidate, draw
from cloud_sync.policy import Balance, Labels, Policy, Pool

SHARES = Policy(version=1, pool=Pool(training_share=0.5, held_out_share=0.3))
ALL = Policy(version=1, pool=Pool(training_share=1.0, held_out_share=0.0))


def case(name: str, routed: str = "pool", **about) -> Candidate:
    known = {"place": "plant/TANK1", "serial": None, "routed": routed, "label": "ok", "state": "single"}
    return Candidate(case_id=name, **known | about)


def splits(candidates: list[Candidate], policy: Policy = SHARES) -> dict[str, str | None]:
    return {key: found.split for key, found in draw(candidates, policy).items()}


def test_the_pool_is_drawn_in_the_shares_of_the_policy_and_always_alike() -> None:
    many = [case(f"c{number}") for number in range(4000)]
    drawn = splits(many)
    assert splits(list(reversed(many))) == drawn
    assert {split: round(list(drawn.values()).count(split) / 4000, 1) for split in ("pool", "test", None)} == {
        "pool": 0.5,
        "test": 0.3,
        None: 0.2,
    }


def test_a_mistake_goes_where_its_rule_says_whatever_the_draw() -> None:
    assert splits([case("a", "train"), case("b", "test")]) == {"a": "train", "b": "test"}


SPLITS = st.sampled_from(["train", "test", "pool"])
ABOUT = st.tuples(SPLITS, st.sampled_from(["u1", "u2", "u3", None]), st.booleans())


@given(st.lists(ABOUT, max_size=30))
def test_no_unit_is_ever_on_both_sides_not_even_in_a_later_version(cases) -> None:
    many = [case(f"c{at}", routed, serial=unit, sent=sent) for at, (routed, unit, sent) in enumerate(cases)]
    first = splits(many[: len(many) // 2])
    later = [
        Candidate(**{name: getattr(one, name) for name in one.__struct_fields__} | {"released": first.get(one.case_id)})
        for one in many
    ]
    second = splits(later)
    for unit in ("u1", "u2", "u3"):
        sides = {second[one.case_id] == "test" for one in many if one.serial == unit and second[one.case_id]}
        assert len(sides) <= 1
    for key, split in first.items():
        assert split is None or (split == "test") == (second[key] == "test"), "no case changes sides"


def test_a_station_that_is_held_out_is_test_data_even_where_it_was_wrong() -> None:
    policy = Policy(version=1, pool=Pool(held_out_stations=("plant/TANK9",)))
    assert splits([case("a", "train", place="plant/TANK9")], policy) == {"a": "test"}


def test_what_was_sent_is_in_training_but_no_test_data_is_moved_by_it() -> None:
    many = [case(f"c{number}") for number in range(300)]
    before = splits(many)
    after = splits([case(f"c{number}", sent=True) for number in range(300)])
    assert {key for key, split in before.items() if split == "test"} == {
        key for key, split in after.items() if split == "test"
    }
    assert set(after.values()) == {"train", "test"}
    assert splits([case("a", "test", sent=True)]) == {"a": "test"}
    assert splits([case("a", sent=True, released="test")]) == {"a": "test"}


def test_the_larger_class_is_cut_down_and_mistakes_are_kept() -> None:
    policy = Policy(version=1, pool=ALL.pool, balance=Balance(most_per_other=2.0))
    many = [case(f"c{number}") for number in range(20)] + [case("leak", label="leak"), case("wrong", "train")]
    drawn = draw(many, policy)
    kept = [key for key, found in drawn.items() if found.split]
    assert len(kept) == 3 and {"leak", "wrong"} <= set(kept)
    assert splits(many[:20], policy) == dict.fromkeys((one.case_id for one in many[:20]), "pool"), "no other class"


@pytest.mark.parametrize(("state", "split"), [("single", None), ("agreed", "test"), ("adjudicated", "test")])
def test_a_test_set_may_ask_for_surer_labels(state: str, split: str | None) -> None:
    policy = Policy(version=1, labels=Labels(test=("agreed", "adjudicated")))
    assert splits([case("a", "test", state=state)], policy) == {"a": split}


def test_a_unit_stays_on_the_side_of_a_case_that_stands_no_longer() -> None:
    """A model has learnt it, though experts have come to differ on that case since."""
    assert splits([case("new", "test", serial="u1", unit_released=("train",))]) == {"new": "pool"}
    assert splits([case("new", "train", serial="u1", unit_released=("test",))]) == {"new": "test"}
