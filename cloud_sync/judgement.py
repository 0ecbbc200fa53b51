"""What experts say of cases: every judgement is added, none is changed. With each, one commit settles what is true of
the case (`settling`), closes the look that was wanted and asks for the next one.
"""

import contextlib
import random as randomness
from collections.abc import Mapping
from typing import Annotated

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from cloud_sync import audit_log, looks, settling
from cloud_sync.policy import Policy, split_of
from cloud_sync.routing import Judged, Split
from cloud_sync.settling import Purpose, Said, Truth
from cloud_sync.tables import cases, examples, points, reviews, shown, truths, withdrawals
from cloud_sync.tables import looks as look_table

UNDO_S = 10.0
"""A slip of the finger can be taken back so long, if nothing was revealed since."""
GRACE_S = 2.0
"""For the way of the request."""
SAME_WITHIN_S = 60
"""The same form sent twice so soon, by a double click or a lost answer, is one judgement."""
TRIES = 5
LONGEST_NOTE = 2000
MOST_MARKS = 50


class Mark(msgspec.Struct, frozen=True):
    """Where an expert says that bubbles come from: the tank view's pixels, and the frame in which he says so."""

    x_px: Annotated[float, msgspec.Meta(ge=0, le=20_000)]
    y_px: Annotated[float, msgspec.Meta(ge=0, le=20_000)]
    frame: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
    time_s: Annotated[float, msgspec.Meta(ge=0, le=100_000)]


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """An expert's judgement on a case."""

    judgement: Judged
    seen: str | None = None
    """A kind of the vocabulary, or None where the expert did not say."""
    familiar: bool | None = None
    note: Annotated[str, msgspec.Meta(max_length=LONGEST_NOTE)] = ""
    marks: Annotated[tuple[Mark, ...], msgspec.Meta(max_length=MOST_MARKS)] = ()
    took_s: Annotated[float, msgspec.Meta(ge=0, le=86_400)] | None = None
    """From the first picture to the judgement; shown to the expert alone."""
    own: int | None = None
    """How many of this expert's own judgements his page knew of; None: nobody asks."""


class Kept(msgspec.Struct, frozen=True):
    """A review as the database holds it."""

    id: int
    case_id: str
    revision: int
    reviewer: str
    judgement: Judged
    seen: str | None
    familiar: bool | None
    note: str
    at: float
    purpose: Purpose
    blind: bool
    """Nothing had been revealed to this expert."""
    took_s: float | None
    withdrawn: bool = False
    split: Split | None = None


class Stale(Exception):
    """The expert has said something else since his page was made."""


Kinds = Mapping[str, Mapping[str, str]]
"""By judgement: kind -> its words."""


class Desk(msgspec.Struct, frozen=True):
    """By what rules judgements are taken, and where the lot comes from."""

    policy: Policy
    random: randomness.Random


def incomplete(review: Review, kinds: Kinds) -> str | None:
    """What is still missing or contradictory, for a person; None = complete."""
    if review.judgement != "cannot_tell" and review.familiar is None:
        return "Say whether this is familiar (F) or unfamiliar (U)."
    if review.seen is not None and review.seen not in kinds.get(review.judgement, {}):
        return "What is seen does not fit the judgement: choose again."
    return None


def record(engine: Engine, desk: Desk, case_id: str, review: Review, reviewer: str, now: float) -> Kept | None:
    """Adds the review and all that follows from it, with one commit; a form sent again adds nothing. None: no such
    case. Raises Stale.
    """
    for _ in range(TRIES - 1):
        try:
            return _record(engine, desk, case_id, review, reviewer, now)
        except (sa.exc.IntegrityError, sa.exc.OperationalError):
            continue  # somebody else took this revision number a moment ago, or two waited for each other
    return _record(engine, desk, case_id, review, reviewer, now)


def withdraw(engine: Engine, review_id: int, reviewer: str, now: float) -> bool:
    """Takes the expert's own last judgement back. False: too late, or something was revealed since."""
    with engine.begin() as connection:
        audit_log.take_turn(connection)
        row = connection.execute(sa.select(reviews).where(reviews.c.id == review_id)).first()
        if row is None or row.reviewer != reviewer or not may_withdraw(connection, row, now):
            return False
        mine = [
            kept.id for kept in reviews_of(connection, row.case_id) if kept.reviewer == reviewer and not kept.withdrawn
        ]
        if mine[-1] != review_id:  # he has said something else in another window
            return False
        connection.execute(sa.insert(withdrawals).values(review_id=review_id, at=now))
        looks.reopen(connection, row, now + 60)
        truth = _settle(connection, row.case_id, now)
        if truth is not None and row.purpose != "gold" and (case := _case(connection, row.case_id)) is not None:
            _ask_on(connection, case, truth, now)
        audit_log.note(connection, who=reviewer, did="judgement_withdrawn", about=row.case_id, now=now)
    return True


