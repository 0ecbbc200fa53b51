"""Moments at which a drill has `cloud ingest` die: the process kills itself there, as SIGKILL does.

What is wrapped here is wrapped in that one process; the product knows nothing of it.
"""

import functools
import itertools
import os
import signal
from collections.abc import Callable
from typing import NoReturn

import paho.mqtt.client as mqtt

from cloud_sync import looks
from cloud_sync.folder_store import FolderStore
from cloud_sync.intake import Handled, Intake
from cloud_sync.partial_clips import PartialClips


def arm(moment: str, count: int) -> None:
    """This process dies when it comes to `moment` for the `count`-th time."""
    MOMENTS[moment](functools.partial(_die_at, itertools.count(1), count))


def _die_at(times: "itertools.count[int]", count: int) -> None:
    if next(times) == count:
        die()


def die() -> NoReturn:
    """No handler, no flush, no goodbye."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("a killed process goes on")


def _within_the_transaction(then: Callable[[], None]) -> None:
    """The rows are written, and not committed."""
    _after(looks, "want_first", lambda _: then())


def _committed(then: Callable[[], None]) -> None:
    """The commit is done, and no receipt is on its way."""
    _after(Intake, "handle", lambda handled: then() if isinstance(handled, Handled) and handled.receipts else None)


def _receipted(then: Callable[[], None]) -> None:
    """The receipt is sent, and the broker has no acknowledgement."""
    ack = mqtt.Client.ack

    def dying(self: mqtt.Client, mid: int, qos: int) -> mqtt.MQTTErrorCode:
        then()
        return ack(self, mid, qos)

    setattr(mqtt.Client, "ack", dying)  # noqa: B010 - mypy takes an assignment for a mistake


def _in_a_part(then: Callable[[], None]) -> None:
    """Half of a clip's part is in its file."""
    write = PartialClips.write

    def dying(self: PartialClips, sha256: str, offset: int, data: bytes) -> None:
        write(self, sha256, offset, data[: len(data) // 2])
        then()
        write(self, sha256, offset, data)

    setattr(PartialClips, "write", dying)  # noqa: B010 - as above


def _part_written(then: Callable[[], None]) -> None:
    """A part is on the disk, and its row does not know."""
    _after(PartialClips, "sync", lambda _: then())


def _clip_named(then: Callable[[], None]) -> None:
    """A whole clip has its name in the store, and its row does not know."""
    _after(FolderStore, "finish", lambda _: then())


def _after(owner: object, name: str, then: Callable[[object], None]) -> None:
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(*arguments: object, **named: object) -> object:
        result = original(*arguments, **named)
        then(result)
        return result

    setattr(owner, name, wrapped)


MOMENTS: dict[str, Callable[[Callable[[], None]], None]] = {
    "within the transaction": _within_the_transaction,
    "committed, no receipt": _committed,
    "receipt sent, not acknowledged": _receipted,
    "in the middle of a part": _in_a_part,
    "part written, no row": _part_written,
    "clip named, no row": _clip_named,
}
"""Name -> what wraps the product so that it is called at that moment."""
