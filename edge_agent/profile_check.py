"""<data_dir>/profiles/checked.json <-> which station profile was seen in place, when, and how its markers lay then.

A profile that was never seen so counts for no more than the human's word. Who looks is others' matter: the inspection
itself, or commissioning.
"""

from pathlib import Path

import msgspec

from edge_agent import durable, utc
from edge_agent.records import Framing

FILE = "checked.json"
LOOKS = 15
"""Whose median is believed, as `calibrate check` does: shake and noise of one picture are no evidence."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """All markers of one profile were where it says."""

    schema: str = "tankwatch/profile-check/1"
    profile_sha256: str
    at: str
    """UTC, ISO 8601."""
    corners_seen: int
    shift_px: float | None
    rotation_deg: float | None


def checked(folder: Path) -> str | None:
    """Hash of the profile that was seen in place last; None where none was, or nobody can tell."""
    found = last(folder)
    return found.profile_sha256 if found else None


def last(folder: Path) -> Check | None:
    """The last check that was good; None where there was none, or it cannot be read."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Check)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def mark_checked(folder: Path, profile_sha256: str, framing: Framing, *, now: float) -> bool:
    """Keeps that this profile was seen as `framing` says at `now` (UTC, seconds since 1970), durably; False, and
    nothing is kept, where that is not `ok`. Raises StoreError."""
    if framing.status != "ok":
        return False
    check = Check(
        profile_sha256=profile_sha256,
        at=utc.text(now),
        corners_seen=framing.corners_seen,
        shift_px=_rounded(framing.shift_px),
        rotation_deg=_rounded(framing.rotation_deg),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise durable.failure(folder, error) from error
    durable.write(folder / FILE, msgspec.json.format(msgspec.json.encode(check)) + b"\n")
    return True


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
