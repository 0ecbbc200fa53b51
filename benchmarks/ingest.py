"""`bench ingest`: the cloud's intake in batches against the same intake with a commit for each message, and the whole
way through a real Mosquitto against subscribers that keep nothing.

All run alternately; the figures are medians of the rounds' ratios. What a commit costs is the disk's matter, so the
folder should lie where the real database would (`--folder`).
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks import ingest_end_to_end
from benchmarks.made_cases import make_case
from cloud_sync.config import CloudConfig
from cloud_sync.db import open_database
from cloud_sync.dead_letters import Message
from cloud_sync.folder_store import FolderStore
from cloud_sync.intake import Intake
from edge_agent import wire

BATCH = 500
LIMIT_RATIO = 20.0
LIMITS = {"of_paho": 0.90, "of_mosquitto_sub": 0.40}
"""Of a paho subscriber that does nothing, and of Mosquitto's own in C."""


def run(argv: list[str]) -> int:
    """`tankwatch bench ingest`."""
    parser = argparse.ArgumentParser("tankwatch bench ingest", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--messages", type=int, default=ingest_end_to_end.MESSAGES, help="of a round, through Mosquitto"
    )
    parser.add_argument(
        "--folder", type=Path, help="where the databases are made; default: the system's temporary folder"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        figures = measure(Path(folder), options.rounds)
        figures |= ingest_end_to_end.measure(Path(folder), options.rounds, options.messages)
    if options.json:
        print(json.dumps(figures))
    else:
        print(_words(figures), file=sys.stderr)
    return 0 if is_good(figures) else 1


def is_good(figures: dict) -> bool:
    """A share that could not be measured, without mosquitto_sub, is no fault."""
    shares = all(figures[name] is None or figures[name] >= limit for name, limit in LIMITS.items())
    return shares and figures["ratio"] >= LIMIT_RATIO


def measure(folder: Path, rounds: int) -> dict:
    """Rates in cases a second, and the median ratio of the rounds."""
    batched, single = _intake(folder / "batched"), _intake(folder / "single")
    messages, each = _messages(rounds * 4000), _messages(rounds * 200)
    fast, slow = [], []
    for turn in range(rounds):
        slow.append(_rate(single, each[turn * 200 : (turn + 1) * 200], 1))
        fast.append(_rate(batched, messages[turn * 4000 : (turn + 1) * 4000], BATCH))
    return {
        "bench": "ingest",
        "batched_per_s": round(statistics.median(fast)),
        "commit_per_message_per_s": round(statistics.median(slow)),
        "ratio": round(statistics.median(a / b for a, b in zip(fast, slow, strict=True)), 1),
        "limit_ratio": LIMIT_RATIO,
        "batch": BATCH,
        "rounds": rounds,
    }


def _rate(intake: Intake, messages: Sequence[Message], batch: int) -> float:
    began_s = time.perf_counter()
    for at in range(0, len(messages), batch):
        intake.handle(messages[at : at + batch], 0.0)
    return len(messages) / (time.perf_counter() - began_s)


def _intake(folder: Path) -> Intake:
    return Intake(open_database(CloudConfig(data_dir=str(folder))), FolderStore(folder), max_clip_bytes=1_000_000)


def _messages(count: int) -> list[Message]:
    """As one station numbers its cases."""
    made = (msgspec.structs.replace(make_case(number), sequence=number) for number in range(1, count + 1))
    return [Message(wire.Topics(case.site, case.station).case, wire.encode(case)) for case in made]


def _words(figures: dict) -> str:
    lines = [
        f"{figures['batched_per_s']} cases/s in batches of {BATCH}, {figures['commit_per_message_per_s']} one by one: "
        f"ratio {figures['ratio']}, limit {LIMIT_RATIO}",
        f"through {figures['broker']}: {figures['ingest_per_s']} cases/s committed and receipted; "
        f"{figures['paho_per_s']} messages/s by a bare paho, {figures['mosquitto_sub_per_s']} by mosquitto_sub",
        *(f"{name} {figures[name]}, limit {limit}" for name, limit in LIMITS.items()),
    ]
    return "\n".join(lines)
