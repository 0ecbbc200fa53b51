"""`python -m benchmarks.hostile_child`: opens bundles that may do harm, under limits, and says what each took.

A JSON line in is one Task, a JSON line out one Outcome: how many were refused, the most memory and CPU time that any
took, and whether a runtime of nets was ever loaded. What the checks let in is kept in a folder.
"""

import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.sealing import Members, members_of, sealed
from edge_agent.bundle import open_bundle, parse_bundle
from edge_agent.errors import ModelError

MOST_S, MOST_BYTES = 600, 2 << 30


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One file, or one file changed many times."""

    path: str
    bits: list[int] = []
    """Turned, one at a time."""
    cuts: list[int] = []
    """Bytes that are left, one at a time."""
    member: str = ""
    """Which member is changed; the bundle is sealed anew then. Empty: the file as a whole."""
    keep: str = ""
    """Folder for what was let in."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a task."""

    refused: int
    let_in: int
    worst_s: float
    worst_mb: float
    runtime: bool
    words: str = ""
    """The last refusal."""
    without_reason: int = 0
    faults: list[str] = []
    """Whatever else was raised."""


def main() -> None:
    """Until stdin ends."""
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_S, MOST_S))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(msgspec.json.encode(_done(msgspec.json.decode(line, type=Task))) + b"\n")
        sys.stdout.buffer.flush()


def _done(task: Task) -> Outcome:
    counts, worst_s, worst_mb, words, faults = Counter[str](), 0.0, 0.0, "", []
    for number, data in enumerate(_files(task)):
        _forget_peak()
        began_s = time.process_time()
        try:
            open_bundle(task.path) if data is None else parse_bundle(data, "hostile.bundle")
            counts["let_in"] += 1
            if task.keep and data is not None:
                (Path(task.keep) / f"{task.member.replace('/', '-')}-{number}.bundle").write_bytes(data)
        except ModelError as error:
            words = str(error)
            counts["refused"] += 1
            counts["without_reason"] += ":" not in words or "\n" in words or len(words) > 600
        except Exception as error:  # noqa: BLE001 - whatever it raises is what the drill looks for
            faults.append(f"{type(error).__name__}: {error}"[:200])
        worst_s, worst_mb = max(worst_s, time.process_time() - began_s), max(worst_mb, _peak_mb())
    return Outcome(
        refused=counts["refused"],
        let_in=counts["let_in"],
        without_reason=counts["without_reason"],
        worst_s=worst_s,
        worst_mb=worst_mb,
        runtime="onnxruntime" in sys.modules,
        words=words[:300],
        faults=faults[:20],
    )


def _files(task: Task) -> Iterator[bytes | None]:
    """The changed files; None stands for the file as it lies."""
    if not task.bits and not task.cuts:
        yield None
        return
    whole = Path(task.path).read_bytes()
    members: Members = members_of(whole) if task.member else {}
    content = members[task.member] if task.member else whole
    for changed in _changed(content, task):
        yield sealed(members | {task.member: changed}) if task.member else changed


def _changed(content: bytes, task: Task) -> Iterator[bytes]:
    for bit in task.bits:
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)
    for length in task.cuts:
        yield content[:length]


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> float:
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
