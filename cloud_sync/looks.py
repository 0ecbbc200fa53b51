"""Looks: the judgements that are wanted, one row each, from the case's arrival until an expert has judged.

A look's state follows its clip (`coming`, `waiting`, or `bare` where none will come) until it is `judged`. Whoever
changes one calls this module within his own transaction, so that the sums at the top of the page stay right.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from cloud_sync import counters, triage
from cloud_sync.db import take_turns
from cloud_sync.settling import Purpose
from cloud_sync.tables import cases, clips, looks

DAY_S = 86_400
STATES = ("waiting", "coming", "bare", "judged")


def want_first(connection: sa.Connection, rows: Iterable[Mapping[str, object]], now: float) -> None:
    """A look at each of these new cases that needs an eye; `rows` as they go into the table of cases."""
    needed = [row for row in rows if triage.needs_eye(str(row["sampled_for"]), str(row["outcome"]))]
    if not needed:
        return
    stored = _stored(connection, {row["clip_sha256"] for row in needed if row["clip_sha256"]})
    _insert(connection, [_look(row, _state(row["clip_sha256"], stored), now) for row in needed])


def want(connection: sa.Connection, case_id: str, purpose: Purpose, now: float) -> None:
    """One more look at a case that was judged already."""
    row = connection.execute(_case(case_id)).mappings().one()
    stored = _stored(connection, {row["clip_sha256"]} if row["clip_sha256"] else set())
    _insert(connection, [_look(row, _state(row["clip_sha256"], stored), now) | {"purpose": purpose}])


def want_gold(connection: sa.Connection, row: Mapping[Any, Any], now: float) -> sa.Row:
    """A look at a case of known truth, for one expert; nobody else is offered it."""
    made = _look(row, "waiting", now) | {"purpose": "gold", "lane": "gold"}
    return connection.execute(sa.insert(looks).values(made).returning(looks.c.id, looks.c.case_id)).one()


def clips_stored(connection: sa.Connection, sha256s: Sequence[str]) -> None:
    """What waited for these clips can be watched now."""
    _follow(connection, sha256s, ("coming", "bare"), "waiting")


def clips_lost(connection: sa.Connection, sha256s: Sequence[str]) -> None:
    """What could be watched waits for these clips again."""
    _follow(connection, sha256s, ("waiting",), "coming")


def purpose_for(connection: sa.Connection, case_id: str, reviewer: str, now: float) -> Purpose:
    """What this expert's judgement is for: that of the look he has, or of his earlier one where he changes his mind.
    Until the caller commits, `close` finds the same look.
    """
    _take_turn(connection)
    look = _earlier(connection, case_id, reviewer) or _to_close(connection, case_id, reviewer, now)
    return "first" if look is None else look.purpose


def close(connection: sa.Connection, case_id: str, reviewer: str, review_id: int, now: float) -> None:
    """This expert has judged: the look that he had, or that was open, is over. A change of mind closes none."""
    _take_turn(connection)
    if _earlier(connection, case_id, reviewer) is not None:
        return
    look = _to_close(connection, case_id, reviewer, now)
    if look is None:
        row = connection.execute(_case(case_id)).mappings().one()
        made = _look(row, "judged", now) | {"lane": "asked", "reserved_by": reviewer, "review_id": review_id}
        _insert(connection, [made])
        return
    over = {"state": "judged", "review_id": review_id, "reserved_by": reviewer, "reserved_until": None}
    connection.execute(sa.update(looks).where(looks.c.id == look.id).values(over))
    if look.lane != "gold":
        _count(connection, {look.state: -1, "judged": 1})


def reopen(connection: sa.Connection, review: sa.Row, reserved_until: float) -> None:
    """The judgement was taken back: its look is the same expert's again, and what only followed from it goes, as does
    the look where nobody had wanted one. Whoever gets it next has been told nothing."""
    _take_turn(connection)
    _drop_unseen(connection, review.case_id, review.at)
    look = connection.execute(sa.select(looks).where(looks.c.review_id == review.id)).first()
    if look is None:
        return  # of a change of mind
    if look.lane == "asked":
        connection.execute(sa.delete(looks).where(looks.c.id == look.id))
        _count(connection, {"judged": -1})
        return
    clip = connection.scalar(sa.select(cases.c.clip_sha256).where(cases.c.case_id == look.case_id))
    state = _state(clip, _stored(connection, {clip} if clip else set()))
    again = {"state": state, "review_id": None, "reserved_until": reserved_until, "revealed_at": None}
    connection.execute(sa.update(looks).where(looks.c.id == look.id).values(again))
    if look.lane != "gold":
        _count(connection, {"judged": -1, state: 1})


def counts(connection: sa.Connection) -> dict[str, int]:
    """Looks by state; gold is nobody's work to be done and not counted."""
    held = counters.values(connection, "looks")
    return {state: held.get(state, 0) for state in STATES}


