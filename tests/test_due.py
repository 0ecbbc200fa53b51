"""When the word is due, and what the line is told."""

from edge_agent import compare
from edge_agent.due import DueWatch, disposition
from edge_agent.records import DueWord, Verdict


def said(word: str) -> Verdict:
    return Verdict(word, 0.5, "x")


def test_the_word_is_due_once_the_hold_is_over_and_the_machine_is_certain():
    watch = DueWatch(5.0, 3.0)
    assert not watch.asks(4.9, 6.0)
    assert watch.asks(5.0, 6.0) and not watch.answer(said("uncertain"), 5.0, 6.0)
    assert not watch.asks(5.2, 6.2), "not again at once"
    assert watch.asks(5.5, 6.5) and watch.answer(said("ok"), 5.5, 6.5)
    assert (watch.word.verdict, watch.word.usable_s, watch.asks(9.0, 9.9)) == ("ok", 5.5, False)


def test_at_the_latest_it_is_whatever_the_machine_says_then():
    for word in ("uncertain", "not_tested"):
        watch = DueWatch(5.0, 3.0)
        assert watch.asks(0.0, 8.0) and watch.answer(said(word), 0.0, 8.0)
        assert disposition(watch.word) == "wait"


def test_only_a_certain_word_is_no_wait():
    words = {word: disposition(DueWord(word, None, 1.0)) for word in ("ok", "leak", "uncertain", "not_tested")}
    assert words == {"ok": "ok", "leak": "leak", "uncertain": "wait", "not_tested": "wait"}
    assert disposition(None) == "wait"


def test_words_that_differ_go_to_review_even_where_machine_and_inspector_agree_at_the_end():
    drawn = compare.sampled("agree", 0.01, audit_floor=0.02, draw=0.9, differ=True)
    assert (drawn.reason, drawn.probability) == ("disagreement", 1.0)
    assert compare.sampled("machine_only", 0.01, audit_floor=0.02, draw=0.9).reason == "none"
