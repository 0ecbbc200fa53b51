"""The challenger thinks beside the champion: what it cannot keep up with it loses, and no frame waits long."""

import threading
import time
from dataclasses import dataclass, field

import pytest

from edge_agent import challenger as challenger_module
from edge_agent.bundle import BundleManifest, open_bundle
from edge_agent.challenger import MOST_WAITING, STUCK_S, Beside, InTurn
from edge_agent.errors import ModelError
from edge_agent.inspection import shipped_bundle
from edge_agent.records import BundleRef, Verdict
from tests.fakes_camera import Clock

HELD_UP_S = 5.0
"""Far more than a busy machine takes, far less than a judge that hangs."""


@dataclass
class OfBundle:
    ref: BundleRef = BundleRef(7, "7" * 64)
    manifest: BundleManifest = field(default_factory=lambda: open_bundle(shipped_bundle()).manifest)


@dataclass
class ScriptedJudge:
    """Stands for a Judge whose nets do what a test wants: hold it up, or fail."""

    gate: threading.Event = field(default_factory=threading.Event)
    began: threading.Event = field(default_factory=threading.Event)
    fails: bool = False
    bundle: OfBundle = field(default_factory=OfBundle)
    seen: list = field(default_factory=list)

    def restart(self) -> None:
        self.seen.clear()

    def push(self, view: object, since_s: float) -> None:
        self.began.set()
        self.gate.wait(4 * HELD_UP_S)
        if self.fails:
            raise ModelError("the detector net gives numbers that are not finite: use another bundle")
        self.seen.append(since_s)


def word(judge: ScriptedJudge) -> Verdict:
    return Verdict("ok", 0.01 * len(judge.seen), "nothing rises")


def one_case(challenger, views: int) -> Verdict:
    challenger.restart()
    for number in range(views):
        challenger.push(None, float(number))
    challenger.ask(word)
    return challenger.answer()


@pytest.fixture(params=[InTurn, Beside])
def either(request, monkeypatch):
    # A busy machine may not run the other thread for longer than a champion waits.
    monkeypatch.setattr(challenger_module, "LATE_S", 10.0)
    judge = ScriptedJudge()
    judge.gate.set()
    made = request.param(judge)
    yield judge, made
    made.close()


def test_both_kinds_see_every_view_and_give_the_same_word(either):
    _, challenger = either
    assert [one_case(challenger, views).score for views in (5, 7)] == [0.05, 0.07]


def test_a_challenger_that_fails_is_out_for_its_case_and_back_in_the_next(either):
    judge, challenger = either
    judge.fails = True
    said = one_case(challenger, 3)
    assert said.verdict == "not_tested" and "not finite" in said.reason
    judge.fails = False
    assert one_case(challenger, 3).verdict == "ok"


def test_a_challenger_that_hangs_is_cut_and_holds_up_nobody():
    judge, cuts, clock = ScriptedJudge(), [], Clock()
    challenger = Beside(judge, say_cut=cuts.append, clock=clock)
    challenger.restart()
    challenger.push(None, 0.0)
    assert judge.began.wait(5)
    began_s = time.monotonic()
    said = one_case(challenger, 3 * MOST_WAITING)
    assert time.monotonic() - began_s < HELD_UP_S
    assert said.verdict == "not_tested" and "loses no frame" in said.reason and len(cuts) == 1
    clock.turn(STUCK_S + 1)
    assert "have not come back" in one_case(challenger, 3).reason and len(cuts) == 2
    judge.gate.set()
    challenger.close()


def test_a_late_word_is_not_waited_for():
    judge, cuts = ScriptedJudge(), []
    challenger = Beside(judge, say_cut=cuts.append)
    began_s = time.monotonic()
    assert "had not answered" in one_case(challenger, 2).reason
    assert time.monotonic() - began_s < HELD_UP_S and len(cuts) == 1
    judge.gate.set()
    challenger.close()


def test_who_is_cut_says_so_and_thinks_no_more_until_the_next_case(either):
    _, challenger = either
    challenger.restart()
    challenger.cut("3 frames waited, limit 3")
    challenger.push(None, 1.0)
    challenger.ask(word)
    said = challenger.answer()
    assert said.verdict == "not_tested" and "3 frames waited" in said.reason
    assert one_case(challenger, 4).score == 0.04


def test_a_challenger_that_is_let_go_leaves_no_thread():
    judge = ScriptedJudge()
    judge.gate.set()
    before = threading.active_count()
    challenger = Beside(judge)
    one_case(challenger, 2)
    challenger.close()
    until_s = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < until_s:
        time.sleep(0.01)
    assert threading.active_count() <= before
