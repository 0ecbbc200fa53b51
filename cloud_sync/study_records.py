"""Attribute studies in the database: a plan with its parts and orders, blind trials one after the other, and results.

A trial is judged once; what was said is never changed. Results come out when every trial of the study is done.
"""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from cloud_sync import audit_log, roles, study
from cloud_sync.accounts import Account
from cloud_sync.study import MACHINE, Appraisal, Candidate, Pair, Plan, Trial, Word
from cloud_sync.tables import cases, clips, gold, studies, study_parts, study_trials, truths, users
from cloud_sync.tallies import SETTLED
from edge_agent.errors import ConfigError

DOUBTFUL = 0.1, 0.9
"""Scores between these make a borderline part, as do an unsure machine and experts who once disagreed."""
MOST_CANDIDATES = 2000
_MACHINE_WORDS: dict[str, Word] = {"leak": "leak", "ok": "ok"}


class Progress(msgspec.Struct, frozen=True):
    """How far an appraiser is."""

    appraiser: str
    done: int
    of: int


class Held(msgspec.Struct, frozen=True):
    """A study as the database holds it."""

    id: int
    plan: Plan
    made_by: str
    made_at: float
    closed_at: float | None
    progress: tuple[Progress, ...]

    @property
    def finished(self) -> tuple[str, ...]:
        """Appraisers without a trial left."""
        return tuple(one.appraiser for one in self.progress if one.done == one.of)

    @property
    def complete(self) -> bool:
        return self.closed_at is not None or len(self.finished) == len(self.progress)


class Ask(msgspec.Struct, frozen=True):
    """The next look of an appraiser; nothing here tells which part it is."""

    trial_id: int
    case_id: str
    number: int
    of: int


class Results(msgspec.Struct, frozen=True):
    """What a finished study shows."""

    appraisals: list[Appraisal]
    pairs: list[Pair]
    parts: int
    leaking: int
    borderline: int


def make(engine: Engine, plan: Plan, who: str, now: float) -> int:
    """The study's number. Raises ConfigError where an appraiser is unknown or clips are too few."""
    with engine.begin() as connection:
        audit_log.take_turn(connection)
        known = {row.name for row in connection.execute(sa.select(users)) if _may_appraise(row)}
        if strangers := [name for name in plan.appraisers if name not in known]:
            raise ConfigError(f"no expert is called {strangers[0][:40]!r}: choose appraisers from the list")
        parts, fault = study.chosen(candidates(connection), plan)
        if fault:
            raise ConfigError(fault)
        row = {"name": plan.name, "plan": msgspec.json.encode(plan), "made_by": who, "made_at": now}
        number = connection.scalar(sa.insert(studies).values(row).returning(studies.c.id))
        assert number is not None
        connection.execute(
            sa.insert(study_parts), [{"study_id": number, **msgspec.to_builtins(part)} for part in parts]
        )
        connection.execute(sa.insert(study_trials), _trials(number, plan, len(parts)))
        audit_log.note(connection, who=who, did="study_made", about=f"{number} {plan.name}", now=now)
    return number


def possible_appraisers(known: Sequence[Account]) -> list[str]:
    """Names of those who may judge cases and sign in."""
    return [one.name for one in known if _may_appraise(one)]


def candidates(connection: sa.Connection) -> list[Candidate]:
    """Stored clips with a truth that more than one expert stands for, or that was known; the newest."""
    truth = sa.func.coalesce(gold.c.truth, truths.c.judgement).label("truth")
    query = (
        sa.select(cases.c.case_id, cases.c.verdict, cases.c.score, truths.c.state, truth)
        .join(clips, sa.and_(clips.c.sha256 == cases.c.clip_sha256, clips.c.state == "stored"))
        .outerjoin(truths, truths.c.case_id == cases.c.case_id)
        .outerjoin(gold, sa.and_(gold.c.case_id == cases.c.case_id, gold.c.retired_at.is_(None)))
        .where(sa.or_(truths.c.state.in_(SETTLED), gold.c.truth.isnot(None)), truth.in_(("leak", "ok")))
        .order_by(cases.c.started_at.desc(), cases.c.case_id)
        .limit(MOST_CANDIDATES)
    )
    return [Candidate(row.case_id, row.truth, _is_borderline(row), row.verdict) for row in connection.execute(query)]


def all_studies(connection: sa.Connection) -> list[Held]:
    """The newest first."""
    rows = connection.execute(sa.select(studies).order_by(studies.c.id.desc())).all()
    return [_held(row, progress(connection, row.id)) for row in rows]


def find(connection: sa.Connection, number: int) -> Held | None:
    row = connection.execute(sa.select(studies).where(studies.c.id == number)).first()
    return None if row is None else _held(row, progress(connection, number))


def progress(connection: sa.Connection, number: int) -> tuple[Progress, ...]:
    query = (
        sa.select(
            study_trials.c.appraiser,
            sa.func.count(study_trials.c.judged_at).label("done"),
            sa.func.count().label("of"),
        )
        .where(study_trials.c.study_id == number)
        .group_by(study_trials.c.appraiser)
        .order_by(study_trials.c.appraiser)
    )
    return tuple(Progress(row.appraiser, row.done, row.of) for row in connection.execute(query))


