"""PURE. Counts of units -> everything that the page Agreement says: machine against inspector against expert.

Tables with the experts weigh each judged case by 1 / its sampling probability, so they speak of all units, as far as
the cases that nobody judged are like those that somebody did; the bounds of the rates do without that hope.
"""

from collections.abc import Callable, Sequence

import msgspec

from cloud_sync import concord, estimates
from cloud_sync.concord import Figure, Paired, Table
from cloud_sync.estimates import Rates, Stratum, Tally

ANSWERS = ("ok", "leak")
MOST_POINTS = 20
"""Looks that are shown over time."""


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """Two raters on the same units."""

    first: str
    second: str
    counts: list[tuple[str, list[int]]]
    """Every word of the first, with cases by `columns`: also those that are no answers."""
    columns: list[str]
    cases: int
    """In which both gave an answer."""
    weighted: bool
    alike: Figure
    kappa: Figure
    ac1: Figure


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """One choice of cases, seen from all sides."""

    units: int
    drawn: int
    unjudged: int
    matches: list[Match]
    paired: Paired
    """First: the machine; second: the inspector."""
    disagreements_unjudged: int
    machine: Rates
    inspector: Rates
    strata: list[Stratum]


class Slice(msgspec.Struct, frozen=True):
    """The same for a part of the cases, in one line."""

    name: str
    units: int
    judged: int
    unjudged: int
    machine: Rates
    inspector: Rates
    ac1: Figure
    """Machine against inspector."""


class Moment(msgspec.Struct, frozen=True):
    """What was known of the machine up to a day."""

    day: int
    machine: Rates
    ac1: Figure
    """Machine against inspector."""


def of(counted: Sequence[Tally]) -> Agreement:
    """All of it."""
    tallies = estimates.merged(counted)
    drawn = [tally for tally in tallies if tally.drawn]
    differing = [tally for tally in drawn if {tally.verdict, tally.decision} == {"ok", "leak"}]
    return Agreement(
        units=_units(tallies),
        drawn=_units(drawn),
        unjudged=_units([tally for tally in drawn if tally.truth is None]),
        matches=[
            _match(("machine", "inspector"), [(t.verdict, t.decision, t.units, 1.0) for t in tallies]),
            _match(("machine", "expert"), [(t.verdict, t.truth, t.units, 1 / t.probability) for t in drawn if t.truth]),
            _match(
                ("inspector", "expert"), [(t.decision, t.truth, t.units, 1 / t.probability) for t in drawn if t.truth]
            ),
        ],
        paired=concord.mcnemar(
            _units([tally for tally in differing if tally.verdict == tally.truth]),
            _units([tally for tally in differing if tally.decision == tally.truth]),
        ),
        disagreements_unjudged=_units([tally for tally in differing if tally.truth is None]),
        machine=estimates.rates(tallies, "machine"),
        inspector=estimates.rates(tallies, "inspector"),
        strata=estimates.strata(tallies, "machine"),
    )


def slices(tallies: Sequence[Tally], key: Callable[[Tally], str]) -> list[Slice]:
    """By station, shift or inspector."""
    names = sorted({key(tally) for tally in tallies})
    return [_slice(name, estimates.merged(tally for tally in tallies if key(tally) == name)) for name in names]


def over_time(counted: Sequence[Tally]) -> list[Moment]:
    """As it would have been read on each day, from the cases until then as they are judged now."""
    tallies = estimates.merged(counted)
    days = sorted({tally.day for tally in tallies})
    step = max(1, -(-len(days) // MOST_POINTS))
    shown = days[::-1][::step][::-1]
    return [_moment(day, [tally for tally in tallies if tally.day <= day]) for day in shown]


def _moment(day: int, tallies: Sequence[Tally]) -> Moment:
    return Moment(day, estimates.rates(tallies, "machine"), concord.ac1(_two_answers(tallies)))


def _two_answers(tallies: Sequence[Tally]) -> Table:
    return concord.table([(t.verdict, t.decision, t.units, 1.0) for t in tallies], ANSWERS)


def _slice(name: str, tallies: Sequence[Tally]) -> Slice:
    drawn = [tally for tally in tallies if tally.drawn]
    judged = _units([tally for tally in drawn if tally.truth is not None])
    machine, inspector = (estimates.rates(tallies, rater) for rater in ("machine", "inspector"))
    return Slice(
        name, _units(tallies), judged, _units(drawn) - judged, machine, inspector, concord.ac1(_two_answers(tallies))
    )


def _match(raters: tuple[str, str], pairs: list[tuple[str, str, int, float]]) -> Match:
    table = concord.table(pairs, ANSWERS)
    rows, columns = (_words([str(pair[at]) for pair in pairs]) for at in (0, 1))
    whole = concord.table(pairs, sorted({*rows, *columns}))
    return Match(
        first=raters[0],
        second=raters[1],
        counts=[(row, [_cell(whole, row, column) for column in columns]) for row in rows],
        columns=columns,
        cases=table.cases,
        weighted=any(weight != 1 for *_, weight in pairs),
        alike=concord.overall(table),
        kappa=concord.kappa(table),
        ac1=concord.ac1(table),
    )


def _words(said: list[str]) -> list[str]:
    order = ("leak", "ok", "uncertain", "cannot_tell", "not_tested", "none")
    return sorted({*ANSWERS, *said}, key=lambda word: order.index(word) if word in order else len(order))


def _cell(table: Table, row: str, column: str) -> int:
    return int(table.counts[table.words.index(row), table.words.index(column)])


def _units(tallies: Sequence[Tally]) -> int:
    return sum(tally.units for tally in tallies)
