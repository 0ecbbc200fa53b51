"""The queue: which look an expert gets next, and the list of those that wait.

A look is drawn from one of three lanes by lot, in shares that the policy fixes: what is worth most (within a day;
older days first), audits, and gold. So neither its turn nor its place in the list, which goes by arrival, tells what a
case is. Whoever gets a look has it reserved for a while.
"""

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from cloud_sync import looks as looks_module
from cloud_sync import triage
from cloud_sync.judgement import Desk
from cloud_sync.looks import DAY_S
from cloud_sync.policy import Policy
from cloud_sync.tables import cases, clips, gold, looks, reviews, shown, withdrawals
from cloud_sync.triage import ClipWord, Lane

PAGE = 50
TRIES = 8
LATE_SHARE = 0.5
"""Of the looks go to audits where the oldest of them has waited most of its days."""
SLACK_DAYS = 3
OPEN = looks.c.state != sa.literal_column("'judged'")
"""Written as the index of open looks has it, so that the list does not read all that were judged before."""


class Waiting(msgspec.Struct, frozen=True):
    """One look in the list. Nothing here tells what machine or inspector said, or why it is wanted."""

    look_id: int
    case_id: str
    site: str
    station: str
    started_at: float
    seconds: float
    clip: ClipWord
    arrived: float | None
    """Share of the clip that has arrived, while it is coming."""
    taken: bool
    """Another expert is at it."""


def draw(
    engine: Engine, desk: Desk, expert: str, now: float, *, after: str | None = None, with_gold: bool = True
) -> str | None:
    """The case that this expert looks at next, reserved for him: the one that he has open already, other than `after`;
    otherwise one by lot. None: there is nothing to watch for him. `with_gold`: he has not read what is gold.
    """
    until = now + 60 * desk.policy.reservation_min
    for _ in range(TRIES):
        with engine.begin() as connection:
            mine = _reserved(connection, expert, now, after)
            if mine is not None:
                return mine
            lanes = _lanes(connection, desk, now)
            for lane in lanes if with_gold else [lane for lane in lanes if lane != "gold"]:
                free = _open(expert, now, after)
                look = _gold(connection, desk, expert, now, after) if lane == "gold" else _first(connection, lane, free)
                if look is not None and look.case_id != after:
                    if _reserve(connection, look.id, expert, now, until):
                        return look.case_id
                    break  # somebody else was quicker: look again
            else:
                return None
    return None


def take(engine: Engine, desk: Desk, case_id: str, expert: str, now: float) -> None:
    """Reserves an open look at a case that the expert opened himself; harmless where there is none.

    Nothing is written while most of his time is left: a page that is only read should not wait for other writers.
    """
    here = (looks.c.case_id == case_id) & (looks.c.state != "judged")
    free = here & _open(expert, now, None) & (looks.c.lane != "gold")
    half_s = 30 * desk.policy.reservation_min
    for_long = here & (looks.c.reserved_by == expert) & (looks.c.reserved_until > now + half_s)
    with engine.begin() as connection:
        if connection.scalar(sa.select(looks.c.id).where(for_long).limit(1)) is not None:
            return
        look_id = connection.scalar(sa.select(looks.c.id).where(free).order_by(looks.c.id).limit(1))
        if look_id is not None:
            _reserve(connection, look_id, expert, now, now + 60 * desk.policy.reservation_min)


def waiting(
    connection: sa.Connection, expert: str, now: float, overdue_h: int, *, after: int = 0, limit: int = PAGE
) -> list[Waiting]:
    """Looks that this expert could take, from the number after `after` on, by arrival; one more than `limit` if so.

    His own gold among them: the case in front of him would be known for gold by being none of them.
    """
    query = (
        sa.select(looks, cases, clips.c.state.label("clip_state"), clips.c.next_part, clips.c.parts)
        .join(cases, cases.c.case_id == looks.c.case_id)
        .outerjoin(clips, clips.c.sha256 == cases.c.clip_sha256)
        .where(looks.c.id > after, OPEN, (looks.c.lane != "gold") | (looks.c.reserved_by == expert))
        .where(~_judged_by(expert))
        .order_by(looks.c.id)
        .limit(limit + 1)
    )
    return [_waiting(row, expert, now, overdue_h) for row in connection.execute(query)]


def counts(connection: sa.Connection, expert: str) -> dict[str, int]:
    """Looks by state, as this expert is told: never fewer to watch than he has open, for none left would mean gold."""
    held = looks_module.counts(connection)
    mine = (looks.c.reserved_by == expert) & (looks.c.state == "waiting") & ~_judged_by(expert)
    own = connection.scalar(sa.select(sa.func.count()).select_from(looks).where(mine)) or 0
    return held | {"waiting": max(held["waiting"], own)}


def _waiting(row: sa.Row, expert: str, now: float, overdue_h: int) -> Waiting:
    stored = row.clip_state == "stored"
    return Waiting(
        look_id=row.id,
        case_id=row.case_id,
        site=row.site,
        station=row.station,
        started_at=row.started_at,
        seconds=max(0.0, row.ended_at - row.started_at),
        clip=triage.clip_word(row.clip_sha256, row.clip_state, now - row.received_at, overdue_h),
        arrived=row.next_part / row.parts if row.parts and not stored else None,
        taken=row.reserved_by not in (None, expert) and (row.reserved_until or 0) > now,
    )


