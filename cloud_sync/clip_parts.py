"""Clip manifests and parts as they arrive -> whole clips in the store, and where each unfinished one should resume.

Parts are taken in order only: the next part's number and the file say all there is to know, also after a power cut.
"""

import logging
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from cloud_sync.store import ClipStore
from cloud_sync.tables import clips
from edge_agent.messages import ClipManifest
from edge_agent.wire import Topic

log = logging.getLogger(__name__)
QUOTA = "clip quota"
"""How the reason of a refusal begins that ends when there is room again."""


class ClipRow(msgspec.Struct, frozen=True):
    """A clip as the database knows it."""

    sha256: str
    state: str
    case_id: str
    bytes: int
    parts: int
    part_bytes: int
    next_part: int
    stored_at: float | None
    site: str | None = None
    station: str | None = None
    """Who sends it."""
    seen_at: float | None = None
    """When its manifest or a part of it came last."""


class ClipMessage(msgspec.Struct, frozen=True):
    """A manifest, or a part with its bytes; `place` is its position in the batch."""

    place: int
    topic: Topic
    manifest: ClipManifest | None
    data: bytes = b""


class Taken(msgspec.Struct, frozen=True):
    """What became of a batch's clip messages."""

    stored: tuple[str, ...]
    """Clips that are whole."""
    retired: tuple[str, ...]
    """Clips that were whole once and have had their time: nobody need send them."""
    unwanted: tuple[str, ...]
    """Clips that are not taken now: no part need be sent until they are offered again."""
    wanted: tuple[tuple[str, int], ...]
    """Unfinished clips and the part to go on with."""
    refused: tuple[tuple[int, str], ...]
    """Place in the batch, reason."""


