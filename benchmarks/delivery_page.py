"""Rows of measured deliveries -> the page benchmarks/delivery.md, with when, where and how they were measured."""

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

COMMAND = "./tankwatch bench delivery --write --roboflow FOLDER"
What = Literal["broker starts", "broker killed", "cut", "listener leaves", "listener back", "publisher killed"]
MEANING: dict[What, str] = {
    "broker starts": "the broker starts, on what its disk has; at the very first there is none",
    "broker killed": "the broker is killed (SIGKILL)",
    "cut": "the publisher's link is cut in the middle of the next case",
    "listener leaves": "who listens goes away: the plain subscriber disconnects, `cloud ingest` is killed",
    "listener back": "and is back",
    "publisher killed": "the publisher's process is killed, here both of the device's, and started again at once",
}


@dataclass(frozen=True, slots=True)
class Row:
    """What came of the cases that one publisher was handed."""

    name: str
    handed_over: int
    lost_alone: int
    """While one fault happened at a time."""
    lost: int
    """In all."""
    told: int
    """Of the lost, those of which the publisher told its caller that something was wrong."""
    twice: int
    blocked_ms: float
    """The longest that handing one case over held up the frame loop."""
    remark: str = ""


def not_run(name: str, why: str) -> Row:
    return Row(name, 0, 0, 0, 0, 0, 0.0, f"not run: {why}")


def page(rows: Sequence[Row], *, cases: int, seed: int, planned: Sequence[tuple[float, What]]) -> str:
    """The whole page."""
    return f"""# Delivery beside peers, on one schedule of faults

Made by `{COMMAND}` on {time.strftime("%-d %B %Y", time.gmtime())}; {_machine()}; {_broker()}.
{cases} cases, one every 0.1 s, seed {seed}, the same for each; one publisher after the other.

| publisher | handed over | lost, faults alone | lost in all | caller was told | twice | blocked at most |
|---|---|---|---|---|---|---|
{"".join(_line(row) for row in rows)}
{_reading(rows)}

## What happens
| second | |
|---|---|
{"".join(f"| {at_s:.1f} | {MEANING[what]} |{chr(10)}" for at_s, what in planned)}
Each fault comes alone first; from second 26 on the broker is killed while nobody listens, and the publisher while there
is no broker, as a power cut or a night of maintenance has it.
Broker: Mosquitto with persistence, saved every 60 s, room for 100,000 messages (`cloud_sync/broker.py`). The cut is
made by `benchmarks/fault_proxy.py`. A killed publisher goes on with the first case that it had not handed over.

## What is counted
* **handed over**: the publisher's call has returned. Tankwatch says a case when it is on the disk, and that counts.
* **lost**: handed over, and never seen by a plain durable subscriber (paho, QoS 1, a session that stays); for
  Tankwatch: not in the cloud's database with the same bytes.
* **twice**: seen there more than once; for Tankwatch: held more than once. On the wire Tankwatch says a case again
  until its receipt is there; the intake knows it by then.
* **blocked**: the longest single call. Tankwatch hands a case to its keeper's thread; the fsyncs are that thread's.

## How the peers were run
* **paho**: `Client()`, `connect_async`, `loop_start`, `publish(qos=1)`, nothing else set. `connect` as tutorials have
  it ends the program where the broker is not there yet; `connect_async` is kinder.
* **Roboflow**: the class of the sink from its published wheel, called as its workflow engine calls it (`run`), in an
  environment of its own with paho-mqtt 1.6.1, which it pins; none of its code is here. `fire_and_forget` is what its
  own documents give for pipelines that must not wait. To make the environment (it imports torch):
  `python -m venv FOLDER`, then with its pip `install --no-deps roboflow-workflows==0.2.13` and
  `install "paho-mqtt~=1.6.1" "pydantic<2.12" "numpy<2.4" opencv-python-headless pybase64 torch torchvision`.
"""


def _line(row: Row) -> str:
    if row.remark.startswith("not run"):
        return f"| {row.name} | {row.remark} | | | | | |\n"
    remark = f" ({row.remark})" if row.remark else ""
    counts = f"{row.lost_alone} | {row.lost} | {row.told} | {row.twice} | {row.blocked_ms:.1f} ms"
    return f"| {row.name} | {row.handed_over}{remark} | {counts} |\n"


def _reading(rows: Sequence[Row]) -> str:
    ours, peers = rows[0], [row for row in rows[1:] if row.handed_over]
    lost = ", ".join(str(row.lost) for row in peers)
    return (
        f"Of {ours.handed_over} cases Tankwatch lost {ours.lost} and the peers {lost}: what waits in a publisher's "
        "memory, or what only a broker has acknowledged, is gone with either process, while here it stays on the disk "
        "until the database has it. It is one schedule with one broker, and the peers promise no more: a caller that "
        "keeps every case and looks at each answer could do better with them, and would have to write what this "
        "project's outbox is."
    )


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    load = os.getloadavg()[0]
    return f"{models[0] if models else 'unknown processor'}, {os.cpu_count()} cores, load {load:.0f} beside it"


def _broker() -> str:
    program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        return "amqtt, since Mosquitto is not installed"
    said = subprocess.run([program, "-h"], capture_output=True, text=True).stdout.splitlines()
    return said[0] if said else "Mosquitto"