def _lanes(connection: sa.Connection, desk: Desk, now: float) -> list[Lane]:
    """The lane that the lot names first; the others in case that it is empty."""
    audit_share = _audit_share(connection, desk.policy, now)
    lot = desk.random.random()
    rest: list[Lane] = ["value", "audit", "gold"]
    first: Lane = "value"
    if lot < desk.policy.gold_share:
        first = "gold"
    elif lot < desk.policy.gold_share + audit_share:
        first = "audit"
    rest.remove(first)
    # Gold measures experts; it is no work for an empty queue.
    return [first, *(lane for lane in rest if lane != "gold")]


def _audit_share(connection: sa.Connection, policy: Policy, now: float) -> float:
    oldest = connection.scalar(
        sa.select(looks.c.day).where(looks.c.state == "waiting", looks.c.lane == "audit").order_by(looks.c.day).limit(1)
    )
    late = oldest is not None and now // DAY_S - oldest >= policy.audit_days - SLACK_DAYS
    return max(policy.audit_share, LATE_SHARE) if late else policy.audit_share


def _reserved(connection: sa.Connection, expert: str, now: float, after: str | None) -> str | None:
    mine = (
        (looks.c.reserved_by == expert)
        & (looks.c.state == "waiting")
        & (looks.c.reserved_until > now)
        & (looks.c.case_id != (after or ""))
        & ~_judged_by(expert)
    )
    query = sa.select(looks.c.case_id).where(mine).order_by(looks.c.reserved_until, looks.c.id)
    return connection.scalar(query.limit(1))


def _open(expert: str, now: float, after: str | None) -> sa.ColumnElement[bool]:
    """What this expert could be given; a second or third look only where it would be as blind as the first."""
    fitting = (looks.c.purpose == "first") | ~_shown_to(expert)
    return _free(expert, now) & ~_judged_by(expert) & fitting & (looks.c.case_id != (after or ""))


def _first(connection: sa.Connection, lane: Lane, free: sa.ColumnElement[bool]) -> sa.Row | None:
    query = (
        sa.select(looks.c.id, looks.c.case_id)
        .where(looks.c.state == "waiting", looks.c.lane == lane, free)
        .order_by(looks.c.day, looks.c.rank, looks.c.id)
        .limit(1)
    )
    return connection.execute(query.with_for_update(skip_locked=True, of=looks)).first()


def _gold(connection: sa.Connection, desk: Desk, expert: str, now: float, after: str | None) -> sa.Row | None:
    """A look of this expert's own at a case of known truth that he has not judged, and that waits for nobody's word.

    None that he made gold himself or has seen with its verdict: it would measure nobody.
    """
    begun = (looks.c.lane == "gold") & (looks.c.reserved_by == expert) & (looks.c.state == "waiting")
    own = sa.select(looks.c.id, looks.c.case_id).where(begun, ~_judged_by(expert)).order_by(looks.c.id)
    if (look := connection.execute(own.limit(1)).first()) is not None:
        return look
    wanted = sa.exists().where(looks.c.case_id == gold.c.case_id, looks.c.state != "judged", looks.c.lane != "gold")
    known = (
        sa.select(gold.c.case_id, cases.c.sampled_for, cases.c.score, cases.c.clip_sha256)
        .join(cases, cases.c.case_id == gold.c.case_id)
        .join(clips, (clips.c.sha256 == cases.c.clip_sha256) & (clips.c.state == "stored"))
        .where(gold.c.retired_at.is_(None), gold.c.case_id != (after or ""), ~wanted)
        .where(~_judged_by(expert, gold.c.case_id), gold.c.set_by != expert)
        .where(~_shown_to(expert, gold.c.case_id))
        .order_by(gold.c.case_id)
    )
    choices = connection.execute(known).mappings().all()
    if not choices:
        return None
    return looks_module.want_gold(connection, choices[desk.random.randrange(len(choices))], now)


def _free(expert: str, now: float) -> sa.ColumnElement[bool]:
    return looks.c.reserved_by.is_(None) | (looks.c.reserved_until < now) | (looks.c.reserved_by == expert)


def _reserve(connection: sa.Connection, look_id: int, expert: str, now: float, until: float) -> bool:
    mine = sa.update(looks).where(looks.c.id == look_id, looks.c.state != "judged", _free(expert, now))
    return connection.execute(mine.values(reserved_by=expert, reserved_until=until)).rowcount == 1


def _judged_by(expert: str, case_id: sa.ColumnElement[str] = looks.c.case_id) -> sa.ColumnElement[bool]:
    taken_back = sa.exists().where(withdrawals.c.review_id == reviews.c.id)
    return sa.exists().where(reviews.c.case_id == case_id, reviews.c.reviewer == expert, ~taken_back)


def _shown_to(expert: str, case_id: sa.ColumnElement[str] = looks.c.case_id) -> sa.ColumnElement[bool]:
    return sa.exists().where(shown.c.case_id == case_id, shown.c.name == expert)