class ClipParts:
    """Takes clips in; the caller commits."""

    def __init__(self, store: ClipStore, *, max_bytes: int, station_bytes: int | None = None) -> None:
        """`max_bytes`: of one clip. `station_bytes`: of all those of one station; None = no limit."""
        self._store = store
        self._max_bytes = max_bytes
        self._station_bytes = station_bytes

    def take(self, connection: sa.Connection, messages: Sequence[ClipMessage], now: float) -> Taken:
        """Writes parts, finishes clips, updates their rows. Raises StoreError (disk full)."""
        before = _rows(connection, {str(message.topic.id) for message in messages})
        rows = dict(before)
        refused: list[tuple[int, str]] = []
        unwanted: set[str] = set()
        for message in messages:
            sha256 = str(message.topic.id)
            row, reason = self._step(rows.get(sha256), message, now)
            if row is not None and not reason:
                reason = self._beyond_quota(connection, rows, before, row)
                row = rows.get(sha256) if reason else row
            if reason:
                refused.append((message.place, reason))
            if row is not None:
                rows[sha256] = row
            elif reason:
                unwanted.add(sha256)
        changed = [row for sha256, row in rows.items() if row != before.get(sha256)]
        self._sync(changed)
        _save(connection, changed, before)
        touched = {str(message.topic.id): None for message in messages}
        return Taken(
            stored=tuple(sha256 for sha256 in touched if sha256 in rows and rows[sha256].state == "stored"),
            retired=tuple(sha256 for sha256 in touched if sha256 in rows and rows[sha256].state == "retired"),
            unwanted=tuple(sha256 for sha256 in touched if sha256 in unwanted - rows.keys()),
            wanted=tuple(
                (sha256, _next_part(rows.get(sha256)))
                for sha256 in touched
                if not _over(rows.get(sha256)) and sha256 not in unwanted - rows.keys()
            ),
            refused=tuple(refused),
        )

    def _step(self, row: ClipRow | None, message: ClipMessage, now: float) -> tuple[ClipRow | None, str | None]:
        if _over(row):
            return row, None
        if message.manifest is not None:
            reason = self._unfit(message.topic, message.manifest) or _not_theirs(row, message.topic, message.manifest)
            return (row, reason) if reason else (self._announced(row, message, message.manifest, now), None)
        if row is None:
            log.info("part clip=%s came before its manifest: asked for again", message.topic.id)
            return None, None
        return self._part(row, message, now)

    def _unfit(self, topic: Topic, manifest: ClipManifest) -> str | None:
        if manifest.sha256 != topic.id:
            return f"manifest of clip {manifest.sha256} came on the topic of {topic.id}"
        if manifest.bytes > self._max_bytes:
            return f"clip has {manifest.bytes} bytes, limit {self._max_bytes}: raise max_clip_mb or record shorter"
        if manifest.parts != -(-manifest.bytes // manifest.part_bytes):
            return f"clip of {manifest.bytes} bytes cannot have {manifest.parts} parts of {manifest.part_bytes}"
        return None

    def _beyond_quota(
        self, connection: sa.Connection, rows: dict[str, ClipRow], before: dict[str, ClipRow], new: ClipRow
    ) -> str | None:
        """Why the station's clip is not taken, a new one or one that is announced again and larger. What is announced
        counts, or ten clips at once would slip in."""
        more = new.bytes - _bytes_as_of(new, rows.get(new.sha256))
        if self._station_bytes is None or new.state == "stored" or more <= 0:
            return None
        used = _bytes_of(connection, new)
        used += sum(_bytes_as_of(new, row) - _bytes_as_of(new, before.get(row.sha256)) for row in rows.values())
        if used + more <= self._station_bytes:
            return None
        here = f"it has {used / 1e9:.2f} GB here, limit {self._station_bytes / 1e9:.2f} GB"
        cure = "raise max_clip_gb_per_station or shorten the days under [retention]"
        return f"{QUOTA} of station {new.station} is used up ({here}): {cure}"

    def _announced(self, row: ClipRow | None, message: ClipMessage, manifest: ClipManifest, now: float) -> ClipRow:
        state = "stored" if self._store.holds(manifest.sha256) else "partial"
        new = ClipRow(
            sha256=manifest.sha256,
            state=state,
            case_id=manifest.case_id,
            bytes=manifest.bytes,
            parts=manifest.parts,
            part_bytes=manifest.part_bytes,
            next_part=manifest.parts if state == "stored" else 0,
            stored_at=now if state == "stored" else None,
            site=row.site if row and row.station else message.topic.site,
            station=row.station if row and row.station else message.topic.station,
            seen_at=now,
        )
        if row is not None and msgspec.structs.replace(row, next_part=0, seen_at=now) == new:
            return msgspec.structs.replace(row, seen_at=now)
        return new

    def _part(self, row: ClipRow, message: ClipMessage, now: float) -> tuple[ClipRow, str | None]:
        number, size = message.topic.part, len(message.data)
        if number != row.next_part:
            return row, None
        if self._store.parts.size(row.sha256) < number * row.part_bytes:
            return self._without_its_file(row, now), None
        wanted = min(row.part_bytes, row.bytes - number * row.part_bytes)
        if size != wanted:
            return row, f"part {number} has {size} bytes, the manifest says {wanted}"
        self._store.parts.write(row.sha256, number * row.part_bytes, message.data)
        row = msgspec.structs.replace(row, next_part=number + 1, seen_at=now)
        if row.next_part < row.parts:
            return row, None
        if self._store.finish(row.sha256):
            return _finished(row, now), None
        return msgspec.structs.replace(row, next_part=0), f"clip {row.sha256} arrived with other bytes: thrown away"

    def _without_its_file(self, row: ClipRow, now: float) -> ClipRow:
        """The file got its name before a commit that failed, or it is gone: then the clip begins again."""
        return _finished(row, now) if self._store.holds(row.sha256) else msgspec.structs.replace(row, next_part=0)

    def _sync(self, rows: Sequence[ClipRow]) -> None:
        """A row must never promise more than the disk has."""
        for row in rows:
            if row.state == "partial" and row.next_part > 0:
                self._store.parts.sync(row.sha256)


def _over(row: ClipRow | None) -> bool:
    return row is not None and row.state in ("stored", "retired")


def _next_part(row: ClipRow | None) -> int:
    return 0 if row is None else row.next_part


def _not_theirs(row: ClipRow | None, topic: Topic, manifest: ClipManifest) -> str | None:
    """Who sends a clip that another station has announced may go on with it, and changes nothing about it: it counts
    for the other."""
    if row is None or row.station is None or (row.site, row.station) == (topic.site, topic.station):
        return None
    said, known = ((one.bytes, one.parts, one.part_bytes) for one in (manifest, row))
    return None if said == known else f"clip has {row.bytes} bytes as station {row.station} announced it, not {said[0]}"


def _finished(row: ClipRow, now: float) -> ClipRow:
    return msgspec.structs.replace(row, state="stored", next_part=row.parts, stored_at=now)


def _rows(connection: sa.Connection, hashes: set[str]) -> dict[str, ClipRow]:
    found = connection.execute(sa.select(clips).where(clips.c.sha256.in_(hashes)))
    return {row.sha256: ClipRow(**row._mapping) for row in found}


def _bytes_as_of(like: ClipRow, row: ClipRow | None) -> int:
    """Of this row, where it is the same station's."""
    return row.bytes if row is not None and (row.site, row.station) == (like.site, like.station) else 0


def _bytes_of(connection: sa.Connection, like: ClipRow) -> int:
    """Of all that the station has here or on its way."""
    mine = (clips.c.site == like.site) & (clips.c.station == like.station)
    counted = clips.c.state.in_(("stored", "partial"))
    return int(connection.scalar(sa.select(sa.func.sum(clips.c.bytes)).where(mine, counted)) or 0)


def _save(connection: sa.Connection, changed: Sequence[ClipRow], before: dict[str, ClipRow]) -> None:
    new = [msgspec.structs.asdict(row) for row in changed if row.sha256 not in before]
    if new:
        connection.execute(sa.insert(clips), new)
    for row in changed:
        if row.sha256 in before:
            values = msgspec.structs.asdict(row)
            connection.execute(sa.update(clips).where(clips.c.sha256 == row.sha256).values(values))
