"""Rollouts in the database: load, decide, keep, with one commit; what each device is wished goes with it.

`rollout_state` decides; here nothing is decided but which bundle of the registry is champion afterwards. A look at the
fleet holds no lock: who then finds that somebody else was quicker leaves it to the next look.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from cloud_sync import audit_log, desire, fleet_reports, registry, rollout_state
from cloud_sync.db import take_turns
from cloud_sync.fleet_reports import MaySwitch, nobody_may
from cloud_sync.registry import Known
from cloud_sync.rollout_plan import Plan, checked
from cloud_sync.rollout_records import ACTIVE, Decision, Event, EventKind, Place, Rollout
from cloud_sync.tables import rollout_events, rollouts
from edge_agent.errors import ConfigError
from edge_agent.records import BundleRef

WHO = "rollout"
"""In events and the audit log, where no person did it."""
Before = Callable[[Mapping[Place, BundleRef], float], Collection[Place]]
"""Called with what devices are about to be asked for, and the time; gives those that must not be asked yet."""
Verb = Callable[[Rollout, float], Rollout]
VERBS: dict[str, tuple[Verb, EventKind]] = {
    "halt": (rollout_state.halt, "halted"),
    "resume": (rollout_state.resume, "resumed"),
    "back": (rollout_state.roll_back, "rolling_back"),
    "abort": (rollout_state.abort, "aborted"),
}
"""What a person may do: the step, and how it is told."""
LONGEST_REASON = 500
WIDTH = {"general": 0, "site": 1, "station": 2}
"""The first word of a scope -> how narrow it is."""


class Kept(msgspec.Struct, frozen=True):
    """A rollout as the database has it."""

    id: int
    revision: int
    rollout: Rollout
    begun_by: str
    reason: str
    begun_at: float
    changed_at: float


def begin(
    connection: sa.Connection,
    bundle_sha256: str,
    places: Iterable[Place],
    *,
    plan: Plan,
    who: str,
    reason: str,
    now: float,
) -> int:
    """A rollout, planned; the caller commits. Its number. Raises ConfigError: no such bundle, no place, no reason."""
    take_turns(connection, ["rollouts"])
    known = registry.find(connection, bundle_sha256)
    if known is None:
        raise ConfigError(f"there is no bundle {bundle_sha256[:12]}: add it with 'bundle publish'")
    rollout = rollout_state.planned(BundleRef(known.version, known.sha256), places, checked(plan), now)
    values = _columns(rollout, now) | {"bundle_sha256": known.sha256, "plan": msgspec.json.encode(plan)}
    values |= {"revision": 1, "begun_by": who, "reason": _needed(reason), "begun_at": now}
    number = connection.execute(sa.insert(rollouts).values(values).returning(rollouts.c.id)).scalar_one()
    event = Event("begun", f"{len(rollout.seats)} devices: {reason}")
    _note(connection, number, [event], who=who, now=now)
    about = f"rollout {number} of bundle {known.version} {known.sha256[:12]} to {event.words}"
    audit_log.note(connection, who=who, did="rollout_begun", about=about, now=now)
    return number


def act(connection: sa.Connection, number: int, verb: str, *, who: str, reason: str, now: float) -> Kept:
    """A person's step: one of VERBS; the caller commits. Raises ConfigError where it is none now."""
    take_turns(connection, ["rollouts"])
    kept = find(connection, number)
    if kept is None:
        raise ConfigError(f"there is no rollout {number}: 'cloud rollout list' shows them")
    step, kind = VERBS[verb]
    words = _needed(reason)
    after = step(kept.rollout, now)
    if kept.rollout.state == "done":
        _check_still_the_latest(connection, kept)
    _keep(connection, kept, after, [Event(kind, words)], who=who, now=now)
    about = f"rollout {number} of bundle {after.bundle.version} {after.bundle.sha256[:12]}: {words}"
    audit_log.note(connection, who=who, did=f"rollout_{kind}", about=about, now=now)
    return msgspec.structs.replace(kept, rollout=after, revision=kept.revision + 1, changed_at=now)


def nothing_before(_asked: Mapping[Place, BundleRef], _now: float) -> frozenset[Place]:
    """Where no station is above shadow, devices can be asked at once."""
    return frozenset()


