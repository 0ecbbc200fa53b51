"""What a drill asks of a cloud while cases flow into it: how much is held, does more come, has everything come.

Whoever forks between two looks must leave no connection open: each look makes its own.
"""

import itertools
import time
from collections.abc import Iterator, Mapping

import sqlalchemy as sa

from benchmarks.installation import SETTLE_S, Processes, until
from benchmarks.ledger import SaidCase, said_in
from cloud_sync.tables import cases, clips
from edge_agent.config import DeviceConfig
from edge_agent.outbox import Outbox

COMES_S = 60.0
"""The device tries its broker at most 30 s apart."""


def open_to_look(url: str) -> sa.Engine:
    """The database, without a connection that stays."""
    return sa.create_engine(url, poolclass=sa.pool.NullPool)


def held(engine: sa.Engine) -> int:
    """Cases in the database; -1 where it does not answer."""
    return _count(engine, sa.select(sa.func.count()).select_from(cases))


def stored(engine: sa.Engine) -> int:
    """Whole clips; -1 where the database does not answer."""
    return _count(engine, sa.select(sa.func.count()).where(clips.c.state == "stored"))


def seconds_until_more(engine: sa.Engine) -> float | None:
    """How long it took until another case was held; None where none came."""
    before, began_s = held(engine), time.monotonic()
    came = until(lambda: held(engine) > before, COMES_S, every_s=0.02)
    return time.monotonic() - began_s if came else None


def settle(engine: sa.Engine, spoken: Mapping[str, SaidCase]) -> None:
    """Waits until everything that was said is there, or nothing new has come for longer than two re-sends take."""
    wanted = len(spoken), len({case.clip_sha256 for case in spoken.values() if case.clip_sha256})
    seen, since_s = (-1, -1), time.monotonic()
    while seen < wanted and time.monotonic() - since_s < SETTLE_S:
        time.sleep(0.1)
        now = held(engine), stored(engine)
        if now != seen:
            seen, since_s = now, time.monotonic()


def last_word(processes: Processes, device: DeviceConfig) -> dict[str, SaidCase]:
    """The process that makes cases is killed, and the device starts once more: a `put` that was cut off after its file
    is done then. All that was said, by case id."""
    processes.kill("inspect")
    outbox = Outbox.open(device.outbox_path, device.spool_path)
    outbox.close()
    return said_in(outbox.spool)


def numbers(few_clips: bool = True) -> Iterator[int]:
    """Of made cases without end; `few_clips`: of the disagreements, which have clips, one in five."""
    return (number for number in itertools.count(1) if not few_clips or number % 3 or number % 15 == 0)


def _count(engine: sa.Engine, query: sa.Select) -> int:
    try:
        with engine.connect() as connection:
            return connection.scalar(query) or 0
    except sa.exc.OperationalError:
        return -1
