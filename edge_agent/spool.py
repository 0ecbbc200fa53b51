"""The folder that outlives every database: `<case_id>.json` as published, `<sha256>.twclip`, drafts (`.tmp`).

A case's file is durable before the outbox has its row, so that the rows can be made again from the files.
"""

import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_agent import durable, wire
from edge_agent.errors import LinkError
from edge_agent.messages import CLIP_SUFFIX, IDENTIFIER, SHA256
from edge_agent.records import Case

CASE_SUFFIX = ".json"
DAMAGED_SUFFIX = ".damaged"
_INSTALL = "install-id"


@dataclass(frozen=True, slots=True)
class Stored:
    """A case as it lies in the spool: the record and the very bytes that are published."""

    case: Case
    payload: bytes


class Spool:
    """The spool folder; it is made where it is missing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise durable.failure(folder, error) from error

    def install_id(self) -> str:
        """8 random hexadecimal digits of this installation, the same for ever: they go into every case id."""
        path = self.folder / _INSTALL
        if not path.exists():
            durable.write_first(path, secrets.token_hex(4).encode())
        return path.read_text()

    def draft(self, case_id: str) -> Path:
        """Where the clip of an open case is written; what is left there at start is removed."""
        return self.folder / f"{case_id}{CLIP_SUFFIX}{durable.TEMPORARY}"

    def case_path(self, case_id: str) -> Path:
        return self.folder / f"{case_id}{CASE_SUFFIX}"

    def clip_path(self, sha256: str) -> Path:
        return self.folder / f"{sha256}{CLIP_SUFFIX}"

    def keep_case(self, case: Case) -> Stored:
        """The case is on the disk, whatever happens next. Raises StoreError."""
        payload = wire.encode(case)
        durable.write(self.case_path(case.case_id), payload)
        return Stored(case, payload)

    def keep_clip(self, draft: Path, sha256: str) -> bool:
        """A closed draft gets its final name for good, also when that has happened before. False where it is gone."""
        if draft.exists():
            durable.sync(draft)
            durable.move(draft, self.clip_path(sha256))
        return self.clip_path(sha256).exists()

    def case(self, case_id: str) -> Stored | None:
        """What is stored under `case_id`; a damaged file is set aside and counts as missing. Raises StoreError."""
        path = self.case_path(case_id)
        if not path.exists():
            return None
        payload = path.read_bytes()
        try:
            return Stored(wire.decode(payload, Case), payload)
        except LinkError:
            durable.move(path, path.with_name(path.name + DAMAGED_SUFFIX))
            return None

    def case_ids(self) -> Iterator[str]:
        """Every case in the spool, in no order."""
        return _names(self.folder, CASE_SUFFIX, IDENTIFIER)

    def clip_hashes(self) -> Iterator[str]:
        """Every clip in the spool, in no order."""
        return _names(self.folder, CLIP_SUFFIX, SHA256)

    def clip_bytes(self, sha256: str) -> int:
        """0 where there is no such clip."""
        try:
            return self.clip_path(sha256).stat().st_size
        except OSError:
            return 0

    def remove_drafts(self) -> int:
        """Whatever was not finished when the device stopped; while there is no id, not one that is being written."""
        spared = "" if (self.folder / _INSTALL).exists() else _INSTALL
        found = self.folder.glob("*" + durable.TEMPORARY)
        drafts = [path for path in found if not spared or not path.name.startswith(spared)]
        for draft in drafts:
            durable.remove(draft)
        return len(drafts)

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.folder).free


def _names(folder: Path, suffix: str, pattern: str) -> Iterator[str]:
    for path in folder.glob("*" + suffix):
        name = path.name[: -len(suffix)]
        if re.fullmatch(pattern, name):
            yield name