def next_look(connection: sa.Connection, number: int, appraiser: str) -> Ask | None:
    """None where this appraiser has no trial left, or none at all."""
    mine = (study_trials.c.study_id == number) & (study_trials.c.appraiser == appraiser)
    part = (study_parts.c.study_id == study_trials.c.study_id) & (study_parts.c.part == study_trials.c.part)
    query = sa.select(study_trials.c.id, study_trials.c.place, study_parts.c.case_id).join(study_parts, part)
    query = query.join(studies, studies.c.id == study_trials.c.study_id).where(studies.c.closed_at.is_(None))
    row = connection.execute(
        query.where(mine, study_trials.c.judged_at.is_(None)).order_by(study_trials.c.place).limit(1)
    ).first()
    if row is None:
        return None
    of = connection.scalar(sa.select(sa.func.count()).where(mine)) or 0
    return Ask(row.id, row.case_id, row.place, of)


def judge(engine: Engine, trial_id: int, appraiser: str, word: Word, now: float) -> bool:
    """False where the trial is another's or was judged before: what was said first stays."""
    with engine.begin() as connection:
        audit_log.take_turn(connection)
        mine = (study_trials.c.id == trial_id) & (study_trials.c.appraiser == appraiser)
        changed = connection.execute(
            sa.update(study_trials)
            .where(mine, study_trials.c.judged_at.is_(None), study_trials.c.study_id.in_(_open_studies()))
            .values(judgement=word, judged_at=now)
        ).rowcount
        if changed:
            audit_log.note(connection, who=appraiser, did="study_trial", about=f"trial {trial_id}", now=now)
    return bool(changed)


def close(engine: Engine, number: int, who: str, now: float) -> bool:
    """No more trials. False where there is no such study, it is closed, or nobody has finished."""
    with engine.begin() as connection:
        audit_log.take_turn(connection)
        held = find(connection, number)
        if held is None or held.closed_at is not None or not held.finished:
            return False
        connection.execute(sa.update(studies).where(studies.c.id == number).values(closed_at=now))
        audit_log.note(connection, who=who, did="study_closed", about=f"{number} {held.plan.name}", now=now)
    return True


def results(connection: sa.Connection, held: Held) -> Results | None:
    """None until every trial is done: nobody sees a result that could still sway a trial."""
    if not held.complete:
        return None
    trials = [trial for trial in _said(connection, held.id) if trial.appraiser in (*held.finished, MACHINE)]
    parts = connection.execute(sa.select(study_parts).where(study_parts.c.study_id == held.id)).all()
    names = [*held.finished, MACHINE]
    pairs = [study.pair(trials, one, two) for at, one in enumerate(names) for two in names[at + 1 :]]
    return Results(
        [study.appraisal(trials, name) for name in names],
        pairs,
        len(parts),
        sum(part.truth == "leak" for part in parts),
        sum(part.borderline for part in parts),
    )


def _may_appraise(user: Account | sa.Row) -> bool:
    return user.disabled_at is None and roles.may(user.role, "expert")


def _open_studies() -> sa.Select:
    return sa.select(studies.c.id).where(studies.c.closed_at.is_(None))


def _said(connection: sa.Connection, number: int) -> list[Trial]:
    """Every trial, and the machine's verdict as one more appraiser who looked once."""
    part = (study_parts.c.study_id == study_trials.c.study_id) & (study_parts.c.part == study_trials.c.part)
    columns = (study_trials.c.appraiser, study_trials.c.part, study_trials.c.trial)
    query = sa.select(*columns, study_parts.c.truth, study_trials.c.judgement).join(study_parts, part)
    judged = (study_trials.c.study_id == number) & study_trials.c.judgement.isnot(None)
    trials = [Trial(*row) for row in connection.execute(query.where(judged))]
    machine = sa.select(study_parts.c.part, study_parts.c.truth, cases.c.verdict).join(
        cases, cases.c.case_id == study_parts.c.case_id
    )
    return trials + [
        Trial(MACHINE, row.part, 1, row.truth, _MACHINE_WORDS.get(row.verdict, "cannot_tell"))
        for row in connection.execute(machine.where(study_parts.c.study_id == number))
    ]


def _trials(number: int, plan: Plan, parts: int) -> Sequence[dict[str, object]]:
    return [
        {"study_id": number, "appraiser": name, "trial": trial, "part": part, "place": place}
        for name in plan.appraisers
        for place, (trial, part) in enumerate(study.order(plan, name, parts), 1)
    ]


def _held(row: sa.Row, done: tuple[Progress, ...]) -> Held:
    return Held(row.id, msgspec.json.decode(row.plan, type=Plan), row.made_by, row.made_at, row.closed_at, done)


def _is_borderline(row: sa.Row) -> bool:
    low, high = DOUBTFUL
    return (
        row.verdict == "uncertain" or row.state == "adjudicated" or (row.score is not None and low < row.score < high)
    )
