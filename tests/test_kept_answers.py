"""Answers that are kept for a while."""

from cloud_sync.kept_answers import KeptAnswers

UNKNOWN = "not looked at yet"


def asked(answers: KeptAnswers[int], keys: range) -> list[int]:
    """Which keys were asked for anew."""
    found: list[int] = []
    for key in keys:
        answers.answer(key, lambda key=key: found.append(key) or f"answer {key}")
    return found


def test_an_answer_is_kept_until_it_is_old() -> None:
    answers = KeptAnswers[int](60.0, 5, unknown=UNKNOWN)
    answers.turn(0.0)
    assert asked(answers, range(2)) == [0, 1] and asked(answers, range(2)) == []
    answers.turn(59.0)
    assert asked(answers, range(2)) == []
    answers.turn(61.0)
    assert asked(answers, range(2)) == [0, 1]


def test_only_a_few_are_asked_for_in_a_turn_and_nobody_is_forgotten() -> None:
    answers = KeptAnswers[int](10.0, 2, unknown=UNKNOWN)
    answers.turn(0.0)
    assert asked(answers, range(6)) == [0, 1] and answers.answer(5, str) == UNKNOWN
    turns = []
    for now in range(1, 8):
        answers.turn(float(5 * now))
        turns.append(asked(answers, range(6)))
    assert all(len(turn) <= 2 for turn in turns)
    assert {key for turn in turns for key in turn} == set(range(6))


def test_a_clock_that_was_set_back_renews_what_is_kept() -> None:
    answers = KeptAnswers[int](60.0, 5, unknown=UNKNOWN)
    answers.turn(1000.0)
    asked(answers, range(1))
    answers.turn(10.0)
    assert asked(answers, range(1)) == [0]


def test_who_is_not_asked_about_any_more_is_let_go() -> None:
    answers = KeptAnswers[int](60.0, 5, unknown=UNKNOWN)
    answers.turn(0.0)
    asked(answers, range(3))
    answers.turn(1.0)
    asked(answers, range(1))
    answers.turn(2.0)
    assert asked(answers, range(3)) == [1, 2]
