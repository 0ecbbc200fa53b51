"""Messages that cannot be taken, set aside with the reason; one row for each content, however often it comes."""

import logging
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from cloud_sync.tables import dead_letters
from edge_agent.wire import sha256_of

log = logging.getLogger(__name__)
KEPT_BYTES = 64 * 1024
TOPIC_LETTERS = 200


class Message(msgspec.Struct, frozen=True):
    """One MQTT message, from a station or for one."""

    topic: str
    payload: bytes


def bury(connection: sa.Connection, letters: Sequence[tuple[Message, str]], now: float) -> None:
    """Remembers messages with the reason why each was refused; the caller commits."""
    for message, reason in letters:
        topic, sha256 = message.topic[:TOPIC_LETTERS], sha256_of(message.payload)
        log.warning("refused topic=%s bytes=%d reason=%r", topic, len(message.payload), reason)
        same = (dead_letters.c.topic == topic) & (dead_letters.c.sha256 == sha256)
        again = {"count": dead_letters.c.count + 1, "last_at": now, "reason": reason}
        if connection.execute(sa.update(dead_letters).where(same).values(again)).rowcount == 0:
            connection.execute(sa.insert(dead_letters).values(_row(topic, sha256, message.payload, reason, now)))


def _row(topic: str, sha256: str, payload: bytes, reason: str, now: float) -> dict[str, object]:
    return {
        "topic": topic,
        "sha256": sha256,
        "reason": reason,
        "bytes": len(payload),
        "payload": payload[:KEPT_BYTES],
        "count": 1,
        "first_at": now,
        "last_at": now,
    }
