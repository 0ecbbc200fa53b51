"""A slow question holds one thread; whoever comes meanwhile gets the answer before."""

import threading

import pytest

from cloud_sync.one_at_a_time import OneAtATime

WAIT_S = 20


def test_while_one_waits_others_get_the_answer_before() -> None:
    asked, go, answers = threading.Event(), threading.Event(), iter(("away", "here"))

    def ask() -> str:
        asked.set()
        assert go.wait(WAIT_S)
        return next(answers)

    question, found = OneAtATime(ask, "never asked"), []
    slow = threading.Thread(target=lambda: found.append(question.answer()))
    slow.start()
    assert asked.wait(WAIT_S) and question.answer() == "never asked"
    go.set()
    slow.join(WAIT_S)
    assert found == ["away"] and question.answer() == "here"


def test_a_question_that_fails_may_be_asked_again() -> None:
    answers = iter((OSError("no route"), None))

    def ask() -> str:
        if fault := next(answers):
            raise fault
        return "here"

    question = OneAtATime(ask, "never asked")
    with pytest.raises(OSError, match="no route"):
        question.answer()
    assert question.answer() == "here"
