"""An evaluation's folder: judged cases are kept as they come, so that a second call goes on where the first stopped.

`evaluation.json` says which manifest and bundle the folder belongs to; `cases.jsonl` grows by a line a case, in the
manifest's order. A last line that broke off is judged again.
"""

import hashlib
import os
import shutil
from datetime import datetime
from pathlib import Path

import msgspec

from edge_agent import durable
from edge_agent.bundle import Bundle
from edge_agent.errors import ConfigError
from edge_agent.records import Case
from models import code_version
from models.bounds import ErrorCounts, error_counts
from models.judged import Judged, line
from models.labelled import Labelled, Manifest

CASES, CLAIM, WORST, SUMMARY = "cases.jsonl", "evaluation.json", "worst", "summary.json"


class Claim(msgspec.Struct, frozen=True):
    """What a folder holds the judged cases of."""

    manifest_sha256: str
    bundle_sha256: str
    code: str = ""
    """`code_version.of_judging`: a renderer or a rule that changed half way would make one report of two programs."""


class Reported(msgspec.Struct, frozen=True):
    """Which cases a report is made of, and when it was made first."""

    cases_sha256: str
    """Of `cases.jsonl`: other bytes, other cases."""
    measured_at: datetime


class _Line(msgspec.Struct):
    """What is read back of a line beside its case."""

    video: str
    label: str
    origin_error_mm: float | None = None
    notes: tuple[str, ...] = ()


class _Answer(msgspec.Struct):
    label: str
    verdict: str


def claim(folder: Path, manifest: Manifest, bundle: Bundle) -> None:
    """The folder belongs to this evaluation from now on. ConfigError where it holds cases of another; StoreError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = "there is a file of that name" if folder.is_file() else error.strerror
        raise ConfigError(f"{folder} cannot be made ({why}): choose another --out") from error
    wanted = Claim(manifest.sha256, bundle.sha256, code_version.of_judging())
    if not (folder / CASES).exists():
        # Pictures of the worst cases are made where they are missing: those of another evaluation must not stay.
        shutil.rmtree(folder / WORST, ignore_errors=True)
        durable.write(folder / CLAIM, msgspec.json.encode(wanted) + b"\n")
    elif (known := _known(folder)) != wanted:
        raise ConfigError(f"{folder} holds the cases of {_differs(known, wanted)}: choose another --out, or remove it")


def judged_before(folder: Path, manifest: Manifest) -> list[Judged]:
    """The cases that are in the folder already: the manifest's first ones. What follows them in the file is cut off."""
    path = folder / CASES
    if not path.exists():
        return []
    found, kept_bytes = [], 0
    try:
        with path.open("rb") as file:
            for labelled, text in zip(manifest.lines, file, strict=False):
                one = _read(labelled, text)
                if one is None:
                    break
                found.append(one)
                kept_bytes += len(text)
        os.truncate(path, kept_bytes)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): choose another --out") from error
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


def reported(folder: Path, now: datetime) -> Reported:
    """Of the cases that the folder holds. A report that is made again keeps the time of the first: a certificate's date
    is when its set was opened, not when somebody looked last. Raises ConfigError."""
    sha256 = cases_sha256(folder)
    try:
        before = msgspec.json.decode((folder / SUMMARY).read_bytes(), type=Reported)
    except (OSError, msgspec.DecodeError):
        return Reported(sha256, now)
    return before if before.cases_sha256 == sha256 else Reported(sha256, now)


def cases_sha256(folder: Path) -> str:
    """Of the file that keeps the cases. Raises ConfigError."""
    path = folder / CASES
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): run 'evaluate --out {folder}'") from error


def answers(folder: Path) -> ErrorCounts:
    """Answered leaks (silent ones too) and good units of the kept cases, and the wrong ones among them, counted anew.
    Raises ConfigError."""
    path = folder / CASES
    try:
        said = [msgspec.json.decode(text, type=_Answer) for text in path.read_bytes().splitlines()]
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({error}): run 'evaluate --out {folder}'") from error
    return error_counts((one.label, one.verdict) for one in said)


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
