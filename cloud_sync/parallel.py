"""Parallel runs: a challenger is heard beside a champion at some stations until the evidence has decided.

It begins a run, tells how one stands, ends those that are decided and names those that have won. What the evidence is
worth is `promotion`'s matter, what comes of a winner that of the rollout.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec
import sqlalchemy as sa

from cloud_sync import audit_log, desire, fleet_reports, promotion, registry
from cloud_sync.paired import Pair
from cloud_sync.policy import Promotion
from cloud_sync.promotion import Evidence, State
from cloud_sync.tables import cases, parallel_places, parallel_runs, second_words, truths
from cloud_sync.tallies import DAY_S, chance_of_draw, is_drawn
from edge_agent.errors import ConfigError
from edge_agent.messages import SamplingWish
from edge_agent.records import BundleRef

WHO = "promotion rules"
"""Who decides where nobody does."""
END_WORDS: dict[State, str] = {
    "won": "proven no worse on misses, and better",
    "lost": "proven worse",
    "futile": "it would not get there in its time",
}
_HEARD = second_words.join(cases, second_words.c.case_id == cases.c.case_id).outerjoin(
    truths, truths.c.case_id == cases.c.case_id
)
Place = tuple[str, str]
"""Site and station."""


class Beside(msgspec.Struct, frozen=True):
    """Which challenger is to run beside which champion, by their hashes, and where."""

    places: tuple[Place, ...]
    champion: str
    challenger: str


class Run(msgspec.Struct, frozen=True):
    """A parallel run."""

    id: int
    champion: str
    challenger: str
    year: int
    alpha: float
    """Of the year's chance of a wrong promotion."""
    rules: Promotion
    """As they were when it began."""
    state: State
    why: str
    started_by: str
    started_at: float
    decided_at: float | None
    result: Evidence | None
    """As it was when the run ended."""
    places: tuple[Place, ...]


def start(connection: sa.Connection, wish: Beside, rules: Promotion, *, who: str, now: float) -> int:
    """Begins a run and returns its number; the caller commits. Raises ConfigError with the cure."""
    audit_log.take_turn(connection)
    _refuse(connection, wish)
    year = datetime.fromtimestamp(now, UTC).year
    staked = {place: _staked(connection, place, year) for place in wish.places}
    # Each of its stations has a year's chance of its own; the run is to be within all of them.
    alpha = float(min(promotion.stake(rules, before) for before in staked.values()))
    if alpha <= 0:  # somebody has lowered alpha_per_year since
        raise ConfigError(f"nothing is left of the chance of {year}: wait for its end, or raise alpha_per_year")
    values = {
        "champion": wish.champion,
        "challenger": wish.challenger,
        "year": year,
        "alpha": alpha,
        "rules": msgspec.json.encode(rules),
        "state": "running",
        "started_by": who,
        "started_at": now,
    }
    run_id = connection.execute(sa.insert(parallel_runs).values(values).returning(parallel_runs.c.id)).scalar_one()
    rows = [
        {"run_id": run_id, "site": site, "station": station, "number": len(staked[site, station]) + 1}
        for site, station in wish.places
    ]
    connection.execute(sa.insert(parallel_places), rows)
    _ask(connection, find(connection, run_id), who=who, now=now)
    return run_id


def stop(connection: sa.Connection, run_id: int, *, why: str, who: str, now: float) -> bool:
    """Ends a run before its time; the caller commits. False where it has ended already."""
    audit_log.take_turn(connection)
    run = find(connection, run_id)
    return _end(connection, run, "stopped", f"stopped: {why}", who=who, now=now)


def decide(connection: sa.Connection, now: float) -> list[Run]:
    """Ends what is decided and returns it; the caller commits. To be called daily or oftener: looking costs nothing."""
    audit_log.take_turn(connection)
    ended = []
    for run in runs(connection, "running"):
        word = evidence(connection, run, now).state
        if word != "running" and _end(connection, run, word, END_WORDS[word], who=WHO, now=now):
            ended.append(find(connection, run.id))
    return ended


def won(connection: sa.Connection) -> list[Run]:
    """Whose challenger has won and is not a champion yet: for the rollout, which moves it in the registry."""
    waiting = {known.sha256 for known in registry.all_bundles(connection, "challenger")}
    return [run for run in runs(connection, "won") if run.challenger in waiting]


def evidence(connection: sa.Connection, run: Run, now: float) -> Evidence:
    """How a run stands; of one that has ended, how it stood then."""
    if run.result is not None:
        return run.result
    days = (now - run.started_at) / DAY_S
    return promotion.evidence(pairs(connection, run), run.rules, alpha=run.alpha, days=days)


