"""Judged clips -> a dataset: a folder of clips and a hashed manifest that says of each where it comes from.

What counts as true is `standing`'s matter, who goes where `draw`'s and the policy's; a case goes whole, never by
frames. The same judgements under the same policy give the same bytes, and a dataset that would not differ from its last
version is that version.
"""

import argparse
import re
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from cloud_sync import audit_log, db, draw, policy_file, set_statistics
from cloud_sync import config as cloud_config
from cloud_sync import manifest as manifests
from cloud_sync import standing as examples_now
from cloud_sync.manifest import Example
from cloud_sync.policy import Policy
from cloud_sync.routing import Split
from cloud_sync.set_statistics import Statistics
from cloud_sync.standing import Standing
from cloud_sync.store import ClipStore, open_store
from cloud_sync.tables import datasets, members
from edge_agent import durable
from edge_agent.errors import ConfigError, StoreError
from edge_agent.messages import IDENTIFIER
from edge_agent.wire import sha256_of
from models.augmentation import TRAINED, UNTRAINED

MANIFEST = "manifest.jsonl"
LONGEST_NAME = 64
SPLITS: tuple[Split, ...] = ("train", "test", "pool")


class Dataset(msgspec.Struct, frozen=True):
    """One version of a dataset."""

    name: str
    version: int
    sha256: str
    """Of the manifest's bytes."""
    created_at: float
    counts: dict[str, int]
    policy_sha256: str | None = None


class Rules(msgspec.Struct, frozen=True):
    """The policy that draws, and the hash of its file."""

    policy: Policy
    sha256: str


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
    released = release(engine, options.name, db.now(), Rules(*policy_file.load(config)))
    write(engine, store, released, options.out)
    counts = ", ".join(f"{released.counts.get(split, 0)} {split}" for split in SPLITS)
    print(f"dataset {released.name} version {released.version}: {counts} in {options.out}", file=sys.stderr)
    if options.json:
        print(msgspec.json.encode(msgspec.to_builtins(released) | {"manifest": str(options.out / MANIFEST)}).decode())
    return 0


def release(engine: Engine, name: str, now: float, rules: Rules, *, who: str = "command line") -> Dataset:
    """The next version of `name`, or the last one where nothing has changed. Raises ConfigError or StoreError."""
    if not re.fullmatch(IDENTIFIER, name) or len(name) > LONGEST_NAME:
        raise ConfigError(f"{name[:60]!r} cannot name a dataset: use letters, digits, dots, dashes and underscores")
    with engine.begin() as connection:
        audit_log.take_turn(connection)  # nobody releases the same version, retires a clip or judges in between
        standing = examples_now.standing(connection, rules.policy)
        if not standing:
            raise StoreError("there is no judged case with a clip yet: review some cases first")
        drawn = draw.draw([one.candidate for one in standing], rules.policy)
        chosen = [(one.key, _member(one, drawn[one.example.case_id], rules)) for one in standing]
        kept = [(key, example) for key, example in chosen if example is not None]
        if not kept:
            raise StoreError("the policy draws none of the judged cases: review more cases or change the policy")
        manifest = b"".join(manifests.line(example) + b"\n" for _, example in kept)
        last = _last(connection, name)
        if last is not None and last.sha256 == sha256_of(manifest):
            return last
        left_out = [drawn[one.example.case_id].why for one in standing if drawn[one.example.case_id].split is None]
        figures = set_statistics.statistics(
            [example for _, example in kept], left_out, examples_now.conflicts(connection)
        )
        values = {
            "name": name,
            "version": last.version + 1 if last else 1,
            "sha256": sha256_of(manifest),
            "manifest": manifest,
            "created_at": now,
            "policy_sha256": rules.sha256,
            "statistics": msgspec.json.encode(figures),
        }
        released = _keep(connection, values, kept)
        about = f"{name} {released.version} {released.sha256}"
        audit_log.note(connection, who=who, did="dataset_released", about=about, now=now)
        return released


def write(engine: Engine, store: ClipStore, released: Dataset, folder: Path) -> None:
    """Manifest and clips of a dataset in `folder`; may run again, after an interruption too. Raises StoreError."""
    manifest = _manifest(engine, released)
    try:
        (folder / "clips").mkdir(parents=True, exist_ok=True)
        for example in manifests.read(manifest):
            _copy(store, example.lineage.clip_sha256, folder / example.video)
    except OSError as error:
        raise durable.failure(folder, error) from error
    durable.write(folder / MANIFEST, manifest)
    durable.write(folder / "dataset.json", msgspec.json.encode(released))