def step(
    engine: Engine, now: float, *, may_switch: MaySwitch = nobody_may, before: Before = nothing_before
) -> list[tuple[int, Event]]:
    """One look at every rollout that is going on; (number, event) of what came of it."""
    with engine.connect() as connection:
        going = active(connection)
    taken: set[Place] = set()
    told = []
    for kept in going:
        places = {seat.place for seat in kept.rollout.seats}
        with engine.connect() as connection:
            decision = decide(connection, kept, now, free=taken.isdisjoint(places), may_switch=may_switch)
            asked = {} if decision is None else _newly_asked(connection, decision)
        taken |= places
        if decision is None:
            continue
        unready = before(asked, now)
        # On the way back nothing may stop it; forward, the next look says why one of them may not.
        if not any(asked[place] == kept.rollout.bundle for place in unready):
            told += [(kept.id, event) for event in apply(engine, kept, decision, now)]
    return told


def decide(
    connection: sa.Connection, kept: Kept, now: float, *, free: bool, may_switch: MaySwitch = nobody_may
) -> Decision | None:
    """What follows for one rollout; None: nothing that is not so already."""
    reports = fleet_reports.read(connection, kept.rollout, may_switch)
    decision = rollout_state.decide(kept.rollout, reports, now, free=free)
    said = all(place in reports and reports[place].asked == bundle for place, bundle in decision.wishes.items())
    return None if said and decision.rollout == kept.rollout else decision


def apply(engine: Engine, kept: Kept, decision: Decision, now: float) -> tuple[Event, ...]:
    """Keeps the decision and writes its wishes, with one commit; nothing where the rollout has moved on meanwhile."""
    with engine.begin() as connection:
        take_turns(connection, ["rollouts"])
        present = find(connection, kept.id)
        if present is None or present.revision != kept.revision:
            return ()
        if present.rollout.state == "planned" and not _free(connection, present):
            return ()
        _keep(connection, kept, decision.rollout, decision.events, who=WHO, now=now)
    return decision.events


def places_for(connection: sa.Connection, known: Known) -> list[Place]:
    """Every known device that the bundle is for, but those that have one made for them more closely."""
    scopes = {one.sha256: one.scope for one in registry.all_bundles(connection)}
    present = fleet_reports.present_bundles(connection)
    width = _width(known.scope)
    return [
        place
        for place in desire.known_places(connection)
        if _within(place, known.scope) and _width(scopes.get(present.get(place, ""), registry.GENERAL)) <= width
    ]


def find(connection: sa.Connection, number: int) -> Kept | None:
    row = connection.execute(_query().where(rollouts.c.id == number)).first()
    return None if row is None else _of(row)


def active(connection: sa.Connection) -> list[Kept]:
    """Those that hold their places, the oldest first."""
    return [_of(row) for row in connection.execute(_query().where(rollouts.c.state.in_(ACTIVE)).order_by("id"))]


def everyone(connection: sa.Connection) -> list[Kept]:
    """The latest first."""
    return [_of(row) for row in connection.execute(_query().order_by(rollouts.c.id.desc()))]


def events(connection: sa.Connection, number: int, limit: int | None = None) -> Sequence[sa.Row]:
    """The latest first."""
    table = rollout_events
    query = sa.select(table).where(table.c.rollout_id == number).order_by(table.c.id.desc())
    return connection.execute(query if limit is None else query.limit(limit)).all()


def _keep(
    connection: sa.Connection, kept: Kept, after: Rollout, events: Iterable[Event], *, who: str, now: float
) -> None:
    """The caller has the turn. Wishes go with the rollout that they follow from."""
    values = _columns(after, now) | {"revision": kept.revision + 1}
    connection.execute(sa.update(rollouts).where(rollouts.c.id == kept.id).values(values))
    _note(connection, kept.id, events, who=who, now=now)
    reason = f"rollout {kept.id}, {after.state.replace('_', ' ')}"
    desire.want_bundles(connection, rollout_state.wishes(after), who=who, reason=reason, now=now)
    if after.state == "done" and kept.rollout.state != "done":
        _crown(connection, kept.id, after, now)
    if after.state in ("rolling_back", "rolled_back") and kept.rollout.state not in ("rolling_back", "rolled_back"):
        _retire(connection, kept.id, after, now)


