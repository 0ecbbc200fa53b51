"""`drill model`: hostile bundles and every turned bit; refused before any runtime, with little memory and time.

Each is opened by the product's own `open_bundle` in a child under limits, which says what it took. What a hostile maker
gets past the checks, by a bit that makes no fault of form, is run by the real runtime in a child of its own.
"""

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks import hostile_files
from benchmarks.exercise import Exercise, Say
from benchmarks.hostile_child import Outcome, Task
from benchmarks.sealing import members_of
from edge_agent.bundle import MANIFEST, NET_NAMES, open_bundle
from edge_agent.inspection import shipped_bundle

MOST_S, MOST_MB = 2.0, 256.0
HOME = Path(__file__).resolve().parent.parent
CHUNK = 500
"""Changes in one task."""
FAULTS = ("let_in", "crashes", "runtime", "slow", "large", "without_reason", "turned_let_in", "cuts_let_in", "raised")
"""Keys of the ledger that must all be 0."""
SMALL_NET = "nets/detector.onnx"


@dataclass(frozen=True, slots=True)
class Plan:
    """How many bits are turned: of the small bundle as it is (`whole`: all of them), of the shipped one, of small and
    shipped nets and of the manifest that are sealed anew; and how many of what was let in are run."""

    seed: int
    whole: int
    shipped: int
    sealed: int
    run: int


ALL = sys.maxsize


def plan_of(full: bool, seed: int) -> Plan:
    return Plan(seed, ALL, 20_000, ALL, 3000) if full else Plan(seed, 3000, 150, 1200, 60)


@dataclass(slots=True)
class Found:
    """What was seen."""

    counts: Counter
    words: list[str]
    worst_s: float = 0.0
    worst_mb: float = 0.0

    def add(self, name: str, outcome: Outcome | None, fault: str) -> None:
        """`fault`: what being let in counts as."""
        if outcome is None:
            self.counts["crashes"] += 1
            self.words.append(f"{name}: the child that opens it has died")
            return
        self.worst_s, self.worst_mb = max(self.worst_s, outcome.worst_s), max(self.worst_mb, outcome.worst_mb)
        slow, large = outcome.worst_s > MOST_S, outcome.worst_mb > MOST_MB
        self.counts += Counter(
            refused=outcome.refused,
            slow=slow,
            large=large,
            runtime=outcome.runtime,
            raised=len(outcome.faults),
            without_reason=outcome.without_reason,
        )
        self.counts[fault] += outcome.let_in
        if slow or large or outcome.faults or (outcome.let_in and fault in FAULTS):
            took = f"{outcome.worst_s:.2f} s, {outcome.worst_mb:.0f} MB, {outcome.let_in} let in"
            self.words.append(f"{name}: {took} {outcome.faults[:2]}")


def drill(plan: Plan, folder: Path, say: Say = lambda _: None) -> dict:
    """Runs the plan in `folder` and gives the ledger."""
    began_s, found = time.monotonic(), Found(Counter(), [])
    counts = _drilled(found, plan, folder, say)
    return {
        "drill": "model",
        **counts,
        "refused": found.counts["refused"],
        "passed": found.counts["passed"],
        "worst_s": round(found.worst_s, 3),
        "worst_mb": round(found.worst_mb, 1),
        **{name: found.counts[name] for name in FAULTS},
        "words": found.words[:20],
        "seed": plan.seed,
        "seconds": round(time.monotonic() - began_s, 1),
    }


def _drilled(found: Found, plan: Plan, folder: Path, say: Say) -> dict[str, object]:
    """How much of what was done."""
    chance, shipped = random.Random(plan.seed), shipped_bundle()
    small, kept = folder / "small.bundle", folder / "kept"
    small.write_bytes(hostile_files.small(open_bundle(shipped)))
    kept.mkdir()
    files = _named(small, folder)
    for (name, _), outcome in zip(files, opened([task for _, task in files]), strict=True):
        found.add(name, outcome, "let_in")
    say(f"{len(files)} hostile files: {found.counts['refused']} refused, {found.counts['let_in']} let in")
    turned = [*_bits(small, "", plan.whole, chance), *_bits(shipped, "", plan.shipped, chance)]
    _take(found, turned, "turned_let_in", say, "bits turned")
    _take(found, [*_cuts(small, ""), *_cuts(shipped, "", 200)], "cuts_let_in", say, "cuts")
    changed = _sealed(small, shipped, plan, chance, kept)
    _take(found, changed, "passed", say, "changes sealed anew")
    tried = Counter(ran(_some(sorted(kept.iterdir()), plan.run, chance)))
    say(f"of {found.counts['passed']} let in {sum(tried.values())} were run: {dict(tried)}")
    return {
        "files": len(files),
        "turned": sum(len(task.bits) for task in turned),
        "sealed": sum(len(task.bits) + len(task.cuts) for task in changed),
        "tried": dict(sorted(tried.items())),
    }


