"""Pages: which stations have drifted (`/drift`), and one station's evidence, control charts and worse slices."""

from collections.abc import Sequence
from math import ceil, floor, log10

import msgspec
from flask import Blueprint, abort, current_app, render_template
from markupsafe import Markup

from cloud_sync import db, desire, drift_course, spc
from cloud_sync.accounts import needs
from cloud_sync.drift_course import LIMIT, Course, Day, Place
from cloud_sync.spc import ControlChart
from cloud_sync.worse_slices import BEFORE_DAYS, LATEST_DAYS, RISK
from edge_agent import drift
from edge_agent.drift_quantities import BY_NAME
from edge_agent.drift_station import Move, shown
from edge_agent.messages import Alarm
from models.charts import Axis, Chart, ticks_up_to

blueprint = Blueprint("drift", __name__)
MOST_TESTED = 12
"""Stations whose tests are run again for the list; each one's own page always does."""
LEARNT = drift.REFERENCE_BLOCKS
"""Days of which a control chart's limits are."""
LEAST_SPAN = 0.02
"""Of an axis, as a share of its end: what hardly moves is drawn as hardly moving."""
MOST_LEAKS = 60
"""Newest leaks that the g chart shows."""


class Row(msgspec.Struct, frozen=True):
    """One station of the list. `learnt`: good days so far; None where the tests were not run for the list."""

    place: Place
    alarm: Alarm | None
    moves: list[Move]
    learnt: int | None


class Picture(msgspec.Struct, frozen=True):
    """A chart, what it shows, and what there is to say of it."""

    caption: str
    words: str
    svg: Markup


@blueprint.get("/drift")
@needs("viewer")
def page() -> str:
    now = db.now()
    with current_app.extensions["tankwatch"].engine.connect() as connection:
        said, places = drift_course.alarms(connection), sorted(desire.known_places(connection))
        tested = len(places) <= MOST_TESTED
        found = {place: drift_course.course(drift_course.days(connection, place, now)) for place in places if tested}
    rows = [_row(place, said.get(place), found.get(place)) for place in places]
    rows.sort(key=lambda row: not (row.alarm or row.moves))
    every = drift.MEAN_DAYS_BETWEEN_FALSE_ALARMS
    return render_template("drift.html", rows=rows, needed=drift.REFERENCE_BLOCKS, tested=tested, every=every)


@blueprint.get("/drift/<site>/<station>")
@needs("viewer")
def station_page(site: str, station: str) -> str:
    place, now = (site, station), db.now()
    with current_app.extensions["tankwatch"].engine.connect() as connection:
        if place not in desire.known_places(connection):
            abort(404)
        found = drift_course.course(drift_course.days(connection, place, now))
        worse = drift_course.degraded(connection, place, now)
        alarm = drift_course.alarms(connection).get(place)
    return render_template(
        "drift_station.html",
        row=_row(place, alarm, found),
        needed=drift.REFERENCE_BLOCKS,
        every=drift.MEAN_DAYS_BETWEEN_FALSE_ALARMS,
        limit=LIMIT,
        evidence=evidence(found),
        charts=control_charts(found.days[:-1]),
        worse=worse,
        risk=RISK,
        spans=(LATEST_DAYS, BEFORE_DAYS - LATEST_DAYS),
    )


def evidence(found: Course) -> list[Picture]:
    """The tests over time, those with the most to say first; none while the good weeks are learnt."""
    pictures = []
    for name, steps in found.steps.items():
        if not steps:
            continue
        highest = max(step.strength for step in steps)
        first = steps[0].day
        axis = Axis(f"days since {drift_course.date_of(first)}", ticks_up_to(max(1, steps[-1].day - first)))
        chart = Chart(f"Evidence on {BY_NAME[name].words}", axis, Axis("evidence, power of ten", (0, 1, 2, 3, 4, 5)))
        chart.line([(0, log10(LIMIT)), (axis.ticks[-1], log10(LIMIT))], "guide")
        chart.line([(step.day - first, log10(max(1.0, step.strength))) for step in steps])
        for step in steps:
            if step.alarmed:
                chart.dot(step.day - first, log10(max(1.0, step.strength)), words=drift_course.date_of(step.day))
        words = "alarms" if steps[-1].alarmed else f"highest {highest:,.1f}"
        pictures.append((highest, Picture(_heading(BY_NAME[name].words), words, Markup(chart.svg()))))
    return [picture for _, picture in sorted(pictures, key=lambda pair: -pair[0])]


