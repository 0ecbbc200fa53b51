"""Every bundle that the cloud knows: whose it is, where it comes from, and what it has come to be.

    candidate -> challenger -> champion -> retired

A retired one may come back: that is the way back. The file lies under its hash in data_dir/bundles/. Which bundle a
station is asked to run is `desire`'s matter.
"""

from pathlib import Path
from typing import Literal

import msgspec
import sqlalchemy as sa

from cloud_sync import audit_log
from cloud_sync.config import CloudConfig
from cloud_sync.tables import bundle_states, bundles
from edge_agent import durable
from edge_agent.bundle import Bundle, BundleManifest, open_bundle
from edge_agent.errors import ConfigError, StoreError

State = Literal["candidate", "challenger", "champion", "retired"]
NEXT: dict[State, frozenset[State]] = {
    "candidate": frozenset({"challenger", "champion", "retired"}),
    "challenger": frozenset({"champion", "retired"}),
    "champion": frozenset({"retired"}),
    "retired": frozenset({"challenger", "champion"}),
}
"""A candidate becomes champion at once where there is none to run beside: the first one of a site."""
GENERAL = "general"


class Known(msgspec.Struct, frozen=True):
    """One bundle of the registry."""

    sha256: str
    version: int
    name: str
    scope: str
    """`general`, `site/<site>` or `station/<site>/<station>`."""
    state: State
    parent_sha256: str | None
    dataset_sha256: str | None
    run_id: int | None
    added_by: str
    added_at: float


class Step(msgspec.Struct, frozen=True):
    """A bundle's change of state."""

    state: State
    reason: str
    who: str
    at: float


class _Made(msgspec.Struct, frozen=True):
    created_at: str = ""


def keep(config: CloudConfig, file: Path) -> Bundle:
    """Copies a bundle's file to where the cloud keeps it; twice is once. Raises ModelError or StoreError."""
    bundle = open_bundle(file)
    target = path(config, bundle.sha256)
    if not target.is_file():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            durable.write(target, file.read_bytes())
        except OSError as error:
            raise durable.failure(target, error) from error
    if open_bundle(target).sha256 != bundle.sha256:
        raise StoreError(f"bundle {target} is damaged: remove it and add the bundle again")
    return bundle


def path(config: CloudConfig, sha256: str) -> Path:
    """Where the file of a bundle lies."""
    return config.folder / "bundles" / f"{sha256}.bundle"


def add(
    connection: sa.Connection,
    bundle: Bundle,
    *,
    who: str,
    reason: str,
    now: float,
    scope: str = GENERAL,
    run_id: int | None = None,
) -> bool:
    """A bundle whose file is kept becomes a candidate; the caller commits. False where it is known already."""
    audit_log.take_turn(connection)
    if find(connection, bundle.sha256) is not None:
        return False
    manifest = bundle.manifest
    connection.execute(
        sa.insert(bundles).values(
            sha256=bundle.sha256,
            version=manifest.version,
            name=manifest.name,
            scope=scope,
            manifest=msgspec.json.encode(manifest),
            parent_sha256=manifest.lineage.parent_sha256,
            dataset_sha256=manifest.lineage.dataset_sha256,
            run_id=run_id,
            state="candidate",
            added_by=who,
            added_at=now,
        )
    )
    _note(connection, bundle.sha256, Step("candidate", reason, who, now))
    return True


def move(connection: sa.Connection, sha256: str, state: State, *, who: str, reason: str, now: float) -> bool:
    """The bundle comes to be something else; the caller commits. False where it is that already.

    Raises ConfigError for a step that is none, or a bundle that nobody knows.
    """
    audit_log.take_turn(connection)
    known = find(connection, sha256)
    if known is None:
        raise ConfigError(f"there is no bundle {sha256[:12]}: add it with 'bundle publish'")
    if known.state == state:
        return False
    if state not in NEXT[known.state]:
        ways = " or ".join(sorted(NEXT[known.state]))
        raise ConfigError(f"bundle {sha256[:12]} is {known.state} and can only become {ways}, not {state}")
    connection.execute(sa.update(bundles).where(bundles.c.sha256 == sha256).values(state=state))
    _note(connection, sha256, Step(state, reason, who, now))
    return True


def find(connection: sa.Connection, sha256: str) -> Known | None:
    row = connection.execute(_known().where(bundles.c.sha256 == sha256)).first()
    return None if row is None else _of(row)


def manifest_of(connection: sa.Connection, sha256: str) -> BundleManifest | None:
    """What the bundle says of itself: its card, limits, certificates and lineage."""
    data = connection.scalar(sa.select(bundles.c.manifest).where(bundles.c.sha256 == sha256))
    return None if data is None else msgspec.json.decode(bytes(data), type=BundleManifest)


def made_at(connection: sa.Connection) -> dict[str, str]:
    """Hash of every bundle -> when it was made, as its manifest says."""
    rows = connection.execute(sa.select(bundles.c.sha256, bundles.c.manifest))
    return {sha256: msgspec.json.decode(bytes(data), type=_Made).created_at for sha256, data in rows}


def all_bundles(connection: sa.Connection, state: State | None = None) -> list[Known]:
    """The latest first."""
    query = _known().order_by(bundles.c.added_at.desc(), bundles.c.sha256)
    rows = connection.execute(query if state is None else query.where(bundles.c.state == state))
    return [_of(row) for row in rows]


def history(connection: sa.Connection, sha256: str) -> list[Step]:
    """Every change of a bundle's state, the first one first."""
    table = bundle_states
    query = sa.select(table.c.state, table.c.reason, table.c.who, table.c.at).where(table.c.sha256 == sha256)
    return [Step(*row) for row in connection.execute(query.order_by(table.c.id))]


def _known() -> sa.Select:
    return sa.select(*(bundles.c[name] for name in Known.__struct_fields__))


def _of(row: sa.Row) -> Known:
    return Known(*row)


def _note(connection: sa.Connection, sha256: str, step: Step) -> None:
    values = {"sha256": sha256, "state": step.state, "reason": step.reason, "who": step.who, "at": step.at}
    connection.execute(sa.insert(bundle_states).values(values))
    about = f"{sha256[:12]} {step.state}: {step.reason}"
    audit_log.note(connection, who=step.who, did="bundle_moved", about=about, now=step.at)
