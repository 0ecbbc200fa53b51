"""PURE. Lines of the audit log -> whether each follows from the one before it, and whether published ends still hold.

A line's hash is taken over the hash before it and the line itself, so that no line can be changed, taken out, put in
or moved without every later hash being other than it was. What was published tells a log that was cut off or written
anew.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec


class Line(msgspec.Struct, frozen=True):
    """Who did what, and when."""

    id: int
    at: float
    """UTC, seconds since 1970."""
    who: str
    address: str
    did: str
    about: str
    hash: str = ""


class Head(msgspec.Struct, frozen=True):
    """The end of the log as it was published."""

    at: float
    """UTC, seconds since 1970."""
    last_id: int
    hash: str


class Fault(msgspec.Struct, frozen=True):
    """The first line that is not as it was written."""

    line: int
    words: str


class Checked(msgspec.Struct, frozen=True):
    """What a look at the whole log has found."""

    lines: int
    heads: int
    last_id: int
    hash: str
    fault: Fault | None = None


def chained(before: str, line: Line) -> str:
    """The line's hash, 64 hex digits; `before` is the hash of the line before it, empty for the first."""
    parts = [line.id, line.at, line.who, line.address, line.did, line.about]
    text = json.dumps(parts, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256((before + text).encode()).hexdigest()


def check(lines: Iterable[Line], end: Head, heads: Sequence[Head]) -> Checked:
    """`lines` by rising id; `end` is the database's own note of the last line, `heads` what was published."""
    published = _by_line(heads)
    last, count = Head(0.0, 0, ""), 0
    for line in lines:
        fault = _misfit(last, line) or _other_than_published(line, published.pop(line.id, []))
        if fault:
            return Checked(count, len(heads), last.last_id, last.hash, fault)
        last, count = Head(line.at, line.id, line.hash), count + 1
    return Checked(count, len(heads), last.last_id, last.hash, _cut_off(last, end, published))


def _by_line(heads: Sequence[Head]) -> dict[int, list[Head]]:
    found: dict[int, list[Head]] = {}
    for head in heads:
        if head.last_id > 0:  # nothing was written yet
            found.setdefault(head.last_id, []).append(head)
    return found


def _misfit(last: Head, line: Line) -> Fault | None:
    if chained(last.hash, line) == line.hash:
        return None
    if line.id > last.last_id + 1:
        gone = _span(last.last_id + 1, line.id - 1)
        return Fault(last.last_id + 1, f"{gone} missing: line {line.id} does not follow from line {last.last_id}")
    return Fault(line.id, f"line {line.id} is not what was written, or not in its place: its hash does not fit")


def _other_than_published(line: Line, heads: Sequence[Head]) -> Fault | None:
    for head in heads:
        if head.hash != line.hash:
            words = f"line {line.id} is not the one that was published on {_day(head.at)}: the log was written anew"
            return Fault(line.id, words)
    return None


def _cut_off(last: Head, end: Head, published: dict[int, list[Head]]) -> Fault | None:
    """What is left over in `published` names lines that are no longer there."""
    if published:
        number = min(published)
        if number > last.last_id:
            words = f"the log ends at line {last.last_id}, but line {max(published)} was published on "
            return Fault(last.last_id + 1, words + f"{_day(published[max(published)][0].at)}: its end is missing")
        return Fault(number, f"line {number}, published on {_day(published[number][0].at)}, is missing")
    if end.last_id > last.last_id:
        return Fault(last.last_id + 1, f"{_span(last.last_id + 1, end.last_id)} missing at the end of the log")
    if (end.last_id, end.hash) != (last.last_id, last.hash):
        return Fault(end.last_id + 1, f"the log was to end at line {end.last_id}: what follows was added past it")
    return None


def _span(first: int, last: int) -> str:
    return f"line {first} is" if first == last else f"lines {first} to {last} are"


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