def pairs(connection: sa.Connection, run: Run) -> list[Pair]:
    """All units that both have judged, as counts of those that are alike. Challenge parts are none of them: these are
    no units drawn from what is made here."""
    drawn = is_drawn()
    counts_in_audit = drawn & (truths.c.judgement == "leak")
    inner = (
        sa.select(
            sa.func.floor(cases.c.started_at / DAY_S).label("day"),
            cases.c.verdict.label("champion"),
            second_words.c.verdict.label("challenger"),
            truths.c.judgement.label("truth"),
            sa.case((drawn, 1), else_=0).label("drawn"),
            sa.case((counts_in_audit, chance_of_draw()), else_=1.0).label("probability"),
            (cases.c.site + "/" + cases.c.station).label("place"),
        )
        .select_from(_HEARD)
        .where(*_conditions(run), cases.c.sampled_for != "challenge")
        .subquery()
    )
    query = sa.select(*inner.c, sa.func.count().label("units")).group_by(*inner.c)
    return [
        Pair(**{**row, "day": int(row["day"]), "drawn": bool(row["drawn"]), "probability": float(row["probability"])})
        for row in connection.execute(query).mappings()
    ]


def discordant(connection: sa.Connection, run: Run, limit: int) -> Sequence[sa.Row]:
    """The latest units on which the two differ and that can tell something: case_id, started_at, place, both words,
    truth and whether nobody has judged it yet."""
    differ = cases.c.verdict != second_words.c.verdict
    told = cases.c.verdict.in_(("ok", "leak")) | second_words.c.verdict.in_(("ok", "leak"))
    query = (
        sa.select(
            cases.c.case_id,
            cases.c.started_at,
            cases.c.site,
            cases.c.station,
            cases.c.verdict.label("champion"),
            second_words.c.verdict.label("challenger"),
            truths.c.judgement.label("truth"),
        )
        .select_from(_HEARD)
        .where(*_conditions(run), differ, told)
        .order_by(cases.c.started_at.desc(), cases.c.case_id)
        .limit(limit)
    )
    return connection.execute(query).all()


def challenge_parts(connection: sa.Connection, run: Run) -> Sequence[sa.Row]:
    """Challenge parts that both have judged, apart from everything else: both words and how many."""
    query = (
        sa.select(cases.c.verdict.label("champion"), second_words.c.verdict.label("challenger"), sa.func.count("*"))
        .select_from(_HEARD)
        .where(*_conditions(run), cases.c.sampled_for == "challenge")
        .group_by(cases.c.verdict, second_words.c.verdict)
        .order_by(cases.c.verdict, second_words.c.verdict)
    )
    return connection.execute(query).all()


def runs(connection: sa.Connection, state: State | None = None) -> list[Run]:
    """The latest first."""
    query = sa.select(parallel_runs).order_by(parallel_runs.c.started_at.desc(), parallel_runs.c.id.desc())
    rows = connection.execute(query if state is None else query.where(parallel_runs.c.state == state)).all()
    places = _places(connection, [row.id for row in rows])
    return [_run(row, places[row.id]) for row in rows]


def find(connection: sa.Connection, run_id: int) -> Run:
    """Raises ConfigError where there is no such run."""
    row = connection.execute(sa.select(parallel_runs).where(parallel_runs.c.id == run_id)).first()
    if row is None:
        raise ConfigError(f"there is no parallel run {run_id}: see the page Parallel runs")
    return _run(row, _places(connection, [run_id])[run_id])


def _refuse(connection: sa.Connection, wish: Beside) -> None:
    if not wish.places or len(set(wish.places)) < len(wish.places):
        raise ConfigError("no station is named, or one of them twice: choose each once, at least one")
    if wish.champion == wish.challenger:
        raise ConfigError("champion and challenger are the same bundle: choose another challenger")
    for sha256 in (wish.champion, wish.challenger):
        if registry.find(connection, sha256) is None:
            raise ConfigError(f"there is no bundle {sha256[:12]}: add it with 'bundle publish'")
    busy = {place: run.id for run in runs(connection, "running") for place in run.places}
    present = fleet_reports.present_bundles(connection)
    for place in wish.places:
        if place in busy:
            raise ConfigError(
                f"at {'/'.join(place)} run {busy[place]} is under way, and a station hears one challenger: "
                "stop that run or wait for its end"
            )
        if present.get(place) != wish.champion:
            raise ConfigError(
                f"at {'/'.join(place)} that champion does not speak, so nothing would be learnt there: choose the one "
                "that does, or other stations"
            )


