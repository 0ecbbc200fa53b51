"""`bench outbox`: what the outbox takes of a disk, that no frame waits for it, and that no verdict comes later for it.

`put` beside the bare disk with few and with many cases waiting; which thread waits for the disk in the real agent; the
step that ends a case while the broker is away, the outbox is full, the outbox drains. `--folder` should lie on the disk
that a device would use.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import cv2

from benchmarks import outbox_latency, outbox_puts, outbox_threads
from benchmarks.installation import make_configs
from benchmarks.outbox_filling import fill
from edge_agent.config import DeviceConfig

FEW, MANY = 1_000, 100_000
PUTS, CASES, ROUNDS = 300, 4, 20
NO_PORT = 9
"""Nobody is spoken to where only `put` is measured."""


def run(argv: list[str]) -> int:
    """`tankwatch bench outbox`."""
    parser = argparse.ArgumentParser("tankwatch bench outbox", description=__doc__.splitlines()[0])
    parser.add_argument("--puts", type=int, default=PUTS, help=f"of each kind (default {PUTS})")
    parser.add_argument("--waiting", type=int, default=MANY, help=f"cases in the full outbox (default {MANY:,})")
    parser.add_argument("--cases", type=int, default=CASES, help=f"immersions of the agent (default {CASES})")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"immersions a condition (default {ROUNDS})")
    parser.add_argument("--folder", type=Path, help="where the outboxes are made; default: the temporary folder")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(prefix="tankwatch-bench-", dir=options.folder) as folder:
        figures = measure(Path(folder), options.waiting, puts=options.puts, cases=options.cases, rounds=options.rounds)
    print(json.dumps(figures) if options.json else words(figures), file=sys.stdout if options.json else sys.stderr)
    return 0 if is_good(figures) else 1


def measure(folder: Path, waiting: int, *, puts: int, cases: int, rounds: int) -> dict:
    """All three, one after the other."""
    load = os.getloadavg()[0]
    small, full = (_filled(folder / name, count) for name, count in (("few", min(FEW, waiting)), ("many", waiting)))
    latency_folder = folder / "latency"
    latency_folder.mkdir()
    latency = outbox_latency.measure(latency_folder, rounds, waiting, full)
    return {
        "bench": "outbox",
        "load": round(load, 1),
        "waiting": waiting,
        "puts": puts,
        "limit_p95_ms": outbox_puts.LIMIT_P95_MS,
        "few": outbox_puts.measure(small, puts, folder / "few"),
        "many": outbox_puts.measure(full, puts, folder / "many"),
        "threads": outbox_threads.measure(folder / "threads", cases),
        "limit_more_ms": outbox_latency.LIMIT_MS,
        "latency": latency,
    }


def is_good(figures: dict) -> bool:
    """Whether all three limits of issue 7 hold."""
    quick = all(outbox_puts.is_good(figures[name]) for name in ("few", "many"))
    return quick and outbox_threads.is_good(figures["threads"]) and outbox_latency.is_good(figures["latency"])


def words(figures: dict) -> str:
    """For a person."""
    threads, latency = figures["threads"], figures["latency"]
    lines = [f"load {figures['load']} at the beginning, {latency['load']} while verdicts were timed"]
    for name, waiting in (("few", min(FEW, figures["waiting"])), ("many", figures["waiting"])):
        for kind in ("without_clip", "with_clip"):
            one = figures[name][kind]
            lines.append(
                f"put {kind.replace('_', ' ')}, {waiting} cases waiting, ms: {one['put_ms']}, "
                f"p95 at most {figures['limit_p95_ms']:g}; the disk alone {one['bare_ms']}; ratio {one['ratio']}"
            )
    lines.append(
        f"{threads['cases']} cases in {threads['frames']} frames: {threads['on_frame_thread']} on the frame thread, "
        f"{threads['elsewhere']} elsewhere"
    )
    for name, step in latency["step_ms"].items():
        more = f", {latency['more_ms'][name]} more than quiet" if name in latency["more_ms"] else ""
        lines.append(f"the step that ends a case, {name.replace('_', ' ')}, ms: {step}{more}")
    lines.append(
        f"differences within {figures['limit_more_ms']:g} ms by their medians; {latency['drained_in_turn']} receipts "
        f"in the turns of the drain, {latency['drained_per_s']} a second"
    )
    return "\n".join(lines)


def _filled(folder: Path, count: int) -> DeviceConfig:
    folder.mkdir()
    device, _ = make_configs(folder, NO_PORT)
    fill(device, count)
    return device
