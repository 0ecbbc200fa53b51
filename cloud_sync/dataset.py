"""Reviewed clips -> a dataset: a folder of clips and a hashed manifest that says of each where it comes from.

Which set a case goes to is `routing`'s matter; a case goes whole, never by frames. The same reviews give the same
bytes, so a dataset that would not differ from its last version is that version.
"""

import argparse
import re
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from cloud_sync import config as cloud_config
from cloud_sync import db
from cloud_sync.routing import Label, Split, settled
from cloud_sync.store import ClipStore, open_store
from cloud_sync.tables import cases, clips, datasets, examples, members, reviews, truths
from edge_agent import durable
from edge_agent.clips import SUFFIX
from edge_agent.errors import ConfigError, StoreError
from edge_agent.messages import IDENTIFIER
from edge_agent.wire import sha256_of

MANIFEST = "manifest.jsonl"
LONGEST_NAME = 64
SPLITS: tuple[Split, ...] = ("train", "test", "pool")


class Lineage(msgspec.Struct, frozen=True):
    """Where an example comes from: who judged what when, and what the machine was when it spoke."""

    clip_sha256: str
    bundle_sha256: str
    bundle_version: int
    profile_sha256: str | None
    verdict: str
    score: float | None
    sampled_for: str
    sampled_probability: float
    judged_by: str
    judged_at: str
    """UTC, ISO 8601."""
    revision: int
    seen: str | None
    familiar: bool | None
    note: str


class Example(msgspec.Struct, frozen=True):
    """A reviewed clip with its label; one line of the manifest, in the contract's words."""

    video: str
    label: Label
    decision: str
    split: Split
    case_id: str
    site: str
    station_id: str
    """`station` is the contract's word for a profile file, which a clip does not need."""
    lineage: Lineage


class Dataset(msgspec.Struct, frozen=True):
    """One version of a dataset."""

    name: str
    version: int
    sha256: str
    """Of the manifest's bytes."""
    created_at: float
    counts: dict[str, int]


def dataset(argv: list[str]) -> int:
    """`tankwatch cloud dataset --config cloud.toml --name NAME --out DIR`"""
    parser = argparse.ArgumentParser(prog="tankwatch cloud dataset", description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="cloud.toml")
    parser.add_argument("--name", required=True, help="what the dataset is called")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for clips and manifest")
    parser.add_argument("--json", action="store_true", help="print the dataset as one JSON object")
    options = parser.parse_args(argv)
    config = cloud_config.load(options.config)
    engine, store = db.open_database(config), open_store(config)
    released = release(engine, options.name, db.now())
    write(engine, store, released, options.out)
    counts = ", ".join(f"{released.counts.get(split, 0)} {split}" for split in SPLITS)
    print(f"dataset {released.name} version {released.version}: {counts} in {options.out}", file=sys.stderr)
    if options.json:
        print(msgspec.json.encode(msgspec.to_builtins(released) | {"manifest": str(options.out / MANIFEST)}).decode())
    return 0


def current(connection: sa.Connection) -> list[tuple[int, Example]]:
    """Every example that counts now, with its key, by case id: what counts of each case with a clip."""
    query = (
        sa.select(examples.c.id.label("example_id"), examples.c.label, examples.c.split, reviews, cases)
        .join(reviews, reviews.c.id == examples.c.review_id)
        .join(truths, (truths.c.review_id == reviews.c.id) & truths.c.judgement.isnot(None))
        .join(cases, cases.c.case_id == examples.c.case_id)
        .join(clips, (clips.c.sha256 == examples.c.clip_sha256) & (clips.c.state == "stored"))
    )
    found = [(row.example_id, _example(row)) for row in connection.execute(query)]
    # Not by the database, whose order depends on its language: the same reviews give the same bytes everywhere.
    return sorted(found, key=lambda pair: pair[1].case_id)


def release(engine: Engine, name: str, now: float) -> Dataset:
    """The next version of `name`, or the last one where nothing has changed. Raises ConfigError or StoreError."""
    if not re.fullmatch(IDENTIFIER, name) or len(name) > LONGEST_NAME:
        raise ConfigError(f"{name[:60]!r} cannot name a dataset: use letters, digits, dots, dashes and underscores")
    with engine.begin() as connection:
        before = _released_splits(connection)
        chosen = [
            (key, msgspec.structs.replace(example, split=settled(example.split, before.get(example.case_id))))
            for key, example in current(connection)
        ]
        if not chosen:
            raise StoreError("there is no judged case with a clip yet: review some cases first")
        manifest = b"".join(canonical(example) + b"\n" for _, example in chosen)
        last = _last(connection, name)
        if last is not None and last.sha256 == sha256_of(manifest):
            return last
        return _keep(connection, name, manifest, chosen, version=last.version + 1 if last else 1, now=now)


