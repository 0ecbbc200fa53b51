"""`drill restore`: the cloud is lost with everything in it and comes back from a backup; the devices close the gap.

Real outbox, uplink, broker and ingest. Cases come before the backup, wait on the device while it is made, come after it
and while there is no cloud at all. What counts as said is what lies in the device's spool.
"""

import argparse
import contextlib
import functools
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2
import sqlalchemy as sa

from benchmarks import feeding
from benchmarks import ledger as books
from benchmarks.installation import SETTLE_S, Processes, make_configs, sending, until
from benchmarks.made_cases import SITE, STATION, make_case
from cloud_sync import backup, db, judgement, ordering, policy_file, resend, restore
from cloud_sync import config as cloud_config
from cloud_sync.broker import EmbeddedBroker
from cloud_sync.config import CloudConfig
from cloud_sync.judgement import Desk, Review
from cloud_sync.store import open_store
from cloud_sync.tables import cases, clips, reviews
from edge_agent import wire
from edge_agent.config import DeviceConfig
from edge_agent.outbox import Outbox
from edge_agent.spool import Spool

PARTS = 4
"""Before the backup; unsent while it is made; between backup and loss; while there is no cloud."""
JUDGED = 5
READY_S = 20.0
FRONT_DOOR = Path(__file__).resolve().parent.parent / "tankwatch.py"
KILL_EVERY_S = 1.5


@dataclass(frozen=True, slots=True)
class Plan:
    """How many cases, and whether uplink and ingest are killed while the gap is closed."""

    cases: int
    kills: int
    seed: int


@dataclass(frozen=True, slots=True)
class Site:
    """The two sides and the processes between them."""

    device: DeviceConfig
    cloud: CloudConfig
    processes: Processes
    backup: Path


def run(argv: list[str]) -> int:
    """`tankwatch drill restore`; ends with 1 if anything is lost or there twice."""
    parser = argparse.ArgumentParser("tankwatch drill restore", description="The cloud is lost and restored.")
    parser.add_argument("--cases", type=int, help="default 60, with --full 1000")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--full", action="store_true", help="more cases; uplink and ingest are killed on the way")
    parser.add_argument("--json", action="store_true", help="only the ledger, as one JSON object")
    options = parser.parse_args(argv)
    count = options.cases or (1000 if options.full else 60)
    if count < PARTS:
        parser.error(f"--cases: at least {PARTS}")
    plan = Plan(count, 12 if options.full else 0, options.seed)
    with tempfile.TemporaryDirectory(prefix="tankwatch-drill-") as folder:
        ledger = drill(plan, Path(folder), say=lambda words: print(words, file=sys.stderr))
    print(json.dumps(ledger) if options.json else _words(ledger))
    return 0 if is_good(ledger) else 1


def is_good(ledger: dict) -> bool:
    """Nothing lost, nothing twice, no judgement gone, and as many cases as were asked for."""
    return books.is_clean(ledger) and not ledger["judgements_lost"] and ledger["cases"] == ledger["asked"]


def drill(
    plan: Plan,
    folder: Path,
    *,
    kind: Callable[[CloudConfig], CloudConfig] = lambda config: config,
    say: Callable[[str], None] = lambda _: None,
) -> dict:
    """Runs the plan in `folder` and gives the ledger. `kind`: the same cloud on another database and store."""
    cv2.setNumThreads(1)
    began_s = time.monotonic()
    with ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker(0, folder / "broker"))
        device, cloud = make_configs(folder, broker.port)
        cloud, config = kind(cloud), folder / "cloud.toml"
        config.write_bytes(cloud_config.dump(cloud))
        outbox = stack.enter_context(contextlib.closing(Outbox.open(device.outbox_path, device.spool_path)))
        processes = Processes(
            {
                "ingest": functools.partial(_become_ingest, config, folder / "ingest.log"),
                "uplink": sending(device, folder),
            }
        )
        stack.callback(processes.stop)
        site = Site(device, cloud, processes, folder / "backup")
        found = _lose_and_restore(plan, site, outbox, folder / "ingest.log", say)
        ledger = make_ledger(plan, site) | found
    return ledger | {"broker": broker.name, "seconds": round(time.monotonic() - began_s, 1)}


def make_ledger(plan: Plan, site: Site) -> dict:
    """What the device has said against what the restored cloud holds, byte for byte."""
    spoken = books.said_in(Spool(site.device.spool_path))
    engine = db.open_database(site.cloud)
    found = books.compare(engine, spoken, store=open_store(site.cloud))
    engine.dispose()
    return {"drill": "restore", "asked": plan.cases, **found, "seed": plan.seed}