def may_withdraw(connection: sa.Connection, review: sa.Row | Kept, now: float) -> bool:
    """Within seconds, not taken back yet, and nothing revealed since."""
    gone = connection.scalar(sa.select(withdrawals.c.review_id).where(withdrawals.c.review_id == review.id))
    known = review.blind and is_revealed(connection, review.case_id, review.reviewer, now)
    return gone is None and not known and now - review.at <= UNDO_S + GRACE_S


def reveal(engine: Engine, case_id: str, reviewer: str, now: float) -> None:
    """From now on this expert knows what others said of the case."""
    mine = (look_table.c.case_id == case_id) & (look_table.c.reserved_by == reviewer) & (look_table.c.state == "judged")
    hidden = sa.update(look_table).where(mine, look_table.c.revealed_at.is_(None))
    with engine.begin() as connection:
        audit_log.take_turn(connection)
        if connection.execute(hidden.values(revealed_at=now)).rowcount:
            audit_log.note(connection, who=reviewer, did="revealed", about=case_id, now=now)


def note_shown(engine: Engine, case_id: str, name: str, now: float) -> None:
    """Somebody who may judge has opened the case elsewhere, with everything in it: his word on it is blind no more."""
    with engine.connect() as connection:
        if is_revealed(connection, case_id, name, now):
            return
    with contextlib.suppress(sa.exc.IntegrityError), engine.begin() as connection:  # in two windows at once
        audit_log.take_turn(connection)
        connection.execute(sa.insert(shown).values(case_id=case_id, name=name, at=now))
        audit_log.note(connection, who=name, did="opened", about=case_id, now=now)


def reviews_of(connection: sa.Connection, case_id: str) -> list[Kept]:
    """Every review of a case, the oldest first; those taken back say so."""
    rows = connection.execute(
        sa.select(reviews, examples.c.split, withdrawals.c.review_id.isnot(None).label("withdrawn"))
        .outerjoin(examples, examples.c.review_id == reviews.c.id)
        .outerjoin(withdrawals, withdrawals.c.review_id == reviews.c.id)
        .where(reviews.c.case_id == case_id)
        .order_by(reviews.c.revision)
    )
    return [Kept(**{name: getattr(row, name) for name in Kept.__struct_fields__}) for row in rows]


def truth_of(connection: sa.Connection, case_id: str) -> sa.Row | None:
    """The case's row of `truths`; None while nobody has judged."""
    return connection.execute(sa.select(truths).where(truths.c.case_id == case_id)).first()


def _record(engine: Engine, desk: Desk, case_id: str, review: Review, reviewer: str, now: float) -> Kept | None:
    with engine.begin() as connection:
        audit_log.take_turn(connection)
        if (case := _case(connection, case_id)) is None:
            return None
        if (again := _sent_again(connection, case_id, review, reviewer, now)) is not None:
            return again
        kept = _add(connection, case, case_id, review, reviewer, now)
        kept = msgspec.structs.replace(kept, split=_example(connection, desk.policy, case, kept))
        truth = _settle(connection, case_id, now)
        if truth is not None and kept.purpose != "gold":
            drawn = _is_only_word(connection, kept) and desk.random.random() < desk.policy.second_share
            _ask_on(connection, case, truth, now, drawn=drawn)
        about = f"{case_id} revision {kept.revision}: {kept.judgement}"
        audit_log.note(connection, who=reviewer, did="judged", about=about, now=now)
    return kept


def _case(connection: sa.Connection, case_id: str) -> sa.Row | None:
    columns = (cases.c.case_id, cases.c.verdict, cases.c.decision, cases.c.clip_sha256)
    return connection.execute(sa.select(*columns).where(cases.c.case_id == case_id)).first()


def _sent_again(connection: sa.Connection, case_id: str, review: Review, reviewer: str, now: float) -> Kept | None:
    """What the same form led to a moment ago; asked in turn, so that two at once are one."""
    mine = [kept for kept in reviews_of(connection, case_id) if kept.reviewer == reviewer]
    if review.own is None or review.own == len(mine):
        return None
    same = bool(mine) and review.own == len(mine) - 1 and not mine[-1].withdrawn
    said = ("judgement", "seen", "familiar", "note")
    if (
        same
        and now - mine[-1].at <= SAME_WITHIN_S
        and all(getattr(mine[-1], name) == getattr(review, name) for name in said)
    ):
        return mine[-1]
    raise Stale


