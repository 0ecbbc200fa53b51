"""`drill payload`: malformed messages for the cloud and for a device; nothing crashes, stalls or goes unsaid.

Most of them go straight into the real intake, some through a real broker and `cloud ingest`, some into a device's real
uplink state. Behind each batch comes a sound message that has to be taken.
"""

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from benchmarks import payload_broker, payload_cloud, payload_device, payload_pages
from benchmarks.exercise import Exercise, Say
from benchmarks.payload_cloud import Found
from cloud_sync import db, dead_letters
from cloud_sync.tables import dead_letters as letters

FAULTS = (
    "crashes", "stalls", "silent", "not_json", "held_not", "good_lost", "deleted_wrongly", "pages_broken",
    "without_reason",
)  # fmt: skip
"""Keys of the ledger that must all be 0."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How many malformed messages meet each part; `broker`: messages sent, malformed or not."""

    cloud: int
    device: int
    broker: int
    seed: int


def plan_of(full: bool, seed: int) -> Plan:
    return Plan(910_000, 80_000, 20_000, seed) if full else Plan(2400, 400, 300, seed)


def drill(plan: Plan, folder: Path, say: Say = lambda _: None) -> dict:
    """Runs the plan in `folder` and gives the ledger."""
    began_s = time.monotonic()
    config = payload_cloud.config_in(folder)
    parts = {"cloud": payload_cloud.drilled(config, plan.cloud, plan.seed)}
    say(f"cloud: {_words(parts['cloud'])}")
    engine = db.open_database(config)
    with engine.connect() as connection:
        kept = dead_letters.refused(connection)
        unsaid = connection.scalar(sa.select(sa.func.count()).select_from(letters).where(letters.c.reason == ""))
    engine.dispose()
    broken = payload_pages.broken(config)
    say(f"pages that do not answer: {', '.join(broken) or 'none'}")
    (folder / "device").mkdir()
    parts["device"] = payload_device.drilled(folder / "device", plan.device, plan.seed)
    say(f"device: {_words(parts['device'])}")
    (folder / "broker").mkdir()
    parts["broker"] = payload_broker.drilled(folder / "broker", plan.broker, plan.seed)
    say(f"broker: {_words(parts['broker'])}")
    ledger = make_ledger(parts)
    return {
        "drill": "payload",
        **ledger,
        "without_reason": int(unsaid or 0),
        "pages_broken": ledger["pages_broken"] + len(broken),
        "letters_kept": kept.kept,
        "letters_kb": round(kept.bytes / 1000),
        "seed": plan.seed,
        "seconds": round(time.monotonic() - began_s, 1),
    }


def make_ledger(parts: dict[str, Found]) -> dict:
    """All that was seen, added up."""
    faults = sum((found.faults for found in parts.values()), Counter())
    return {
        "messages": sum(found.messages for found in parts.values()),
        "malformed": sum(found.malformed for found in parts.values()),
        "by_part": {name: found.malformed for name, found in parts.items()},
        "good": sum(found.good for found in parts.values()),
        "slowest_s": round(max(found.slowest_s for found in parts.values()), 3),
        **{name: faults[name] for name in FAULTS},
        "words": [words for found in parts.values() for words in found.words],
    }


def is_good(ledger: dict) -> bool:
    """Nothing crashed, stalled or went unsaid, and whatever was sound was taken."""
    return not any(ledger[name] for name in FAULTS) and ledger["good"] > 0 and all(ledger["by_part"].values())


def _words(found: Found) -> str:
    faults = ", ".join(f"{count} {name}" for name, count in found.faults.items()) or "no fault"
    return f"{found.malformed} of {found.messages} messages malformed, {found.good} sound ones between them: {faults}"


DRILL = Exercise("payload", __doc__.splitlines()[0], plan_of, drill, is_good)
run = DRILL.run
