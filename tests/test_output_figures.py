from benchmarks.made_cases import make_case
from edge_agent.messages import DeciderCounts, DecisionCounts
from edge_agent.output_figures import PAUSE_S, OutputFigures


def test_scores_decisions_and_usable_seconds_are_counted_case_by_case():
    figures = OutputFigures()
    for number in range(1, 7):
        figures.said(make_case(number))
    figures.said(make_case(7, verdict="not_tested", score=None, decision="leak", decided_by="machine"))
    assert figures.decisions == DecisionCounts(ok=6, leak=1)
    assert figures.deciders == DeciderCounts(human=6, machine=1)
    assert (figures.scores.total, figures.usable_s.total) == (6, 7)
    assert figures.scores.cumulative[1] == 4, "four agreements near 0"


def test_the_cycle_runs_from_case_to_case_and_a_pause_is_none():
    figures = OutputFigures()
    for started_s in (0.0, 20.0, 41.0, 41.0 + PAUSE_S, 45.0 + PAUSE_S):
        figures.said(make_case(1, started_s=started_s))
    assert (figures.cycle_s.total, figures.cycle_s.sum) == (3, 45.0)


def test_a_frame_without_composite_or_verdict_counts_as_a_step_alone():
    figures = OutputFigures()
    figures.stepped(0.004, None, None)
    figures.stepped(0.02, 0.012, None)
    figures.stepped(0.06, 0.012, 0.04)
    figures.put(0.008)
    figures.recorded(0.09)
    told = figures.latency
    totals = [one.total for one in (told.step, told.composite, told.verdict, told.put, told.record)]
    assert totals == [3, 2, 1, 1, 1]
