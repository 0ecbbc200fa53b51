"""The database -> a station's daily figures, its drift tests over time, and the alarms of drift that stand.

The tests are the device's own (`edge_agent.drift`), over what the cloud knows of each case. They are run again over the
days whenever somebody asks: nothing has to be kept, and a database restored from a backup says the same.
"""

from datetime import UTC, datetime

import msgspec
import sqlalchemy as sa

from cloud_sync.device_health import kept
from cloud_sync.slices import light_limits_of
from cloud_sync.tables import cases, device_alarms
from cloud_sync.tallies import is_unit
from cloud_sync.worse_slices import BEFORE_DAYS, LATEST_DAYS, UnitWords, Worse, worse
from edge_agent import drift, drift_station
from edge_agent.drift import Quantity, Track
from edge_agent.drift_quantities import BY_NAME
from edge_agent.drift_station import Move
from edge_agent.messages import Alarm

DAY_S = 86_400.0
SHOWN_DAYS = 120
"""The good weeks and three months."""
WATCHED: tuple[Quantity, ...] = tuple(
    BY_NAME[name] for name in ("light", "clarity", "score", "unsure", "not_tested", "agreement", "leaks")
)
"""What the cloud's table of cases holds; noise, blur and the training data are watched on the device alone."""
LIMIT = drift.limit(WATCHED)
Place = tuple[str, str]


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """One day of one station: counts, and sums of what was measured."""

    day: int
    """Since 1970."""
    units: int
    tested: int
    uncertain: int
    compared: int
    agreed: int
    decided: int
    leaks: int
    light: float | None
    lit: int
    clarity: float | None
    clear: int
    score: float | None
    scored: int

    def mean(self, name: str) -> tuple[float, int] | None:
        """A quantity's figure of this day and the cases behind it; None where there are none."""
        found: dict[str, tuple[float | None, int]] = {
            "light": (self.light, self.lit),
            "clarity": (self.clarity, self.clear),
            "score": (self.score, self.scored),
            "unsure": (self.uncertain, self.tested),
            "not_tested": (self.units - self.tested, self.units),
            "agreement": (self.agreed, self.compared),
            "leaks": (self.leaks, self.decided),
        }
        total, count = found[name]
        return None if not count or total is None else (total / count, count)


class Step(msgspec.Struct, frozen=True):
    """A quantity's evidence after one day, the larger of its sides."""

    day: int
    strength: float
    alarmed: bool


class Course(msgspec.Struct, frozen=True):
    """One station's tests."""

    days: list[Day]
    steps: dict[str, list[Step]]
    """By quantity."""
    moves: list[Move]


def days(connection: sa.Connection, place: Place, now: float) -> list[Day]:
    """Of the last SHOWN_DAYS, by the newest bundle and profile there: another one is another machine."""
    here = (cases.c.site == place[0], cases.c.station == place[1])
    # By time: numbers begin anew with a new disk.
    newest = sa.select(cases.c.bundle_sha256, cases.c.profile_sha256).order_by(cases.c.started_at.desc()).limit(1)
    row = connection.execute(newest.where(*here)).first()
    if row is None:
        return []
    same = (cases.c.bundle_sha256 == row[0], cases.c.profile_sha256.is_not_distinct_from(row[1]))
    query = _daily().where(*here, *same, is_unit(), cases.c.started_at >= now - SHOWN_DAYS * DAY_S)
    return [Day(**{**found, "day": int(found["day"])}) for found in connection.execute(query).mappings()]


def course(found: list[Day]) -> Course:
    """Daily figures -> the tests, day by day. The newest day is not over: it waits."""
    tracks: dict[str, Track] = {}
    steps: dict[str, list[Step]] = {quantity.name: [] for quantity in WATCHED}
    for day in found[:-1]:
        for quantity in WATCHED:
            figure = day.mean(quantity.name)
            if figure is None or figure[1] < quantity.least:
                continue
            track = msgspec.structs.replace(
                tracks.get(quantity.name, Track()), began=date_of(day.day), total=figure[0], cases=1
            )
            tracks[quantity.name] = track = drift.closed(track, quantity, most=LIMIT)
            if track.watches:
                strength = max(watch.strength for watch in track.watches.values())
                alarmed = any(watch.alarmed for watch in track.watches.values())
                steps[quantity.name].append(Step(day.day, strength, alarmed))
    return Course(found, steps, drift_station.moves(tracks, WATCHED))


