"""The catalogue of training runs: what was asked for, how far each is, and what came of it.

    queued -> checking -> training -> evaluating -> done
    (any of them -> failed, which may be taken up again; queued -> skipped where another run has done the same)

Who carries a run out is `retraining`'s matter, and when one is due `retrain_triggers`'.
"""

from typing import Literal

import msgspec
import sqlalchemy as sa

from cloud_sync import audit_log
from cloud_sync.tables import evaluated, runs
from edge_agent.errors import ConfigError

RunState = Literal["queued", "checking", "training", "evaluating", "done", "failed", "skipped"]
OPEN: tuple[RunState, ...] = ("queued", "checking", "training", "evaluating")
"""A run in one of these is gone on with, whoever began it."""
LONGEST_PROGRESS = 300


class Order(msgspec.Struct, frozen=True):
    """What somebody, or a trigger, asks for."""

    scope: str
    started_by: str
    why: str
    seed: int
    dataset: str | None = None
    """None: a new version of the configured one."""
    version: int | None = None
    recipes: tuple[str, ...] = ()
    """Names; empty: all of them compete."""
    settings: bytes = b"{}"
    """JSON of the configuration that it runs under."""


class Run(msgspec.Struct, frozen=True):
    """One run, as the catalogue has it."""

    id: int
    state: RunState
    scope: str
    want: str
    dataset: str | None
    dataset_version: int | None
    dataset_sha256: str | None
    parent_sha256: str | None
    recipes: str
    code: str | None
    seed: int
    settings: bytes
    started_by: str
    why: str
    metrics: bytes | None
    bundle_sha256: str | None
    queued_at: float
    started_at: float | None
    ended_at: float | None
    progress: str
    share: float
    fault: str | None

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def recipe_names(self) -> list[str]:
        return [name for name in self.recipes.split(",") if name]


def queue(connection: sa.Connection, order: Order, now: float) -> int:
    """A run that waits for a process; the caller commits. The number of an equal one that is open already."""
    audit_log.take_turn(connection)
    for known in open_runs(connection):
        if known.scope == order.scope and order.dataset in (None, known.dataset):
            return known.id
    values = {
        "state": "queued",
        "scope": order.scope,
        "want": "",
        "dataset": order.dataset,
        "dataset_version": order.version,
        "recipes": ",".join(order.recipes),
        "seed": order.seed,
        "settings": order.settings,
        "started_by": order.started_by,
        "why": order.why,
        "queued_at": now,
        "progress": "waits for a process",
        "share": 0.0,
    }
    number = connection.execute(sa.insert(runs).values(values).returning(runs.c.id)).scalar_one()
    audit_log.note(
        connection, who=order.started_by, did="run_queued", about=f"{number} {order.scope}: {order.why}", now=now
    )
    return number


def take_up(connection: sa.Connection, run_id: int, *, who: str, now: float) -> None:
    """A failed run waits again, with all that it has made; the caller commits. Raises ConfigError."""
    run = find(connection, run_id)
    if run is not None and run.is_open:
        return
    if run is None or run.state != "failed":
        state = "there is none" if run is None else f"it is {run.state}"
        raise ConfigError(f"run {run_id} cannot be taken up, {state}: only one that failed can")
    change(connection, run_id, state="queued", fault=None, progress="waits for a process")
    audit_log.note(connection, who=who, did="run_queued", about=f"{run_id} {run.scope}: taken up again", now=now)


def change(connection: sa.Connection, run_id: int, **values: object) -> None:
    """Some columns of a run; the caller commits."""
    connection.execute(sa.update(runs).where(runs.c.id == run_id).values(values))


def tell(connection: sa.Connection, run_id: int, state: RunState, progress: str, share: float) -> None:
    """How far it is, for people; the caller commits."""
    change(connection, run_id, state=state, progress=progress[:LONGEST_PROGRESS], share=min(max(share, 0.0), 1.0))


def find(connection: sa.Connection, run_id: int) -> Run | None:
    row = connection.execute(_runs().where(runs.c.id == run_id)).first()
    return None if row is None else Run(*row)


def every(connection: sa.Connection, most: int = 100) -> list[Run]:
    """The latest first."""
    return [Run(*row) for row in connection.execute(_runs().order_by(runs.c.id.desc()).limit(most))]


def open_runs(connection: sa.Connection) -> list[Run]:
    """Queued or broken off, the oldest first."""
    return [Run(*row) for row in connection.execute(_runs().where(runs.c.state.in_(OPEN)).order_by(runs.c.id))]


def of_bundle(connection: sa.Connection, sha256: str) -> list[Run]:
    """The runs that made a bundle, the latest first: the same bytes may be made twice."""
    query = _runs().where(runs.c.bundle_sha256 == sha256).order_by(runs.c.id.desc())
    return [Run(*row) for row in connection.execute(query)]


def same(connection: sa.Connection, want: str, but: int) -> Run | None:
    """Another run of the same scope, manifest, code and recipes, that has not failed."""
    fits = runs.c.state.not_in(("skipped", "failed"))
    query = _runs().where(runs.c.want == want, runs.c.id != but, fits).order_by(runs.c.id)
    row = connection.execute(query).first()
    return None if row is None else Run(*row)


def done_by_bundle(connection: sa.Connection) -> dict[str, Run]:
    """Hash of every bundle that a finished run made -> the latest such run."""
    query = _runs().where(runs.c.state == "done", runs.c.bundle_sha256.isnot(None)).order_by(runs.c.id)
    found = (Run(*row) for row in connection.execute(query))
    return {str(run.bundle_sha256): run for run in found}


def latest(connection: sa.Connection, scope: str) -> Run | None:
    """Of a scope, that was not skipped."""
    query = _runs().where(runs.c.scope == scope, runs.c.state != "skipped").order_by(runs.c.id.desc())
    row = connection.execute(query.limit(1)).first()
    return None if row is None else Run(*row)


def queued_since(connection: sa.Connection, moment: float) -> int:
    """How many were asked for since then, skipped ones apart."""
    query = sa.select(sa.func.count()).where(runs.c.queued_at >= moment, runs.c.state != "skipped")
    return connection.scalar(query) or 0


def keep_evaluated(connection: sa.Connection, run_id: int, rows: list[dict[str, object]]) -> None:
    """What bundles said in this run, in place of what an earlier try of it had kept; the caller commits."""
    connection.execute(sa.delete(evaluated).where(evaluated.c.run_id == run_id))
    if rows:
        connection.execute(sa.insert(evaluated), [{"run_id": run_id, **row} for row in rows])


def _runs() -> sa.Select:
    return sa.select(*(runs.c[name] for name in Run.__struct_fields__))
