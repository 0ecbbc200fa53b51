"""Pages Parallel runs: which challenger runs beside which champion, how the evidence stands and how much is missing."""

from collections.abc import Sequence
from datetime import UTC, datetime

import sqlalchemy as sa
from flask import Blueprint, abort, current_app, redirect, render_template, request, url_for
from flask_login import current_user
from markupsafe import Markup
from sqlalchemy.engine import Engine
from werkzeug.wrappers import Response

from cloud_sync import db, desire, parallel, registry
from cloud_sync.accounts import needs
from cloud_sync.parallel import Beside, Run
from cloud_sync.promotion import Evidence, Point
from edge_agent.errors import ConfigError
from models.charts import Axis, Chart, ticks_up_to

blueprint = Blueprint("parallel", __name__)
SHOWN = 50
"""Discordant cases on the page."""
LOWEST = -4.0
"""Power of ten below which an e-value is drawn at the edge: it is lost."""


@blueprint.get("/parallel")
@needs("viewer")
def page(fault: str | None = None) -> str:
    now = db.now()
    with _engine().connect() as connection:
        held = [(run, parallel.evidence(connection, run, now)) for run in parallel.runs(connection)]
        known = registry.all_bundles(connection)
        places = desire.known_places(connection)
    return render_template(
        "parallel_runs.html",
        held=held,
        names=_names(known),
        champions=[one for one in known if one.state == "champion"],
        challengers=[one for one in known if one.state in ("candidate", "challenger", "retired")],
        places=places,
        needed_words=needed_words,
        fault=fault,
        form=request.form,
    )


@blueprint.post("/parallel")
@needs("quality")
def begin() -> Response | tuple[str, int]:
    rules = current_app.extensions["tankwatch"].desk.policy.promotion
    places = tuple(
        (site, station) for site, _, station in (one.partition("/") for one in request.form.getlist("place"))
    )
    wish = Beside(places, request.form.get("champion", ""), request.form.get("challenger", ""))
    try:
        with _engine().begin() as connection:
            run_id = parallel.start(connection, wish, rules, who=current_user.name, now=db.now())
    except ConfigError as error:
        return page(fault=str(error)), 400
    return redirect(url_for("parallel.run_page", number=run_id))


@blueprint.get("/parallel/<int:number>")
@needs("viewer")
def run_page(number: int) -> str:
    with _engine().connect() as connection:
        run = _run(connection, number)
        found = parallel.evidence(connection, run, db.now())
        quality = current_user.may("quality")
        return render_template(
            "parallel_run.html",
            run=run,
            found=found,
            names=_names(registry.all_bundles(connection)),
            needed=needed_words(found),
            charts=charts(run, found),
            cases=parallel.discordant(connection, run, SHOWN) if quality else (),
            parts=parallel.challenge_parts(connection, run),
            shown=SHOWN,
        )


@blueprint.post("/parallel/<int:number>")
@needs("quality")
def stop(number: int) -> Response:
    why = request.form.get("why", "").strip()[:200] or "no reason given"
    with _engine().begin() as connection:
        run = _run(connection, number)
        parallel.stop(connection, run.id, why=why, who=current_user.name, now=db.now())
    return redirect(url_for("parallel.run_page", number=number))


def needed_words(found: Evidence, *, short: bool = False) -> str:
    """How much is missing, for a person."""
    if found.state != "running":
        return ""
    if short:
        return "" if found.needed.expected is None else f"{found.needed.expected:,} more judged cases needed"
    if found.needed.expected is None:
        return "Too little is known to say how many more judged cases are needed."
    if found.needed.expected == 0:
        first = f": first the {found.waiting} that wait" if found.waiting else ""
        return f"A few more judged cases are needed{first}."
    high = "not foretold" if found.needed.high is None else f"{found.needed.high:,}"
    return (
        f"{found.needed.expected:,} more judged {_cases(found.needed.expected)} needed, if all goes on as until now "
        f"(80 % interval: {found.needed.low:,} to {high}); at this pace {_days(found.needed.days or 0.0)}."
    )


def charts(run: Run, found: Evidence) -> list[tuple[str, Markup]]:
    """Caption and picture of each e-value by day; none before the second day."""
    if len(found.course) < 2:
        return []
    return [
        (
            "No more misses than the margin allows",
            _chart("No more misses", run, found, [p.misses for p in found.course]),
        ),
        ("Better, and the rest held", _chart("Better", run, found, [p.better for p in found.course])),
    ]


def _chart(title: str, run: Run, found: Evidence, values: Sequence[float]) -> Markup:
    first = run.started_at // 86_400
    days = [_since(point, first) for point in found.course]
    lowest = min(0.0, max(LOWEST, min(values)) // 1)
    highest = max(found.threshold, *values) // 1 + 1
    step = max(1, round((highest - lowest) / 5))
    ticks = tuple(float(tick) for tick in range(int(lowest), int(highest) + step, step))
    begun = f"days since {datetime.fromtimestamp(run.started_at, UTC):%Y-%m-%d}"
    chart = Chart(title, Axis(begun, ticks_up_to(max(days))), Axis("e-value, power of ten", ticks))
    chart.line([(0.0, found.threshold), (ticks_up_to(max(days))[-1], found.threshold)], "guide")
    chart.line([(day, max(value, ticks[0])) for day, value in zip(days, values, strict=True)])
    return Markup(chart.svg())


def _since(point: Point, first: float) -> float:
    return point.day - first + 1


def _cases(number: int) -> str:
    return "case is" if number == 1 else "cases are"


def _days(days: float) -> str:
    return "less than a day" if days < 1 else "a day" if round(days) == 1 else f"{days:.0f} days"


def _run(connection: sa.Connection, number: int) -> Run:
    try:
        return parallel.find(connection, number)
    except ConfigError:
        abort(404)


def _names(known: Sequence[registry.Known]) -> dict[str, str]:
    """By hash: what people call a bundle."""
    return {one.sha256: f"{one.name} {one.version} ({one.sha256[:8]})" for one in known}


def _engine() -> Engine:
    return current_app.extensions["tankwatch"].engine