def write(engine: Engine, store: ClipStore, released: Dataset, folder: Path) -> None:
    """Manifest and clips of a dataset in `folder`; may run again, after an interruption too. Raises StoreError."""
    manifest = manifest_of(engine, released.name, released.version)
    if manifest is None:
        raise StoreError(f"dataset {released.name} has no version {released.version}: release it first")
    try:
        (folder / "clips").mkdir(parents=True, exist_ok=True)
        for line in manifest.splitlines():
            example = msgspec.json.decode(line, type=Example)
            _copy(store, example.lineage.clip_sha256, folder / example.video)
    except OSError as error:
        raise durable.failure(folder, error) from error
    durable.write(folder / MANIFEST, manifest)
    durable.write(folder / "dataset.json", msgspec.json.encode(released))


def manifest_of(engine: Engine, name: str, version: int) -> bytes | None:
    """The manifest's bytes; None where there is no such dataset."""
    query = sa.select(datasets.c.manifest).where(datasets.c.name == name, datasets.c.version == version)
    with engine.connect() as connection:
        return connection.scalar(query)


def all_datasets(connection: sa.Connection) -> list[Dataset]:
    """Every version of every dataset, the latest first."""
    rows = connection.execute(sa.select(datasets).order_by(datasets.c.created_at.desc(), datasets.c.id.desc()))
    return [_dataset(row) for row in rows]


def canonical(example: Example) -> bytes:
    """The same bytes for the same example, for ever: keys sorted, no spaces, UTF-8."""
    return msgspec.json.encode(example, order="deterministic")


def _example(row: sa.Row) -> Example:
    values = row._mapping
    lineage = Lineage(
        clip_sha256=row.clip_sha256,
        bundle_sha256=row.bundle_sha256,
        bundle_version=row.bundle_version,
        profile_sha256=row.profile_sha256,
        verdict=row.verdict,
        score=row.score,
        sampled_for=row.sampled_for,
        sampled_probability=row.sampled_probability,
        judged_by=row.reviewer,
        judged_at=datetime.fromtimestamp(row.at, UTC).isoformat(timespec="milliseconds"),
        revision=row.revision,
        seen=row.seen,
        familiar=row.familiar,
        note=row.note,
    )
    return Example(
        video=f"clips/{row.clip_sha256}{SUFFIX}",
        label=values["label"],
        decision=row.decision,
        split=values["split"],
        case_id=row.case_id,
        site=row.site,
        station_id=row.station,
        lineage=lineage,
    )


def _released_splits(connection: sa.Connection) -> dict[str, Split]:
    """In which set each case was when it was last released, in any dataset."""
    query = (
        sa.select(examples.c.case_id, members.c.split)
        .join(examples, examples.c.id == members.c.example_id)
        .join(datasets, datasets.c.id == members.c.dataset_id)
        .order_by(datasets.c.created_at, datasets.c.id)
    )
    return {row.case_id: row.split for row in connection.execute(query)}


def _last(connection: sa.Connection, name: str) -> Dataset | None:
    row = connection.execute(
        sa.select(datasets).where(datasets.c.name == name).order_by(datasets.c.version.desc()).limit(1)
    ).first()
    return None if row is None else _dataset(row)


def _keep(
    connection: sa.Connection,
    name: str,
    manifest: bytes,
    chosen: list[tuple[int, Example]],
    *,
    version: int,
    now: float,
) -> Dataset:
    values = {"name": name, "version": version, "sha256": sha256_of(manifest), "manifest": manifest, "created_at": now}
    key = connection.scalar(sa.insert(datasets).values(values).returning(datasets.c.id))
    rows = [{"dataset_id": key, "example_id": example_id, "split": example.split} for example_id, example in chosen]
    connection.execute(sa.insert(members), rows)
    return Dataset(name, version, sha256_of(manifest), now, _plain(Counter(example.split for _, example in chosen)))


def _dataset(row: sa.Row) -> Dataset:
    lines = row.manifest.splitlines()
    counts = Counter(msgspec.json.decode(line, type=Example).split for line in lines)
    return Dataset(row.name, row.version, row.sha256, row.created_at, _plain(counts))


def _plain(counts: Counter[Split]) -> dict[str, int]:
    return {str(split): count for split, count in counts.items()}


def _copy(store: ClipStore, sha256: str, target: Path) -> None:
    if target.is_file() and sha256_of(target.read_bytes()) == sha256:
        return
    source = store.clip(sha256)
    data = source.read_bytes()
    if sha256_of(data) != sha256:
        raise StoreError(f"clip {source} is damaged: restore it")
    durable.write(target, data)
