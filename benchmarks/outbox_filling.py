"""A number -> an outbox in which so many cases wait, made much faster than they are put.

The product's own records, table and names of files; without a sync for each, and all rows in one commit.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.made_cases import make_case, write_clip
from edge_agent import outbox_table, wire
from edge_agent.config import DeviceConfig
from edge_agent.outbox import Outbox
from edge_agent.records import Sampled
from edge_agent.spool import Spool, Stored

CLIP_EVERY = 200
PUT_AT_S = 1.79e9
_BESIDE = ("", "-wal", "-shm")


def fill(device: DeviceConfig, count: int, *, seed: int = 0) -> None:
    """Cases 1 to `count` wait; every CLIP_EVERYth has a small clip of three frames."""
    # What else belongs to an outbox is made by itself.
    Outbox.open(device.outbox_path, device.spool_path).close()
    spool = Spool(device.spool_path)
    rows = outbox_table.connect(device.outbox_path)
    with rows:
        for stored in _made(spool, count, seed):
            spool.case_path(stored.case.case_id).write_bytes(stored.payload)
            outbox_table.add(rows, stored, PUT_AT_S)
    rows.close()
    os.sync()


def copy(source: DeviceConfig, target: DeviceConfig) -> None:
    """The same outbox once more. No file of the spool is ever written to again, so both may have the same ones."""
    target.outbox_path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source.spool_path, target.spool_path, copy_function=os.link)
    for ending in _BESIDE:
        part = Path(f"{source.outbox_path}{ending}")
        if part.exists():
            shutil.copy2(part, f"{target.outbox_path}{ending}")
    os.sync()


def _made(spool: Spool, count: int, seed: int) -> Iterator[Stored]:
    for number in range(1, count + 1):
        has_clip = number % CLIP_EVERY == 0
        why = Sampled("audit" if has_clip else "none", 0.02)
        case = make_case(number, seed=seed, sequence=number, sampled=why)
        if has_clip:
            draft = spool.draft(case.case_id)
            clip = write_clip(draft, case, synced=False)
            draft.replace(spool.clip_path(clip.sha256))
            case = msgspec.structs.replace(case, clip=clip)
        yield Stored(case, wire.encode(case))
