"""The page Agreement: machine against inspector against expert, with bounds and the cases behind them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from flask import Blueprint, current_app, render_template, request
from flask_login import current_user
from markupsafe import Markup

from cloud_sync import agreement, human_level, search, tallies
from cloud_sync.accounts import needs
from cloud_sync.agreement import Moment
from cloud_sync.concord import Figure
from cloud_sync.tallies import Choice
from models.charts import Axis, Chart, ticks_up_to

blueprint = Blueprint("agreement", __name__)
TOO_FEW = "too few to say"
FIELDS = ("station", "bundle", "from", "until")
FEWEST_POINTS = 2
"""One day is no course of time."""


@blueprint.get("/agreement")
@needs("viewer")
def page() -> str:
    shelf = current_app.extensions["tankwatch"]
    quality = current_user.may("quality")
    named = shelf.config.agreement.inspectors and quality
    choice, fault = chosen(request.args)
    with shelf.engine.connect() as connection:
        counted = tallies.tallies(connection, choice, shelf.config.shift, inspectors=named)
        skills = tallies.skills(connection, choice, by="role")
        experts = tallies.skills(connection, choice, by="expert") if quality else []
        stations = tallies.stations(connection)
    splits = [("station", agreement.slices(counted, lambda tally: tally.station))]
    if shelf.config.shift:
        splits.append(("shift", agreement.slices(counted, lambda tally: tally.shift)))
    if named:
        splits.append(("inspector", agreement.slices(counted, lambda tally: tally.inspector or "not named")))
    return render_template(
        "agreement.html",
        found=agreement.of(counted),
        splits=splits,
        people=human_level.performance(skills) + human_level.performance(experts),
        charts=charts(agreement.over_time(counted)),
        stations=stations,
        asked=request.args,
        fault=fault,
    )


def chosen(asked: Mapping[str, str]) -> tuple[Choice, str | None]:
    """The form's fields -> which cases are counted, and what was not understood."""
    wanted, fault = search.asked({name: asked.get(name, "") for name in FIELDS})
    version = search.bundle_version(wanted)
    if wanted.bundle and version is None:
        return Choice(), f"Bundle {wanted.bundle[:40]!r} is no version: use a number."
    return Choice(wanted.station, version, wanted.since, wanted.until), fault


def charts(course: Sequence[Moment]) -> list[tuple[str, Markup]]:
    """Caption and picture; none where there is no course of time."""
    if len(course) < FEWEST_POINTS:
        return []
    first_day = course[0].day
    first = f"days since {datetime.fromtimestamp(86400 * first_day, UTC):%Y-%m-%d}"
    axis = Axis(first, ticks_up_to(course[-1].day - first_day))
    return [
        ("Miss rate of the machine", _rate_chart("Miss rate of the machine", axis, course, "miss")),
        (
            "False alarm rate of the machine",
            _rate_chart("False alarm rate of the machine", axis, course, "false_alarm"),
        ),
        ("AC1 of machine and inspector", _agreement_chart(axis, course)),
    ]


def _rate_chart(title: str, axis: Axis, course: Sequence[Moment], rate: str) -> Markup:
    rates = [(one.day - course[0].day, getattr(one.machine, rate)) for one in course]
    most = max((each.at_most for _, each in rates if each.at_most is not None), default=1.0)
    chart = Chart(title, axis, Axis("per cent of units", ticks_up_to(max(100 * most, 0.001))))
    chart.line([(day, 100 * each.at_most) for day, each in rates if each.at_most is not None], "guide")
    chart.line([(day, 100 * each.estimate) for day, each in rates if each.estimate is not None])
    return Markup(chart.svg())


def _agreement_chart(axis: Axis, course: Sequence[Moment]) -> Markup:
    chart = Chart("AC1 of machine and inspector", axis, Axis("AC1", (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)))
    for one in course:
        day = one.day - course[0].day
        if one.ac1.low is not None and one.ac1.high is not None:
            chart.bar(day, one.ac1.low, one.ac1.high)
        if one.ac1.value is not None:
            chart.dot(day, one.ac1.value, radius=3, words=f"{one.ac1.value:.3f} of {one.ac1.cases} cases")
    return Markup(chart.svg())


@blueprint.app_template_filter("share")
def share(value: float | None) -> str:
    """0..1 in per cent, with as many places as it needs."""
    if value is None:
        return TOO_FEW
    return f"{100 * value:.{2 if 0 < abs(value) < 0.01 or 0.99 < value < 1 else 1}f}\N{NO-BREAK SPACE}%"


@blueprint.app_template_filter("figure")
def figure(found: Figure) -> str:
    """A kappa with its interval."""
    if found.value is None:
        return TOO_FEW
    between = "no interval: too few" if found.low is None else f"{found.low:.2f} to {found.high:.2f}"
    return f"{found.value:.2f} ({between})"


@blueprint.app_template_filter("p_value")
def p_value(value: float) -> str:
    return "below 0.001" if value < 0.001 else f"{value:.3f}"
