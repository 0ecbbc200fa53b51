"""What the database says of clips follows what the store holds: rows are mended, no file goes.

Needed after a restore, for a row that promises a clip which is not there would have its station believe in a receipt.
"""

import logging

import msgspec
import sqlalchemy as sa

from cloud_sync import looks
from cloud_sync.db import take_turns
from cloud_sync.store import ClipStore
from cloud_sync.tables import cases, clips
from edge_agent.messages import PART_BYTES

log = logging.getLogger(__name__)
CHUNK = 500


class Mended(msgspec.Struct, frozen=True):
    """Hashes of clips whose rows were wrong."""

    lost: tuple[str, ...]
    """Said to be stored, and not there: they are on their way again."""
    found: tuple[str, ...]
    """There, and not said to be."""


def mend(connection: sa.Connection, store: ClipStore, now: float) -> Mended:
    """Rows of clips as the store has them; the caller commits. Raises StoreError where the store cannot be asked."""
    said = {row.sha256: row.state for row in connection.execute(sa.select(clips.c.sha256, clips.c.state))}
    # The rows first: what is taken in meanwhile looks found, never lost, and its row is looked at again below.
    held = dict(store.held())
    lost = sorted(sha256 for sha256, state in said.items() if state == "stored" and sha256 not in held)
    found = sorted(sha256 for sha256 in held if said.get(sha256) not in ("stored", "retired"))
    take_turns(connection, [*lost, *found])
    for sha256 in lost:
        waits = {"state": "partial", "next_part": 0, "stored_at": None, "seen_at": now}
        connection.execute(sa.update(clips).where(clips.c.sha256 == sha256).values(waits))
        log.warning("clip=%s is not in the store: asked for again", sha256)
    for at in range(0, len(lost), CHUNK):
        looks.clips_lost(connection, lost[at : at + CHUNK])
    for at in range(0, len(found), CHUNK):
        _note_found(connection, {sha256: held[sha256] for sha256 in found[at : at + CHUNK]}, now)
        looks.clips_stored(connection, found[at : at + CHUNK])
    return Mended(tuple(lost), tuple(found))


def _note_found(connection: sa.Connection, found: dict[str, int], now: float) -> None:
    known = set(connection.scalars(sa.select(clips.c.sha256).where(clips.c.sha256.in_(found))))
    query = sa.select(cases.c.clip_sha256, cases.c.case_id, cases.c.site, cases.c.station).where(
        cases.c.clip_sha256.in_(found)
    )
    owner = {row.clip_sha256: (row.case_id, row.site, row.station) for row in connection.execute(query)}
    for sha256, size in found.items():
        parts = -(-size // PART_BYTES)
        row = {"state": "stored", "bytes": size, "parts": parts, "part_bytes": PART_BYTES, "next_part": parts}
        row["stored_at"] = now
        if sha256 in known:
            connection.execute(sa.update(clips).where(clips.c.sha256 == sha256).values(row))
        else:
            case_id, site, station = owner.get(sha256, ("", None, None))
            row |= {"sha256": sha256, "case_id": case_id, "site": site, "station": station}
            connection.execute(sa.insert(clips).values(row))
        log.warning("clip=%s was in the store without its row: noted", sha256)