def _ask(connection: sa.Connection, run: Run, *, who: str, now: float) -> None:
    """The stations, for the challenger and for the audits that its evidence needs."""
    reason = f"parallel run {run.id}"
    registry.move(connection, run.challenger, "challenger", who=who, reason=reason, now=now)
    known = registry.find(connection, run.challenger)
    assert known is not None
    ref = BundleRef(known.version, known.sha256)
    for place in run.places:
        desire.want(connection, place, who=who, reason=reason, now=now, challenger=ref)
    wish = SamplingWish(
        id=_wish_id(run),
        probability=run.rules.leak_audit,
        until=desire.until(now, run.rules.longest_days),
        reason=reason,
        verdict="leak",
    )
    desire.order(connection, run.places, wish, who=who, now=now)
    where = ", ".join("/".join(place) for place in run.places)
    about = f"{run.id}: {run.challenger[:12]} beside {run.champion[:12]} at {where}, chance {run.alpha:.2g}"
    audit_log.note(connection, who=who, did="parallel_started", about=about, now=now)


def _end(connection: sa.Connection, run: Run, state: State, why: str, *, who: str, now: float) -> bool:
    found = evidence(connection, run, now)
    kept = msgspec.structs.replace(found, state=state)
    values = {"state": state, "why": why, "decided_at": now, "result": msgspec.json.encode(kept)}
    mine = (parallel_runs.c.id == run.id) & (parallel_runs.c.state == "running")
    if connection.execute(sa.update(parallel_runs).where(mine).values(values)).rowcount == 0:
        return False
    for place in run.places:
        desire.withdraw(connection, place, _wish_id(run), who=who, now=now)
        if state != "won":
            desire.want(connection, place, who=who, reason=f"parallel run {run.id} {state}", now=now, challenger=None)
    _retire(connection, run, state, who=who, now=now)
    about = f"{run.id} {state}: {why}; {found.judged} judged, e-values 10^{found.misses:.2f} and 10^{found.better:.2f}"
    audit_log.note(connection, who=who, did="parallel_ended", about=about, now=now)
    return True


def _retire(connection: sa.Connection, run: Run, state: State, *, who: str, now: float) -> None:
    """A challenger that has not won, unless it runs or has won elsewhere."""
    known = registry.find(connection, run.challenger)
    others = [one for one in runs(connection) if one.challenger == run.challenger and one.state in ("running", "won")]
    if state != "won" and not others and known is not None and known.state == "challenger":
        reason = f"parallel run {run.id} {state}"
        registry.move(connection, run.challenger, "retired", who=who, reason=reason, now=now)


def _staked(connection: sa.Connection, place: Place, year: int) -> list[tuple[float, float]]:
    """(staked, given back) of a station's challengers of a year."""
    mine = [run for run in runs(connection) if run.year == year and place in run.places]
    return [(run.alpha, _given_back(connection, run)) for run in mine]


def _given_back(connection: sa.Connection, run: Run) -> float:
    """Of a run that ended without winning; it rises while experts judge what waited at its end."""
    if run.result is None or run.state == "won":
        return 0.0
    # The same units, as they are known by now.
    found = promotion.evidence(pairs(connection, run), run.rules, alpha=run.alpha, days=0.0)
    return float(promotion.given_back(run.alpha, *found.last))


def _conditions(run: Run) -> list[sa.ColumnElement[bool]]:
    """Units of this run alone: what the challenger may have been trained on came before it."""
    here = sa.or_(*((cases.c.site == site) & (cases.c.station == station) for site, station in run.places))
    found = [
        second_words.c.bundle_sha256 == run.challenger,
        cases.c.bundle_sha256 == run.champion,
        cases.c.started_at >= run.started_at,
        here,
    ]
    return found if run.decided_at is None else [*found, cases.c.started_at < run.decided_at]


def _places(connection: sa.Connection, run_ids: Iterable[int]) -> dict[int, tuple[Place, ...]]:
    table = parallel_places
    found: dict[int, tuple[Place, ...]] = dict.fromkeys(run_ids, ())
    query = sa.select(table).where(table.c.run_id.in_(list(found))).order_by(table.c.site, table.c.station)
    for row in connection.execute(query):
        found[row.run_id] = (*found[row.run_id], (row.site, row.station))
    return found


def _run(row: sa.Row, places: tuple[Place, ...]) -> Run:
    return Run(
        id=row.id,
        champion=row.champion,
        challenger=row.challenger,
        year=row.year,
        alpha=row.alpha,
        rules=msgspec.json.decode(bytes(row.rules), type=Promotion),
        state=row.state,
        why=row.why,
        started_by=row.started_by,
        started_at=row.started_at,
        decided_at=row.decided_at,
        result=None if row.result is None else msgspec.json.decode(bytes(row.result), type=Evidence),
        places=places,
    )


def _wish_id(run: Run) -> str:
    return f"parallel-{run.id}"