def packed(engine: Engine, store: ClipStore, released: Dataset) -> Iterator[bytes]:
    """The same folder as one tar file, piece by piece. Raises StoreError where a clip is gone or damaged."""
    folder, manifest = f"{released.name}-{released.version}", _manifest(engine, released)
    for name, data in ((MANIFEST, manifest), ("dataset.json", msgspec.json.encode(released))):
        yield _tar_head(f"{folder}/{name}", len(data), released.created_at) + data + _tar_padding(len(data))
    for sha256, video in {one.lineage.clip_sha256: one.video for one in manifests.read(manifest)}.items():
        data = _clip(store, sha256)
        yield _tar_head(f"{folder}/{video}", len(data), released.created_at)
        yield data + _tar_padding(len(data))
    yield bytes(2 * tarfile.BLOCKSIZE)


def find(engine: Engine, name: str, version: int) -> Dataset | None:
    query = sa.select(datasets).where(datasets.c.name == name, datasets.c.version == version)
    with engine.connect() as connection:
        row = connection.execute(query).first()
    return None if row is None else _dataset(row)


def manifest_of(engine: Engine, name: str, version: int) -> bytes | None:
    """The manifest's bytes; None where there is no such dataset."""
    query = sa.select(datasets.c.manifest).where(datasets.c.name == name, datasets.c.version == version)
    with engine.connect() as connection:
        return connection.scalar(query)


def statistics_of(engine: Engine, name: str, version: int) -> Statistics | None:
    """As they were when it was made; of older versions, from the manifest. None where there is no such dataset."""
    query = sa.select(datasets.c.statistics, datasets.c.manifest)
    with engine.connect() as connection:
        row = connection.execute(query.where(datasets.c.name == name, datasets.c.version == version)).first()
    if row is None:
        return None
    if row.statistics is None:
        return set_statistics.statistics(manifests.read(row.manifest), (), 0)
    return msgspec.json.decode(row.statistics, type=Statistics)


def all_datasets(connection: sa.Connection) -> list[Dataset]:
    """Every version of every dataset, the latest first."""
    rows = connection.execute(sa.select(datasets).order_by(datasets.c.created_at.desc(), datasets.c.id.desc()))
    return [_dataset(row) for row in rows]


def _member(one: Standing, drawn: draw.Drawn, rules: Rules) -> Example | None:
    if drawn.split is None:
        return None
    lineage = msgspec.structs.replace(
        one.example.lineage,
        drawn=drawn.why,
        policy_version=rules.policy.version,
        policy_sha256=rules.sha256,
        augmentation=UNTRAINED if drawn.split == "test" else TRAINED,
    )
    return msgspec.structs.replace(one.example, split=drawn.split, lineage=lineage)


def _last(connection: sa.Connection, name: str) -> Dataset | None:
    row = connection.execute(
        sa.select(datasets).where(datasets.c.name == name).order_by(datasets.c.version.desc()).limit(1)
    ).first()
    return None if row is None else _dataset(row)


def _keep(connection: sa.Connection, values: dict, kept: list[tuple[int, Example]]) -> Dataset:
    row = connection.execute(sa.insert(datasets).values(values).returning(datasets)).one()
    rows = [{"dataset_id": row.id, "example_id": key, "split": example.split} for key, example in kept]
    connection.execute(sa.insert(members), rows)
    return _dataset(row)


def _dataset(row: sa.Row) -> Dataset:
    if row.statistics is not None:
        by_split = msgspec.json.decode(row.statistics, type=Statistics).by_split
        counts = {split: found.examples for split, found in by_split.items()}
    else:
        counts = dict(Counter(str(one.split) for one in manifests.read(row.manifest)))
    return Dataset(row.name, row.version, row.sha256, row.created_at, counts, row.policy_sha256)


def _manifest(engine: Engine, released: Dataset) -> bytes:
    manifest = manifest_of(engine, released.name, released.version)
    if manifest is None:
        raise StoreError(f"dataset {released.name} has no version {released.version}: release it first")
    return manifest


def _copy(store: ClipStore, sha256: str, target: Path) -> None:
    if not (target.is_file() and sha256_of(target.read_bytes()) == sha256):
        durable.write(target, _clip(store, sha256))


def _clip(store: ClipStore, sha256: str) -> bytes:
    source = store.clip(sha256)
    data = source.read_bytes()
    if sha256_of(data) != sha256:
        raise StoreError(f"clip {source} is damaged: restore it")
    return data


def _tar_head(name: str, size: int, at: float) -> bytes:
    about = tarfile.TarInfo(name)
    about.size, about.mtime, about.mode = size, int(at), 0o644
    return about.tobuf(tarfile.PAX_FORMAT)


def _tar_padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)
