"""`bench rollout`: one decision on a rollout of 1,000 devices, from the first read to the commit of every wish.

Two of them: a look that watches every gate on every device and changes nothing, and the heaviest one, which takes the
bundle back from all devices at once. The baseline of both is a bare read of the rows that they stand on, in the same
round. Ends with 1 where a decision takes longer than its limit.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from benchmarks import made_fleet
from benchmarks.made_fleet import NEW
from cloud_sync import db, rollouts
from cloud_sync.config import CloudConfig
from cloud_sync.rollout_plan import Plan
from cloud_sync.tables import case_groups, desired, device_health, stations

DEVICES = 1000
ROUNDS = 5
LIMIT_S = 1.0
NOW = 1_795_000_000.0
HOUR_S = 3600.0
ALL_AT_ONCE = Plan(steps=(1.0,), soak_h=1000.0, least_cases=1)


def run(argv: list[str]) -> int:
    """`tankwatch bench rollout`."""
    parser = argparse.ArgumentParser("tankwatch bench rollout", description=__doc__.splitlines()[0])
    parser.add_argument("--devices", type=int, default=DEVICES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--database", help="SQLAlchemy URL of an empty database; default: SQLite in a temporary folder")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        config = CloudConfig(data_dir=folder, database=options.database)
        figures = measure(config, options.devices, options.rounds)
    print(json.dumps(figures) if options.json else _words(figures), file=sys.stdout if options.json else sys.stderr)
    return 0 if max(figures["watch_s"], figures["take_back_s"]) <= LIMIT_S else 1


def measure(config: CloudConfig, devices: int, rounds: int) -> dict:
    """Medians of the rounds, wall seconds, and of the rounds' ratios to the baseline."""
    engine = db.open_database(config)
    with engine.begin() as connection:
        made_fleet.add_bundles(connection)
        made_fleet.add_devices(connection, devices, NOW)
    watch, back, bare = [], [], []
    for number in range(rounds):
        now = NOW + number * HOUR_S
        with engine.begin() as connection:
            places = made_fleet.places(devices)
            rollout = rollouts.begin(
                connection, NEW.sha256, places, plan=ALL_AT_ONCE, who="bench", reason="a round", now=now
            )
        rollouts.step(engine, now)
        with engine.begin() as connection:
            made_fleet.all_took(connection, devices, now + 100)
        rollouts.step(engine, now + 101)
        with engine.begin() as connection:  # metrics that speak of the new bundle alone
            connection.execute(sa.update(device_health).values(at=now + 200))
        bare.append(_took(lambda: _bare(engine)))
        watch.append(_took(lambda now=now: rollouts.step(engine, now + 300)))
        back.append(_took(lambda now=now, rollout=rollout: _take_back(engine, rollout, now + 400)))
        with engine.begin() as connection:
            rollouts.act(connection, rollout, "abort", who="bench", reason="end of the round", now=now + 500)
            made_fleet.nobody_took(connection)
    engine.dispose()
    return {
        "bench": "rollout",
        "devices": devices,
        "rounds": rounds,
        "watch_s": round(statistics.median(watch), 3),
        "take_back_s": round(statistics.median(back), 3),
        "bare_read_s": round(statistics.median(bare), 3),
        "watch_ratio": round(statistics.median(one / base for one, base in zip(watch, bare, strict=True)), 1),
        "take_back_ratio": round(statistics.median(one / base for one, base in zip(back, bare, strict=True)), 1),
        "limit_s": LIMIT_S,
    }


def _take_back(engine: Engine, rollout: int, now: float) -> None:
    """A look at the fleet, and the step that wishes every device its former bundle."""
    rollouts.step(engine, now)
    with engine.begin() as connection:
        rollouts.act(connection, rollout, "back", who="bench", reason="the heaviest step", now=now)


def _bare(engine: Engine) -> None:
    """The same rows, and nothing made of them."""
    with engine.connect() as connection:
        for table in (stations, device_health, desired):
            connection.execute(sa.select(table)).all()
        group = case_groups.c
        keys = (group.site, group.station, group.bundle_sha256)
        connection.execute(sa.select(*keys, sa.func.sum(group.cases)).group_by(*keys)).all()


def _took(do) -> float:
    began_s = time.perf_counter()
    do()
    return time.perf_counter() - began_s


def _words(figures: dict) -> str:
    return (
        f"{figures['devices']} devices: a look {figures['watch_s']} s ({figures['watch_ratio']} times a bare read), "
        f"taken back from all {figures['take_back_s']} s ({figures['take_back_ratio']} times), limit {LIMIT_S} s"
    )
