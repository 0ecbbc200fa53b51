"""data_dir/runs/<id>: what a run needs and makes, so that it can be gone on with after any interruption.

    manifest.jsonl clips/   the part of the dataset that it is trained on; the clips go when the run is done
    candidate.bundle        what training made
    certified.bundle        the same with the certificate of its evaluation: what goes on
    test/ twin/             evaluations with their reports
    run.log

What is seen of clips is kept beside the runs, by the eyes that saw it: the next week's run does not look again.
"""

import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from cloud_sync import manifest as manifests
from cloud_sync import scopes
from cloud_sync.alone import alone
from cloud_sync.config import CloudConfig
from cloud_sync.manifest import Example
from cloud_sync.partial_clips import ClipLost
from cloud_sync.store import ClipStore
from edge_agent import durable
from edge_agent.wire import sha256_of

MANIFEST = "manifest.jsonl"


class Part(NamedTuple):
    """What of a dataset belongs to a scope. `data`: the manifest's bytes."""

    data: bytes
    members: list[Example]

    @property
    def sha256(self) -> str:
        return sha256_of(self.data)


def part_of(manifest: bytes, scope: str) -> Part:
    """The general scope's is the dataset's manifest itself, byte for byte."""
    members = manifests.read(manifest)
    if scope == scopes.GENERAL:
        return Part(manifest, members)
    chosen = scopes.part(members, scope)
    return Part(b"".join(manifests.line(one) + b"\n" for one in chosen), chosen)


def runs_of(config: CloudConfig) -> Path:
    """Where all runs lie."""
    return config.folder / "runs"


def of_run(config: CloudConfig, run_id: int) -> Path:
    """Where one run lies."""
    return runs_of(config) / str(run_id)


def held(folder: Path, what: str) -> AbstractContextManager[None]:
    """Nobody else works in `folder`. Raises StoreError."""
    return alone(folder / "lock", f"{what} is under way in another process: wait for it, its page shows how far it is")


def lay_out(store: ClipStore, part: Part, folder: Path) -> list[str]:
    """Manifest and clips in `folder`; may run again. Words for each clip that is gone or damaged. Raises StoreError."""
    missing = []
    try:
        (folder / "clips").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise durable.failure(folder, error) from error
    for one in part.members:
        if fault := _fetch(store, one.lineage.clip_sha256, folder / one.video):
            missing.append(f"{one.case_id}: {fault}")
    durable.write(folder / MANIFEST, part.data)
    return missing


def tidy(folder: Path) -> None:
    """The clips go; they are in the store."""
    shutil.rmtree(folder / "clips", ignore_errors=True)


def note(folder: Path, line: str, now: float) -> None:
    """A line of run.log. Raises StoreError."""
    try:
        with (folder / "run.log").open("a") as file:
            file.write(f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ} {line}\n")
    except OSError as error:
        raise durable.failure(folder / "run.log", error) from error


def log_of(folder: Path, most: int) -> Sequence[str]:
    """The last lines of run.log; none where it has not begun."""
    try:
        return (folder / "run.log").read_text(errors="replace").splitlines()[-most:]
    except OSError:
        return []


def _fetch(store: ClipStore, sha256: str, target: Path) -> str:
    """Empty where the clip's bytes are there."""
    if target.is_file() and sha256_of(target.read_bytes()) == sha256:
        return ""
    try:
        source = store.clip(sha256)
        data = source.read_bytes()
    except ClipLost as error:
        return str(error)
    except OSError as error:
        return f"clip {sha256[:12]} cannot be read ({error.strerror}): restore it from a backup"
    if sha256_of(data) != sha256:
        return f"clip {sha256[:12]} is damaged: restore it from a backup"
    durable.write(target, data)
    return ""