def _lose_and_restore(plan: Plan, site: Site, outbox: Outbox, log: Path, say: Callable[[str], None]) -> dict:
    numbers = [range(1 + part, plan.cases + 1, PARTS) for part in range(PARTS)]
    made: list[int] = []

    def make(part: int) -> None:
        for number in numbers[part]:
            feeding.put_now(outbox, number, plan.seed)
        made.extend(numbers[part])

    _start_ingest(site, log)
    site.processes.start("uplink")
    make(0)
    _settle(site, made)
    _judge(site)
    site.processes.kill("uplink")
    make(1)
    saved = _back_up(site)
    say(f"backup with {saved.count('cases')} cases; {len(numbers[1])} wait on the device")
    site.processes.start("uplink")
    make(2)
    _settle(site, made)
    site.processes.kill("ingest")
    _destroy(site.cloud)
    make(3)
    say(f"{len(made)} cases are made; the cloud is gone")
    done = restore.put_back(site.backup, site.cloud, force=False, now=db.now())
    restored = _held(site)
    _start_ingest(site, log)
    text = _resend(site)
    say(f"restored: {restored[0]} cases, {done.clips_copied} clips; the device says: {text}")
    _kill_on_the_way(plan, site)
    _settle(site, made)
    return {
        "held_after_restore": restored[0],
        "judgements_lost": saved.count("reviews") - _judgements(site),
        "kills": plan.kills,
    }


def _become_ingest(config: Path, log: Path) -> None:
    """The command itself, since what talks to a bucket does not survive a fork."""
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    command = ("cloud", "ingest", "--config", str(config))
    os.execv(sys.executable, [sys.executable, str(FRONT_DOOR), *command])


def _start_ingest(site: Site, log: Path) -> None:
    """Returns once it listens."""
    db.open_database(site.cloud).dispose()
    before = log.read_text().count("connected broker") if log.is_file() else 0
    site.processes.start("ingest")
    until(lambda: log.is_file() and log.read_text().count("connected broker") > before, READY_S)


def _judge(site: Site) -> None:
    """Experts' words are what no device can send again."""
    engine = db.open_database(site.cloud)
    with engine.connect() as connection:
        wanted = connection.scalars(sa.select(cases.c.case_id).where(cases.c.sampled_for != "none").limit(JUDGED)).all()
    policy, _ = policy_file.load(site.cloud)
    desk = Desk(policy, random.Random(0))
    for case_id in wanted:
        judgement.record(engine, desk, case_id, Review(judgement="ok", familiar=True), "drill", db.now())
    engine.dispose()


def _back_up(site: Site) -> backup.Backup:
    """While ingest runs."""
    engine = db.open_database(site.cloud)
    bundles = site.cloud.folder / backup.BUNDLES
    made = backup.make(engine, open_store(site.cloud), site.backup, db.now(), bundles=bundles)
    engine.dispose()
    return made


def _destroy(cloud: CloudConfig) -> None:
    """Every row, every clip, and the folder."""
    engine, store = db.open_database(cloud), open_store(cloud)
    for sha256, _ in list(store.held()):
        store.remove(sha256)
    db.migrate(engine, "base")
    engine.dispose()
    shutil.rmtree(cloud.folder)


def _resend(site: Site) -> str:
    """As `cloud resend` without a time does it."""
    engine = db.open_database(site.cloud)
    with engine.connect() as connection:
        since = resend.missing_since(connection, SITE, STATION, db.now())
    engine.dispose()
    command = resend.order(since, datetime.now(UTC))
    answer = ordering.give(site.cloud.broker, wire.Topics(SITE, STATION), command, SETTLE_S)
    return resend.said(answer, f"{SITE}/{STATION}", command, SETTLE_S)


def _kill_on_the_way(plan: Plan, site: Site) -> None:
    chance = random.Random(plan.seed)
    for _ in range(plan.kills):
        time.sleep(chance.uniform(0, KILL_EVERY_S))
        victim = chance.choice(("uplink", "ingest"))
        site.processes.kill(victim)
        site.processes.start(victim)


def _settle(site: Site, made: list[int]) -> None:
    """Until the cloud has everything, or so long that what is missing then is lost."""
    wanted = len(made), sum(make_case(number).sampled.reason != "none" for number in made)
    until(lambda: _held(site) == wanted, SETTLE_S)


def _held(site: Site) -> tuple[int, int]:
    engine = db.open_database(site.cloud)
    with engine.connect() as connection:
        found = (
            connection.scalar(sa.select(sa.func.count()).select_from(cases)) or 0,
            connection.scalar(sa.select(sa.func.count()).where(clips.c.state == "stored")) or 0,
        )
    engine.dispose()
    return found


def _judgements(site: Site) -> int:
    engine = db.open_database(site.cloud)
    with engine.connect() as connection:
        found = connection.scalar(sa.select(sa.func.count()).select_from(reviews)) or 0
    engine.dispose()
    return found


def _words(ledger: dict) -> str:
    return (
        f"{ledger['cases']} cases, {ledger['held_after_restore']} of them in the backup: {ledger['lost']} lost, "
        f"{ledger['duplicated']} duplicated, {ledger['clips_lost']} of {ledger['clips']} clips lost, "
        f"{ledger['judgements_lost']} judgements lost; {ledger['seconds']} s with {ledger['broker']}"
    )