def _crown(connection: sa.Connection, number: int, rollout: Rollout, now: float) -> None:
    """The bundle is champion; those of the same scope that nobody runs any more are not."""
    reason = f"rollout {number} is done"
    sha256 = rollout.bundle.sha256
    registry.move(connection, sha256, "champion", who=WHO, reason=reason, now=now)
    known = registry.find(connection, sha256)
    for other in registry.all_bundles(connection, "champion"):
        same = known is not None and other.scope == known.scope and other.sha256 != sha256
        if same and not fleet_reports.running_anywhere(connection, other.sha256):
            registry.move(connection, other.sha256, "retired", who=WHO, reason=f"{reason}: nobody runs it", now=now)


def _retire(connection: sa.Connection, number: int, rollout: Rollout, now: float) -> None:
    """A bundle that was taken back is retired, unless others are to keep it; what the devices go back to is not."""
    formers = {seat.former.sha256 for seat in rollout.seats if seat.former is not None} - {rollout.bundle.sha256}
    if not formers:
        return
    reason = f"rollout {number} was rolled back"
    back = {seat.place for seat in rollout.seats if seat.former is not None}
    present = fleet_reports.present_bundles(connection).items()
    if {place for place, sha256 in present if sha256 == rollout.bundle.sha256} <= back:
        registry.move(connection, rollout.bundle.sha256, "retired", who=WHO, reason=reason, now=now)
    for sha256 in sorted(formers):
        former = registry.find(connection, sha256)
        if former is not None and former.state == "retired":
            registry.move(connection, sha256, "champion", who=WHO, reason=reason, now=now)


def _check_still_the_latest(connection: sa.Connection, kept: Kept) -> None:
    """What a newer rollout has touched, only that one can take back."""
    mine = _places(kept)
    for other in everyone(connection):
        touched = {seat.place for seat in other.rollout.seats if seat.former is not None}
        if other.id > kept.id and other.rollout.state != "rolled_back" and not mine.isdisjoint(touched):
            raise ConfigError(f"rollout {other.id} has touched the same stations since: roll that one back")


def _newly_asked(connection: sa.Connection, decision: Decision) -> dict[Place, BundleRef]:
    wanted = desire.all_wanted(connection)
    return {
        place: bundle
        for place, bundle in decision.wishes.items()
        if place not in wanted or wanted[place].bundle != bundle
    }


def _free(connection: sa.Connection, kept: Kept) -> bool:
    """Holds no older rollout any of its places?"""
    return all(_places(kept).isdisjoint(_places(other)) for other in active(connection) if other.id < kept.id)


def _note(connection: sa.Connection, number: int, told: Iterable[Event], *, who: str, now: float) -> None:
    rows = []
    for event in told:
        site, station = event.place or (None, None)
        about = {"site": site, "station": station, "words": event.words}
        rows.append({"rollout_id": number, "kind": event.kind, "who": who, "at": now, **about})
    if rows:
        connection.execute(sa.insert(rollout_events), rows)


def _columns(rollout: Rollout, now: float) -> dict[str, object]:
    return {"record": msgspec.json.encode(rollout), "state": rollout.state, "changed_at": now}


def _needed(reason: str) -> str:
    words = reason.strip()
    if not words or len(words) > LONGEST_REASON:
        raise ConfigError(f"say why, in at most {LONGEST_REASON} characters: the reason stands in the audit log")
    return words


def _query() -> sa.Select:
    table = rollouts.c
    return sa.select(
        table.id, table.revision, table.record, table.begun_by, table.reason, table.begun_at, table.changed_at
    )


def _of(row: sa.Row) -> Kept:
    number, revision, record, *rest = row
    return Kept(number, revision, msgspec.json.decode(bytes(record), type=Rollout), *rest)


def _places(kept: Kept) -> set[Place]:
    return {seat.place for seat in kept.rollout.seats}


def _within(place: Place, scope: str) -> bool:
    kind, _, name = scope.partition("/")
    return kind == registry.GENERAL or name == (place[0] if kind == "site" else "/".join(place))


def _width(scope: str) -> int:
    return WIDTH.get(scope.partition("/")[0], 0)