def _add(connection: sa.Connection, case: sa.Row, case_id: str, review: Review, reviewer: str, now: float) -> Kept:
    last = connection.scalar(sa.select(sa.func.max(reviews.c.revision)).where(reviews.c.case_id == case_id))
    values = {
        "case_id": case_id,
        "revision": (last or 0) + 1,
        "reviewer": reviewer,
        "judgement": review.judgement,
        "seen": review.seen,
        "familiar": review.familiar,
        "note": review.note,
        "at": now,
        "blind": not is_revealed(connection, case_id, reviewer, now),
        "took_s": review.took_s,
        "purpose": looks.purpose_for(connection, case_id, reviewer, now),
    }
    added = sa.insert(reviews).values(**values, clip_sha256=case.clip_sha256).returning(reviews.c.id)
    review_id = connection.execute(added).scalar_one()
    looks.close(connection, case_id, reviewer, review_id, now)
    if review.marks:
        marks = [msgspec.structs.asdict(mark) | {"review_id": review_id} for mark in review.marks]
        connection.execute(sa.insert(points), marks)
    return msgspec.convert({"id": review_id, **values}, type=Kept)


def is_revealed(connection: sa.Connection, case_id: str, reviewer: str, now: float) -> bool:
    """Whether this expert may know, or knows, what others said: he has opened the case elsewhere, or has judged, and
    the time to take it back is over.
    """
    mine = (look_table.c.case_id == case_id) & (look_table.c.reserved_by == reviewer)
    revealed = sa.select(look_table.c.id).where(mine, look_table.c.revealed_at.isnot(None))
    opened = sa.select(shown.c.at).where(shown.c.case_id == case_id, shown.c.name == reviewer)
    if any(connection.execute(query.limit(1)).first() is not None for query in (revealed, opened)):
        return True
    judged = _standing(case_id).where(reviews.c.reviewer == reviewer, reviews.c.at < now - UNDO_S - GRACE_S)
    return connection.execute(judged.limit(1)).first() is not None


def _example(connection: sa.Connection, policy: Policy, case: sa.Row, kept: Kept) -> Split | None:
    split = split_of(policy.routing, case.verdict, kept.judgement, kept.familiar) if case.clip_sha256 else None
    if split is None or kept.purpose == "gold":
        return None
    values = {"review_id": kept.id, "case_id": kept.case_id, "label": kept.judgement, "split": split}
    connection.execute(sa.insert(examples).values(**values, clip_sha256=case.clip_sha256))
    return split


def _settle(connection: sa.Connection, case_id: str, now: float) -> Truth | None:
    rows = connection.execute(_standing(case_id).order_by(reviews.c.revision))
    truth = settling.settle([Said(row.id, row.reviewer, row.judgement, row.purpose) for row in rows])
    connection.execute(sa.delete(truths).where(truths.c.case_id == case_id))
    if truth is not None:
        began = sa.select(cases.c.started_at).where(cases.c.case_id == case_id).scalar_subquery()
        values = msgspec.structs.asdict(truth) | {"case_id": case_id, "at": now, "started_at": began}
        connection.execute(sa.insert(truths).values(values))
    return truth


def _ask_on(connection: sa.Connection, case: sa.Row, truth: Truth, now: float, *, drawn: bool = False) -> None:
    """A second look by lot or at a surprise, a third at a conflict; never two at once."""
    surprising = truth.judgement is not None and settling.is_surprising(truth.judgement, case.verdict, case.decision)
    purpose = settling.wanted_next(truth, surprising=surprising, drawn=drawn)
    open_already = connection.scalar(
        sa.select(look_table.c.id).where(
            look_table.c.case_id == case.case_id, look_table.c.state != "judged", look_table.c.lane != "gold"
        )
    )
    if purpose is not None and open_already is None:
        looks.want(connection, case.case_id, purpose, now)


def _is_only_word(connection: sa.Connection, kept: Kept) -> bool:
    others = _standing(kept.case_id).where(reviews.c.id != kept.id, reviews.c.purpose != "gold")
    return connection.execute(others.limit(1)).first() is None


def _standing(case_id: str) -> sa.Select:
    """The case's reviews that were not taken back."""
    return (
        sa.select(reviews)
        .outerjoin(withdrawals, withdrawals.c.review_id == reviews.c.id)
        .where(reviews.c.case_id == case_id, withdrawals.c.review_id.is_(None))
    )
