"""A clip's file as records of kind (1 byte), length (u32, little-endian), payload and CRC32 over all three.

A payload may hold blobs, each behind its length. No length in a file is trusted.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, TypeVar

import msgspec

from edge_agent.errors import StoreError

MAGIC = b"TWCLIP1\n"
MAX_RECORD_BYTES = 64 * 1024 * 1024
LARGEST_JSON = 1 << 20
"""Bytes of what is no picture: a few numbers each."""
_HEAD = struct.Struct("<cI")
_NUMBER = struct.Struct("<I")
CHECKSUM_BYTES = _NUMBER.size
T = TypeVar("T")


def record(kind: bytes, payload: bytes) -> bytes:
    """One record."""
    head = _HEAD.pack(kind, len(payload))
    return head + payload + _NUMBER.pack(zlib.crc32(payload, zlib.crc32(head)))


def records(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, bytes]]:
    """Kind, place of the payload and payload of each whole record behind the magic; ends at the first broken one."""
    at = len(MAGIC)
    while at + _HEAD.size + _NUMBER.size <= size:
        head = file.read(_HEAD.size)
        kind, length = _HEAD.unpack(head)
        if length > MAX_RECORD_BYTES:
            raise StoreError(f"clip has a record of {length} bytes, limit {MAX_RECORD_BYTES}: refused")
        payload, check = file.read(length), file.read(_NUMBER.size)
        if len(check) < _NUMBER.size or _NUMBER.unpack(check)[0] != zlib.crc32(payload, zlib.crc32(head)):
            return
        yield kind, at + _HEAD.size, payload
        at += _HEAD.size + length + _NUMBER.size


def blob(data: bytes) -> bytes:
    """Bytes behind their length."""
    return _NUMBER.pack(len(data)) + data


def blobs(payload: bytes, count: int) -> list[bytes]:
    """Exactly `count` blobs, with nothing behind them. Raises StoreError."""
    found, at = [], 0
    for _ in range(count):
        if at + _NUMBER.size > len(payload):
            raise StoreError("clip holds a record that is too short: damaged")
        (length,) = _NUMBER.unpack_from(payload, at)
        found.append(payload[at + _NUMBER.size : at + _NUMBER.size + length])
        at += _NUMBER.size + length
    if at != len(payload):
        raise StoreError("clip holds a record whose lengths do not add up: damaged")
    return found


def decode(payload: bytes, kind: type[T]) -> T:
    """JSON -> `kind`. Raises StoreError."""
    if len(payload) > LARGEST_JSON:
        raise StoreError(f"clip has words of {len(payload)} bytes, limit {LARGEST_JSON}: refused")
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise StoreError(f"clip holds a damaged record: {error}") from error
