"""Pages of challenge parts: register and retire, what is due where, what was found, and the units that a miss calls
back.
"""

from collections.abc import Iterator, Sequence

import msgspec
import sqlalchemy as sa
from flask import Blueprint, abort, current_app, redirect, render_template, request, stream_with_context, url_for
from flask_login import current_user
from sqlalchemy.engine import Engine
from werkzeug.wrappers import Response

from cloud_sync import case_table, challenge_figures, challenge_history, challenge_parts, db, search
from cloud_sync.accounts import needs
from cloud_sync.case_words import RESULT_WORDS
from cloud_sync.challenge import Interval, Run
from cloud_sync.challenge_history import Miss
from cloud_sync.challenge_parts import NewPart
from cloud_sync.search import Search
from cloud_sync.search_terms import result_of
from cloud_sync.tables import challenge_runs
from edge_agent.errors import ConfigError

blueprint = Blueprint("challenge", __name__)
DAYS_SHOWN = 365
"""Of the figures: older runs say little of what runs now."""
MOST_RUNS = 50
STRIP = 30
"""Runs of one station on its strip."""
MOST_UNITS = 200
"""On the page; the CSV has them all."""
PARTS = {"before": "called_back", "after": "since"}
"""A miss's two lists of units, and their fields."""


class Strip(msgspec.Struct, frozen=True):
    """One station's runs, the oldest first."""

    place: str
    runs: list[Run]


@blueprint.get("/challenge")
@needs("viewer")
def page(fault: str | None = None) -> str:
    shelf = current_app.extensions["tankwatch"]
    now, plan = db.now(), challenge_history.plan_of(shelf.config)
    lately = challenge_runs.c.started_at >= now - DAYS_SHOWN * 86_400
    with shelf.engine.connect() as connection:
        runs = challenge_history.runs(connection, lately)
        bundle = request.args.get("bundle", "")
        chosen = [run for run in runs if not bundle or str(run.bundle_version) == bundle]
        return render_template(
            "challenge.html",
            fault=fault,
            form=request.form,
            plan=plan,
            parts=challenge_parts.every(connection),
            latest={run.part_id: run for run in reversed(runs)},
            standings=challenge_history.standings(connection, plan, now),
            misses=challenge_history.misses(connection),
            places=challenge_history.places(connection),
            unexplained=challenge_history.unexplained(connection),
            kinds=challenge_figures.kinds(chosen),
            bundle=bundle,
            bundles=sorted({run.bundle_version for run in runs if run.bundle_version is not None}, reverse=True),
            strips=_strips(runs),
            runs=runs[:MOST_RUNS],
            days=DAYS_SHOWN,
        )


@blueprint.post("/challenge")
@needs("quality")
def change() -> Response | tuple[str, int]:
    try:
        with _engine().begin() as connection:
            if request.form.get("act") == "retire":
                part_id = request.form.get("part", type=int) or 0
                challenge_parts.retire(connection, part_id, who=current_user.name, now=db.now())
            else:
                new = _new_part()
                _refuse_strangers(connection, new)
                challenge_parts.register(connection, new, who=current_user.name, now=db.now())
    except ConfigError as error:
        return page(fault=str(error)), 400
    return redirect(url_for("challenge.page"))


@blueprint.get("/challenge/<case_id>")
@needs("viewer")
def miss_page(case_id: str) -> str:
    """The units that this miss calls back."""
    with _engine().connect() as connection:
        found = challenge_history.miss(connection, case_id) or abort(404)
        place = found.run.site, found.run.station
        keys = next(challenge_history.units(connection, place, found.called_back, MOST_UNITS), [])
        return render_template(
            "challenge_miss.html",
            miss=found,
            rows=case_table.rows(connection, keys[:MOST_UNITS]),
            units=challenge_history.count(connection, place, found.called_back),
            after=challenge_history.count(connection, place, found.since),
            before_fields=_fields(found, found.called_back),
            after_fields=_fields(found, found.since),
            result_of=result_of,
            result_words=RESULT_WORDS,
        )


@blueprint.get("/challenge/<case_id>.csv")
@needs("viewer")
def miss_csv(case_id: str) -> Response:
    """The same as CSV, complete; `list=after` gives what came after the miss."""
    name = PARTS.get(request.args.get("list", "before")) or abort(400)
    with _engine().connect() as connection:
        found = challenge_history.miss(connection, case_id) or abort(404)

    def lines() -> Iterator[str]:
        with _engine().connect() as connection:
            place = found.run.site, found.run.station
            yield from case_table.csv_of(connection, challenge_history.units(connection, place, getattr(found, name)))

    response = current_app.response_class(stream_with_context(lines()), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="units-{name}.csv"'
    return response


def _new_part() -> NewPart:
    """From the form. Raises ConfigError."""
    form = request.form
    site, _, station = form.get("place", "").partition("/")
    text = form.get("leak", "").strip().replace(",", ".")
    try:
        rate = float(text) if text else None
    except ValueError:
        raise ConfigError(f"leak rate {text[:40]!r} is no number: write 1e-3, or leave it empty") from None
    return NewPart(
        site=site,
        station=station or None,
        serial=form.get("serial", "").strip(),
        truth=form.get("truth", ""),
        leak_std_cm3_s=rate,
    )


def _refuse_strangers(connection: sa.Connection, new: NewPart) -> None:
    """A part at a place that was never heard of would be due nowhere."""
    known = challenge_history.places(connection)
    if not any(new.site == site and new.station in (None, station) for site, station in known):
        raise ConfigError(
            f"no station {new.site[:40]}/{(new.station or '*')[:40]} was ever heard of: choose one listed"
        )


def _strips(runs: Sequence[Run]) -> list[Strip]:
    places = sorted({f"{run.site}/{run.station}" for run in runs})
    mine = {place: [run for run in runs if f"{run.site}/{run.station}" == place] for place in places}
    return [Strip(place, mine[place][:STRIP][::-1]) for place in places]


def _fields(miss: Miss, interval: Interval) -> dict[str, str]:
    """The nearest search by time alone, that the page of cases can ask."""
    return search.as_fields(
        Search(
            site=miss.run.site,
            station=miss.run.station,
            since=interval.after.started_at if interval.after else None,
            until=interval.until.started_at if interval.until else None,
        )
    )


def _engine() -> Engine:
    return current_app.extensions["tankwatch"].engine