def _take_turn(connection: sa.Connection) -> None:
    """Before a state is read that is about to change: in PostgreSQL another could change it in between, and the sums
    would count a step that was not taken."""
    take_turns(connection, ["counters"])


def _follow(connection: sa.Connection, sha256s: Sequence[str], states: Sequence[str], state: str) -> None:
    """Looks at cases with these clips go from any of `states` to `state`."""
    _take_turn(connection)
    mine = sa.select(cases.c.case_id).where(cases.c.clip_sha256.in_(sha256s))
    which = looks.c.state.in_(states) & looks.c.case_id.in_(mine)
    before = _states(connection, which)
    connection.execute(sa.update(looks).where(which).values(state=state))
    _count(connection, {state: sum(before.values()), **{name: -count for name, count in before.items()}})


def _drop_unseen(connection: sa.Connection, case_id: str, since: float) -> None:
    """Second and third looks, wanted since then, that nobody has begun."""
    unseen = (
        (looks.c.case_id == case_id)
        & looks.c.purpose.in_(("second", "adjudication"))
        & (looks.c.wanted_at >= since)
        & (looks.c.state != "judged")
        & looks.c.reserved_by.is_(None)
    )
    gone = Counter(connection.scalars(sa.delete(looks).where(unseen).returning(looks.c.state)))
    _count(connection, {name: -count for name, count in gone.items()})


def _look(row: Mapping[Any, Any], state: str, now: float) -> dict[str, object]:
    score = row["score"]
    sampled_for = str(row["sampled_for"])
    return {
        "case_id": row["case_id"],
        "purpose": "first",
        "lane": triage.lane_of(sampled_for),
        "state": state,
        "day": int(now // DAY_S),
        "rank": -triage.worth(sampled_for, score if isinstance(score, float) else None),
        "wanted_at": now,
    }


def _insert(connection: sa.Connection, made: Sequence[dict[str, object]]) -> None:
    connection.execute(sa.insert(looks), list(made))
    _count(connection, Counter(str(row["state"]) for row in made if row["lane"] != "gold"))


def _case(case_id: str) -> sa.Select:
    return sa.select(cases.c.case_id, cases.c.sampled_for, cases.c.score, cases.c.clip_sha256).where(
        cases.c.case_id == case_id
    )


def _earlier(connection: sa.Connection, case_id: str, reviewer: str) -> sa.Row | None:
    mine = (looks.c.case_id == case_id) & (looks.c.reserved_by == reviewer) & (looks.c.state == "judged")
    return connection.execute(sa.select(looks).where(mine).order_by(looks.c.id.desc()).limit(1)).first()


def _to_close(connection: sa.Connection, case_id: str, reviewer: str, now: float) -> sa.Row | None:
    """The one that he has reserved; otherwise one that nobody has."""
    held = looks.c.reserved_by == reviewer
    free = (looks.c.lane != "gold") & (looks.c.reserved_until.is_(None) | (looks.c.reserved_until < now))
    query = sa.select(looks).where(looks.c.case_id == case_id, looks.c.state != "judged", held | free)
    query = query.order_by(sa.case((held, 0), else_=1), looks.c.id).limit(1)
    return connection.execute(query.with_for_update()).first()


def _state(clip_sha256: object, stored: set[object]) -> str:
    if clip_sha256 is None:
        return "bare"
    return "waiting" if clip_sha256 in stored else "coming"


def _stored(connection: sa.Connection, sha256s: set[object]) -> set[object]:
    if not sha256s:
        return set()
    held = sa.select(clips.c.sha256).where(clips.c.sha256.in_(sha256s), clips.c.state == "stored")
    return set(connection.scalars(held))


def _states(connection: sa.Connection, which: sa.ColumnElement[bool]) -> dict[str, int]:
    grouped = (
        sa.select(looks.c.state, sa.func.count().label("number"))
        .where(which, looks.c.lane != "gold")
        .group_by(looks.c.state)
    )
    return {row.state: row.number for row in connection.execute(grouped)}


def _count(connection: sa.Connection, changes: Mapping[str, int]) -> None:
    counters.add(connection, {f"looks.{state}": change for state, change in changes.items()})
