"""Messages that cannot be taken, set aside with the reason; one row for each content, however often it comes.

A flood fills no disk: of each sender only so many different ones are kept in a day, of all of them only so many at
all. The others are counted, in a row of their own, so that the sum is always that of all messages ever refused.
"""

import logging
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from cloud_sync.tables import dead_letters
from edge_agent.wire import sha256_of

log = logging.getLogger(__name__)
KEPT_BYTES = 16 * 1024
"""Of a payload: enough to see what it was."""
TOPIC_LETTERS, REASON_LETTERS = 200, 300
MOST_A_DAY = 100
"""Different messages of one sender that are kept in 24 hours."""
MOST_KEPT = 5000
"""Different messages, of all senders: 80 MB. The oldest go."""
DAY_S = 86_400
OLDER = "#"
"""Stands as the topic for those that have gone."""


class Message(msgspec.Struct, frozen=True):
    """One MQTT message, from a station or for one."""

    topic: str
    payload: bytes


class Refused(msgspec.Struct, frozen=True):
    """All that was ever refused."""

    messages: int
    """However often the same one came."""
    kept: int
    """Rows."""
    bytes: int
    """Of payload in them."""


def bury(connection: sa.Connection, letters: Sequence[tuple[Message, str]], now: float) -> None:
    """Remembers messages with the reason why each was refused; the caller commits."""
    room: dict[str, int] = {}
    for message, reason in letters:
        topic, reason = _plain(message.topic, TOPIC_LETTERS), _plain(reason, REASON_LETTERS)
        sha256, sender = sha256_of(message.payload), _sender(message.topic)
        if _again(connection, (topic, sha256), reason, now):
            continue
        if sender not in room:
            room[sender] = MOST_A_DAY - _kept_lately(connection, sender, now)
        if room[sender] <= 0:
            _count(connection, sender, reason, now)
            continue
        room[sender] -= 1
        log.warning("refused topic=%s bytes=%d reason=%r", topic, len(message.payload), reason)
        connection.execute(sa.insert(dead_letters).values(_row(topic, sha256, message.payload, reason, now)))
    if room:
        _forget_oldest(connection, now)


def refused(connection: sa.Connection) -> Refused:
    """How much was refused since the beginning, and how much of it is kept."""
    sizes = sa.func.sum(sa.func.length(dead_letters.c.payload))
    query = sa.select(sa.func.sum(dead_letters.c.count), sa.func.count(), sizes)
    messages, kept, size = connection.execute(query).one()
    return Refused(int(messages or 0), kept, int(size or 0))


def _again(connection: sa.Connection, key: tuple[str, str], reason: str, now: float, *, times: int = 1) -> bool:
    """One that is there already came again; False: it is not."""
    same = (dead_letters.c.topic == key[0]) & (dead_letters.c.sha256 == key[1])
    values = {"count": dead_letters.c.count + times, "last_at": now, "reason": reason}
    return connection.execute(sa.update(dead_letters).where(same).values(values)).rowcount > 0


def _count(connection: sa.Connection, sender: str, reason: str, now: float) -> None:
    """One more of a sender that has had its share of rows today."""
    topic, day = f"{sender}/{OLDER}", sha256_of(f"{now // DAY_S:.0f}".encode())
    words = f"{MOST_A_DAY} different ones are kept in a day, further ones counted; the latest: {reason}"
    words = words[:REASON_LETTERS]
    if not _again(connection, (topic, day), words, now):
        log.warning("refused topic=%s reason=%r", topic, words)
        connection.execute(sa.insert(dead_letters).values(_row(topic, day, b"", words, now)))


def _kept_lately(connection: sa.Connection, sender: str, now: float) -> int:
    mine = sa.func.substr(dead_letters.c.topic, 1, len(sender) + 1) == f"{sender}/"
    lately = dead_letters.c.first_at > now - DAY_S
    return connection.scalar(sa.select(sa.func.count()).select_from(dead_letters).where(mine, lately)) or 0


def _forget_oldest(connection: sa.Connection, now: float) -> None:
    by_age = sa.select(dead_letters.c.id).order_by(dead_letters.c.id.desc())
    last = connection.scalar(by_age.offset(MOST_KEPT).limit(1))
    if last is None:
        return
    old = dead_letters.c.id <= last
    times = int(connection.scalar(sa.select(sa.func.sum(dead_letters.c.count)).where(old)) or 0)
    connection.execute(sa.delete(dead_letters).where(old))
    words, none = f"{MOST_KEPT} different ones are kept, older ones counted", sha256_of(b"")
    if not _again(connection, (OLDER, none), words, now, times=times):
        connection.execute(sa.insert(dead_letters).values(_row(OLDER, none, b"", words, now) | {"count": times}))


def _sender(topic: str) -> str:
    """Site and station behind the root; of a topic that is none of ours its beginning."""
    return "/".join(_plain(topic, TOPIC_LETTERS).split("/")[:4])[: TOPIC_LETTERS - 2]


def _plain(text: str, letters: int) -> str:
    """At most so many letters, all of which a database takes and none of which begins a line in the log."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text[:letters])


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
