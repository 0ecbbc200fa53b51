"""Stands for `agent inspect`: made cases with their short clips -> the real outbox, and a journal of what was said.

The journal's line is synced after `put` has returned: whatever happens then, the case counts as said.
"""

import os
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from benchmarks.made_cases import make_case, write_clip
from edge_agent import utc
from edge_agent.config import DeviceConfig
from edge_agent.outbox import Outbox
from edge_agent.records import Case

LARGE_PX = (640, 480)
SMALL_PX = (160, 120)


def put(outbox: Outbox, case: Case, *, large: bool = False) -> Case:
    """The case, with a clip of three frames where it was drawn for review, as the outbox keeps it. May run twice."""
    if case.sampled.reason == "none":
        return outbox.put(case)
    draft = outbox.spool.draft(case.case_id)
    clip = write_clip(draft, case, view_px=LARGE_PX if large else SMALL_PX)
    return outbox.put(msgspec.structs.replace(case, clip=clip), draft)


def put_now(outbox: Outbox, number: int, seed: int) -> Case:
    """Case `number`, of this moment."""
    now = utc.text(time.time())
    return put(outbox, make_case(number, seed=seed, started_at=now, ended_at=now), large=is_large(number))


def is_large(number: int) -> bool:
    """Every third clip has several parts, so that one is cut in the middle and has to resume."""
    return number % 9 == 0


def feed(device: DeviceConfig, journal: Path, numbers: Iterable[int], *, seed: int, pace_s: float = 0.0) -> None:
    """Makes these cases; run again, it says nothing again and makes the interrupted one anew."""
    outbox = Outbox.open(device.outbox_path, device.spool_path)
    done = set(said(journal))
    with open(journal, "ab") as file:
        # A line that a kill cut short was never said.
        file.write(b"\n")
        for number in numbers:
            case = make_case(number, seed=seed)
            if case.case_id in done:
                continue
            put(outbox, case, large=is_large(number))
            file.write(case.case_id.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
            time.sleep(pace_s)
    outbox.close()


def said(journal: Path) -> list[str]:
    """Ids in the journal, in order; none where there is no journal."""
    lines = journal.read_bytes().split(b"\n")[:-1] if journal.is_file() else []
    whole = len(make_case(1).case_id)
    return [line.decode() for line in lines if len(line) == whole]


def last_said(journal: Path) -> str:
    """The newest id; empty where there is none. Reads the end of the journal alone, however long it is."""
    whole = len(make_case(1).case_id)
    with open(journal, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 20 * whole))
        lines = file.read().split(b"\n")[1:-1]
    return next((line.decode() for line in reversed(lines) if len(line) == whole), "")
