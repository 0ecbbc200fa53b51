"""An answer -> one .tar with its clips, as it is sent: `manifest.jsonl` first, then `clips/<sha256>.twclip`.

Nothing is built on the disk. How much may be asked for at once is checked before the first byte; a clip that the
store has lost leaves a note in its place.
"""

import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import sqlalchemy as sa

from cloud_sync import case_table
from cloud_sync.search import Search
from cloud_sync.store import ClipStore
from edge_agent.clips import SUFFIX
from edge_agent.errors import StoreError

MOST_CASES = 1000
MOST_BYTES = 4 * 2**30
PIECE_BYTES = 256 * 1024


def gathered(connection: sa.Connection, search: Search) -> list[dict[str, object]]:
    """The manifest, a line for each case; `clip`: its file, None where the store has none. Raises StoreError."""
    found = list(case_table.every(connection, search, limit=MOST_CASES + 1))
    if len(found) > MOST_CASES:
        raise StoreError(f"more than {MOST_CASES} cases answer this search: ask for less time")
    size = sum(row.clip_bytes or 0 for row in found if row.clip_state == "stored")
    if size > MOST_BYTES:
        raise StoreError(f"these clips have {size / 2**30:.1f} GiB, limit {MOST_BYTES / 2**30:g}: ask for less time")
    return [case_table.as_values(row) | {"clip": _name(row)} for row in found]


def as_tar(lines: Sequence[dict[str, object]], store: ClipStore, now: float) -> Iterator[bytes]:
    """The archive, piece by piece."""
    manifest = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    yield from _file("manifest.jsonl", [manifest], len(manifest), now)
    for sha256 in _held(lines):
        try:
            path = store.clip(sha256)
        except StoreError as error:
            words = f"{error}\n".encode()
            yield from _file(f"clips/{sha256}.lost.txt", [words], len(words), now)
        else:
            yield from _file(f"clips/{sha256}{SUFFIX}", _pieces(path), path.stat().st_size, now)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _held(lines: Sequence[dict[str, object]]) -> list[str]:
    """Hashes of the clips in the archive, each once."""
    return list(dict.fromkeys(str(line["clip_sha256"]) for line in lines if line["clip"]))


def _name(row: sa.Row) -> str | None:
    return f"clips/{row.clip_sha256}{SUFFIX}" if row.clip_state == "stored" else None


def _file(name: str, pieces: Sequence[bytes] | Iterator[bytes], size: int, now: float) -> Iterator[bytes]:
    about = tarfile.TarInfo(name)
    about.size, about.mtime, about.mode = size, int(now), 0o644
    yield about.tobuf(tarfile.PAX_FORMAT)
    yield from pieces
    yield bytes(-size % tarfile.BLOCKSIZE)


def _pieces(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece
