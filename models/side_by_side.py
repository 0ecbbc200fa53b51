"""Recordings -> what two bundles say of each: where both have the same eyes, one look serves both.

The first bundle inspects the recording as a person would have it inspected; the second weighs what was seen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import msgspec

from edge_agent.bundle import Bundle
from edge_agent.pipeline import Inspector
from edge_agent.records import Case, Verdict
from edge_agent.verdict import Watched
from models import forked, seen
from models.judged import Bench, Judged, judge
from models.labelled import Labelled
from models.seen import Seen

Pair = tuple[Judged, Judged]


def judge_all(recordings: Sequence[Labelled], first: Bench, second: Bundle, jobs: int) -> Iterator[Pair]:
    """In their order. Raises StationError or ModelError naming the recording."""
    same = seen.eyes_of(first.bundle) == seen.eyes_of(second)
    return forked.each(partial(_judged, first=first, second=second, same=same), recordings, jobs)


def _judged(one: Labelled, first: Bench, second: Bundle, *, same: bool) -> Pair:
    if not same:
        return judge(one, first), judge(one, Bench(second, first.openers))
    inspectors: list[Inspector] = []
    found = judge(one, first, inspectors.append)
    return found, replace(found, case=_weighed(found.case, inspectors[0], second))


def _weighed(case: Case, inspector: Inspector, bundle: Bundle) -> Case:
    """What kept the first from testing the unit keeps the second from it too: both saw the same."""
    found = inspector.weighed
    if case.verdict == "not_tested" or found is None:
        return msgspec.structs.replace(case, bundle=bundle.ref)
    watched = Watched(case.usable_s, case.composites, case.framing, case.water)
    (said,) = seen.verdicts([Seen(tuple(found.features.tolist()), found.finding, watched, None)], bundle)
    return _said(case, said, bundle)


def _said(case: Case, said: Verdict, bundle: Bundle) -> Case:
    return msgspec.structs.replace(
        case, verdict=said.verdict, score=said.score, reason=said.reason, novelty=said.novelty, bundle=bundle.ref
    )
