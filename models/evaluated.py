"""An evaluation's folder: judged cases are kept as they come, so that a second call goes on where the first stopped.

`evaluation.json` says which manifest and bundle the folder belongs to; `cases.jsonl` grows by a line a case, in the
manifest's order. A last line that broke off is judged again.
"""

import os
from pathlib import Path

import msgspec

from edge_agent import durable
from edge_agent.bundle import Bundle
from edge_agent.errors import ConfigError
from edge_agent.records import Case
from models import code_version
from models.judged import Judged, line
from models.labelled import Labelled, Manifest

CASES, CLAIM = "cases.jsonl", "evaluation.json"


class Claim(msgspec.Struct, frozen=True):
    """What a folder holds the judged cases of."""

    manifest_sha256: str
    bundle_sha256: str
    code: str = ""
    """`code_version.of_judging`: a renderer or a rule that changed half way would make one report of two programs."""


class _Line(msgspec.Struct):
    """What is read back of a line beside its case."""

    video: str
    label: str
    origin_error_mm: float | None = None
    notes: tuple[str, ...] = ()


def claim(folder: Path, manifest: Manifest, bundle: Bundle) -> None:
    """The folder belongs to this evaluation from now on. ConfigError where it holds cases of another; StoreError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made ({error.strerror}): choose another --out") from error
    wanted = Claim(manifest.sha256, bundle.sha256, code_version.of_judging())
    if not (folder / CASES).exists():
        durable.write(folder / CLAIM, msgspec.json.encode(wanted) + b"\n")
    elif (known := _known(folder)) != wanted:
        raise ConfigError(f"{folder} holds the cases of {_differs(known, wanted)}: choose another --out, or remove it")


def judged_before(folder: Path, manifest: Manifest) -> list[Judged]:
    """The cases that are in the folder already: the manifest's first ones. What follows them in the file is cut off."""
    path = folder / CASES
    if not path.exists():
        return []
    found, kept_bytes = [], 0
    with path.open("rb") as file:
        for labelled, text in zip(manifest.lines, file, strict=False):
            one = _read(labelled, text)
            if one is None:
                break
            found.append(one)
            kept_bytes += len(text)
    os.truncate(path, kept_bytes)
    return found


def keep(folder: Path, one: Judged) -> None:
    """Appends a case; when it returns, the case is on the disk. Raises StoreError."""
    path = folder / CASES
    try:
        with path.open("ab") as file:
            file.write(msgspec.json.encode(line(one)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise durable.failure(path, error) from error


def _differs(known: Claim | None, wanted: Claim) -> str:
    if known is None or known.bundle_sha256 != wanted.bundle_sha256:
        return "another bundle or manifest"
    if known.manifest_sha256 != wanted.manifest_sha256:
        return "another manifest"
    return "another version of the program or of its libraries"


def _known(folder: Path) -> Claim | None:
    try:
        return msgspec.json.decode((folder / CLAIM).read_bytes(), type=Claim)
    except (OSError, msgspec.DecodeError):
        return None


def _read(labelled: Labelled, text: bytes) -> Judged | None:
    """None where the line broke off or is of another recording."""
    try:
        beside, case = msgspec.json.decode(text, type=_Line), msgspec.json.decode(text, type=Case)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    whole = text.endswith(b"\n") and (beside.video, beside.label) == (labelled.name, labelled.label)
    return Judged(labelled, case, beside.origin_error_mm, beside.notes) if whole else None