def control_charts(days: Sequence[Day]) -> list[Picture]:
    """For reading: shares with p and Laney's limits, units between leaks, smoothed light and clarity."""
    found = [_share_chart(name, days) for name in ("unsure", "agreement")]
    found += [_gap_chart(days)]
    found += [_smooth_chart(name, days) for name in ("light", "clarity")]
    return [picture for picture in found if picture]


def _row(place: Place, alarm: Alarm | None, found: Course | None) -> Row:
    if found is None:
        return Row(place, alarm, [], None)
    return Row(place, alarm, found.moves, max(0, len(found.days) - 1))


def _share_chart(name: str, days: Sequence[Day]) -> Picture | None:
    rows = [(day.day, figure) for day in days if (figure := day.mean(name))]
    if len(rows) < 2:
        return None
    events = [round(mean * count) for _, (mean, count) in rows]
    chart = spc.p_chart([day for day, _ in rows], events, [count for _, (_, count) in rows], laney=True, learnt=LEARNT)
    words = (
        f"mean {100 * chart.centre:.1f} %, {_outside(chart)}; days differ {chart.spread:.1f} times as much as chance"
    )
    title = f"{_heading(BY_NAME[name].words)} (Laney p′)"
    return Picture(title, words, _drawn(title, chart, "per cent of units", 100.0, f"days since {_date(rows[0][0])}"))


def _gap_chart(days: Sequence[Day]) -> Picture | None:
    """By days: units of the days on which none leaked lie between two leaks."""
    gaps, since = [], 0
    for day in days:
        if day.leaks:
            each = (since + day.decided - day.leaks) // day.leaks
            gaps += [each] * day.leaks
            since = 0
        else:
            since += day.decided
    if len(gaps) < 2:
        return None
    chart = spc.g_chart(gaps[-MOST_LEAKS:])
    words = f"mean {chart.centre:.0f} units, {_outside(chart)}; the leaks of one day are taken as evenly spread"
    title = "Units between two leaks, by the inspector (g)"
    return Picture(title, words, _drawn(title, chart, "units", 1.0, "leak"))


def _smooth_chart(name: str, days: Sequence[Day]) -> Picture | None:
    rows = [(day.day, figure[0]) for day in days if (figure := day.mean(name))]
    if len(rows) < 2:
        return None
    chart = spc.ewma_chart([day for day, _ in rows], [mean for _, mean in rows], learnt=LEARNT)
    words = f"mean {shown(BY_NAME[name], chart.centre)}, {_outside(chart)}"
    title = f"{_heading(BY_NAME[name].words)} (EWMA)"
    unit = BY_NAME[name].unit or "0 to 1"
    return Picture(title, words, _drawn(title, chart, unit, 1.0, f"days since {_date(rows[0][0])}"))


def _drawn(title: str, chart: ControlChart, unit: str, factor: float, along: str) -> Markup:
    first = chart.points[0].at
    every = [edge * factor for point in chart.points for edge in (point.value, point.low, point.high)]
    axis = Axis(along, ticks_up_to(max(1.0, chart.points[-1].at - first)))
    drawn = Chart(title, axis, Axis(unit, _between(min(every), max(every))))
    for edge in ("low", "high"):
        drawn.line([(point.at - first, factor * getattr(point, edge)) for point in chart.points], "guide")
    drawn.line([(point.at - first, factor * point.value) for point in chart.points])
    for point in chart.points:
        if point.is_out:
            drawn.dot(point.at - first, factor * point.value, words=f"{factor * point.value:.3g}")
    return Markup(drawn.svg())


def _between(low: float, high: float) -> tuple[float, ...]:
    """Round ticks around both."""
    if low < 0.3 * high:
        return ticks_up_to(max(high, 1e-3))
    step = ticks_up_to(max(high - low, LEAST_SPAN * high))[1]
    begin, end = floor(low / step) - (low == high), ceil(high / step)
    return tuple(round(step * number, 9) for number in range(begin, end + 1))


def _outside(chart: ControlChart) -> str:
    return f"{chart.out} of {len(chart.points)} outside the limits" if chart.out else "all within the limits"


def _heading(words: str) -> str:
    return words[:1].upper() + words[1:]


def _date(day: float) -> str:
    return drift_course.date_of(int(day))
