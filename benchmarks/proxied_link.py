"""One connection through a fault proxy and what holds in its two directions; how its ends are left and closed."""

import asyncio
import socket
import struct
import time
from dataclasses import dataclass, field

from benchmarks.link_faults import Fault, Kind, Side

_ESTABLISHED = 1
"""The first byte of Linux's TCP_INFO."""


@dataclass(frozen=True, slots=True)
class Noticed:
    """A link that swallowed everything, and after how long one of its two ends left it."""

    kind: Kind
    side: Side
    after_s: float


@dataclass(slots=True, eq=False)
class Link:
    """One client's connection and the one that was made for it."""

    client: asyncio.StreamWriter
    broker: asyncio.StreamWriter | None = None
    swallows: dict[bool, bool] = field(default_factory=dict)
    """By direction, upward or not; the value: its buffers fill."""
    swallowed_by: Kind | None = None
    since_s: float = 0.0

    def sink(self, upward: bool) -> asyncio.StreamWriter | None:
        return self.broker if upward else self.client

    def send(self, packet: bytes, upward: bool) -> None:
        sink = self.sink(upward)
        if sink is not None and not sink.is_closing():
            sink.write(packet)

    def end(self, *, hard: bool = False) -> None:
        for writer in (self.client, self.broker):
            if writer is not None:
                close(writer, hard)

    def swallow(self, fault: Fault, *directions: bool) -> None:
        self.swallows |= dict.fromkeys(directions, fault.hard)
        self.swallowed_by, self.since_s = self.swallowed_by or fault.kind, time.monotonic()


@dataclass(slots=True)
class Course:
    """What holds in one direction at the moment."""

    still_until_s: float = 0.0
    slow_until_s: float = 0.0
    lose_acks: int = 0
    held_acks: list[tuple[Link, bytes]] | None = None
    overtaken: list[tuple[Link, bytes, int]] = field(default_factory=list)


async def until_closed(writer: asyncio.StreamWriter | None) -> None:
    """Of a link whose bytes nobody reads; only its owner's leaving ends it."""
    while writer is not None and not writer.is_closing() and not _has_left(writer):
        await asyncio.sleep(0.1)


def _has_left(writer: asyncio.StreamWriter) -> bool:
    """TCP's own word on it: no longer ESTABLISHED."""
    found = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    return bool(found[0] != _ESTABLISHED)


def close(writer: asyncio.StreamWriter, hard: bool) -> None:
    if writer.is_closing():
        return
    if hard:
        reset = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        writer.transport.abort()
    else:
        writer.close()