def alarms(connection: sa.Connection) -> dict[Place, Alarm]:
    """What devices say of drift now; ids that begin with `drift`."""
    query = sa.select(device_alarms).where(device_alarms.c.id.startswith("drift")).order_by(device_alarms.c.id.desc())
    found = {(row.site, row.station): kept(row.alarm, Alarm) for row in connection.execute(query)}
    return {place: alarm for place, alarm in found.items() if alarm}


def standing(connection: sa.Connection, now: float) -> tuple[str, ...]:
    """Every alarm of drift that stands, the devices' and the cloud's own, in words: a sign for retraining.

    What speaks of the plant alone (more leaks) asks for no other model.
    """
    told = [(place, alarm.text) for place, alarm in sorted(alarms(connection).items())]
    said = [f"{'/'.join(place)} says: {text}" for place, text in told if not drift_station.is_of_the_plant_alone(text)]
    for place in _places(connection, now):
        moved = [move for move in course(days(connection, place, now)).moves if move.quantity.lapses]
        if moved:
            said.append(f"{'/'.join(place)} by its cases: {'; '.join(move.fact for move in moved)}")
    return tuple(said)


def degraded(connection: sa.Connection, place: Place, now: float) -> list[Worse]:
    """Slices of a station's last week that are worse than in the four weeks before it."""
    columns = [cases.c[name] for name in UnitWords.__struct_fields__]
    query = sa.select(*columns).where(
        cases.c.site == place[0],
        cases.c.station == place[1],
        is_unit(),
        cases.c.started_at >= now - BEFORE_DAYS * DAY_S,
        cases.c.started_at < now,
    )
    units = [UnitWords(*row) for row in connection.execute(query)]
    return worse(units, now - LATEST_DAYS * DAY_S, light_limits_of([one.light_levels for one in units]))


def date_of(day: int) -> str:
    return datetime.fromtimestamp(day * DAY_S, UTC).date().isoformat()


def _places(connection: sa.Connection, now: float) -> list[Place]:
    recent = cases.c.started_at >= now - LATEST_DAYS * DAY_S
    query = sa.select(cases.c.site, cases.c.station).where(recent).distinct().order_by(cases.c.site, cases.c.station)
    return [(row[0], row[1]) for row in connection.execute(query)]


def _daily() -> sa.Select:
    tested = cases.c.verdict != "not_tested"
    both = cases.c.verdict.in_(("ok", "leak")) & cases.c.decision.in_(("ok", "leak"))
    inside = sa.case((cases.c.score < 0.001, 0.001), (cases.c.score > 0.999, 0.999), else_=cases.c.score)
    odds = sa.func.ln(inside / (1 - inside))
    day = sa.func.floor(cases.c.started_at / DAY_S).label("day")
    return (
        sa.select(
            day,
            sa.func.count().label("units"),
            _count(tested).label("tested"),
            _count(cases.c.verdict == "uncertain").label("uncertain"),
            _count(both).label("compared"),
            _count(both & (cases.c.verdict == cases.c.decision)).label("agreed"),
            _count(cases.c.decision.in_(("ok", "leak"))).label("decided"),
            _count(cases.c.decision == "leak").label("leaks"),
            sa.func.sum(sa.case((tested, cases.c.light_levels))).label("light"),
            _count(tested & cases.c.light_levels.isnot(None)).label("lit"),
            sa.func.sum(sa.case((tested, cases.c.clarity))).label("clarity"),
            _count(tested & cases.c.clarity.isnot(None)).label("clear"),
            sa.func.sum(sa.case((tested, odds))).label("score"),
            _count(tested & cases.c.score.isnot(None)).label("scored"),
        )
        .group_by(day)
        .order_by(day)
    )


def _count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)