def is_good(ledger: dict) -> bool:
    """All refused in time, and what passes is a bundle like any other, which only its trial may run."""
    return not any(ledger[name] for name in FAULTS) and ledger["files"] > 0 and ledger["turned"] > 0


def opened(tasks: Iterable[Task]) -> Iterator[Outcome | None]:
    """Each task's outcome; None where the child has died, which is started anew for the next one."""
    waiting = list(tasks)
    while waiting:
        with _child("benchmarks.hostile_child") as child:
            assert child.stdin and child.stdout
            while waiting:
                child.stdin.write(msgspec.json.encode(waiting.pop(0)) + b"\n")
                child.stdin.flush()
                line = child.stdout.readline()
                yield msgspec.json.decode(line, type=Outcome) if line else None
                if not line:
                    break


def ran(paths: Iterable[Path]) -> Iterator[str]:
    """What the runtime made of each."""
    with _child("benchmarks.hostile_trial") as child:
        assert child.stdin and child.stdout
        for path in paths:
            child.stdin.write(f"{path}\n".encode())
            child.stdin.flush()
            yield child.stdout.readline().decode().strip() or "no word"


def _take(found: Found, tasks: list[Task], fault: str, say: Say, what: str) -> None:
    before = found.counts["refused"]
    for task, outcome in zip(tasks, opened(tasks), strict=True):
        found.add(f"{what} in {Path(task.path).name} {task.member}", outcome, fault)
    say(f"{what}: {found.counts['refused'] - before} refused, {found.counts[fault]} let in")


def _named(small: Path, folder: Path) -> list[tuple[str, Task]]:
    """Every hostile file, on the disk."""
    tasks = []
    for number, (name, data) in enumerate(hostile_files.hostile(small.read_bytes()).items()):
        path = folder / f"{number}.bundle"
        path.write_bytes(data)
        tasks.append((name, Task(path=str(path))))
    return tasks


def _sealed(small: Path, shipped: Path, plan: Plan, chance: random.Random, kept: Path) -> list[Task]:
    """Changes that only the checks of content can find: a maker who means harm makes the hashes fit."""
    shipped_count = min(plan.sealed, 4000)
    tasks = [*_bits(small, SMALL_NET, plan.sealed, chance, kept), *_bits(small, MANIFEST, plan.sealed, chance, kept)]
    for net in NET_NAMES:
        tasks += _bits(shipped, f"nets/{net}.onnx", shipped_count // 40, chance, kept)
    return [*tasks, *_cuts(small, SMALL_NET), *_cuts(small, MANIFEST, plan.sealed)]


def _bits(path: Path, member: str, count: int, chance: random.Random, kept: Path | None = None) -> list[Task]:
    """All bits, or so many of them by lot."""
    size = 8 * len(_content(path, member))
    chosen = range(size) if count >= size else sorted(chance.sample(range(size), count))
    return [
        Task(path=str(path), member=member, bits=list(chosen[at : at + CHUNK]), keep=str(kept or ""))
        for at in range(0, len(chosen), CHUNK)
    ]


def _cuts(path: Path, member: str, count: int = ALL) -> list[Task]:
    """Every length, or so many of them evenly."""
    size = len(_content(path, member))
    lengths = list(range(0, size, max(1, size // count)))
    return [Task(path=str(path), member=member, cuts=lengths[at : at + CHUNK]) for at in range(0, len(lengths), CHUNK)]


def _content(path: Path, member: str) -> bytes:
    return members_of(path.read_bytes())[member] if member else path.read_bytes()


def _some(paths: list[Path], count: int, chance: random.Random) -> list[Path]:
    return paths if len(paths) <= count else chance.sample(paths, count)


@contextmanager
def _child(module: str) -> Iterator[subprocess.Popen]:
    command = [sys.executable, "-m", module]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=HOME)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


DRILL = Exercise("model", __doc__.splitlines()[0], plan_of, drill, is_good)
run = DRILL.run
