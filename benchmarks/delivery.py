"""`bench delivery`: one schedule of faults before this project's delivery and its peers' -> benchmarks/delivery.md.

The broker is not there at first, is killed under way, a link is cut in the middle of a packet, the subscriber is away
for a while, the publisher's process is killed; then two of these at once. The same cases, at the same pace, through the
same broker and proxy.
"""

import argparse
import dataclasses
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import cv2

from benchmarks import delivery_page
from benchmarks.delivery_page import Row, What
from benchmarks.delivery_sides import Ours, Peer, Setting, Side
from benchmarks.fault_proxy import HOST, FaultProxy, ProxyThread
from benchmarks.installation import until
from benchmarks.link_faults import Fault
from cloud_sync.broker import EmbeddedBroker

PACE_S = 0.1
QUIET_S = 20.0
"""Nothing more has arrived for so long: nothing will."""
SETTLE_S = 240.0
STUCK_S = 120.0
"""A frame loop that has not handed over all its cases so long after the last fault is stuck for good."""
ALONE: tuple[tuple[float, What], ...] = (
    (3, "broker starts"),
    (7, "broker killed"),
    (9.5, "broker starts"),
    (13, "cut"),
    (16, "listener leaves"),
    (20, "listener back"),
    (23, "publisher killed"),
)
AT_ONCE: tuple[tuple[float, What], ...] = (
    (26, "listener leaves"),
    (28, "broker killed"),
    (29.5, "broker starts"),
    (31, "listener back"),
    (33, "broker killed"),
    (34.5, "publisher killed"),
    (36, "broker starts"),
)
ALONE_UNTIL_S = 25
PAGE = Path(__file__).with_name("delivery.md")


@dataclass(frozen=True, slots=True)
class Moment:
    """What happens, and when: seconds from the first case on; the same for everybody."""

    at_s: float
    what: What


def run(argv: list[str]) -> int:
    """`tankwatch bench delivery`; 1 where this project loses a case or has one twice."""
    parser = argparse.ArgumentParser("tankwatch bench delivery", description="Delivery beside peers, on one schedule.")
    parser.add_argument("--cases", type=int, default=400)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--roboflow", type=Path, metavar="FOLDER", help="virtual environment with roboflow-workflows")
    parser.add_argument("--write", action="store_true", help="the table goes to benchmarks/delivery.md")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    cv2.setNumThreads(1)
    rows = [_measure(name, make, options.cases, options.seed) for name, make in _sides(options.roboflow)]
    if options.roboflow is None:
        rows.append(delivery_page.not_run("Roboflow's MQTT sink", "no environment with its package: see --roboflow"))
    planned = [(moment.at_s, moment.what) for moment in schedule(options.seed)]
    page = delivery_page.page(rows, cases=options.cases, seed=options.seed, planned=planned)
    if options.write:
        PAGE.write_text(page)
    print(json.dumps([dataclasses.asdict(row) for row in rows]) if options.json else page)
    ours = rows[0]
    return 0 if ours.lost == ours.twice == 0 and ours.handed_over == options.cases else 1


def schedule(seed: int) -> tuple[Moment, ...]:
    """Each fault alone, then two at a time."""
    chance = random.Random(seed)
    return tuple(Moment(round(at_s + chance.uniform(-0.4, 0.4), 2), what) for at_s, what in ALONE + AT_ONCE)


def _sides(environment: Path | None) -> list[tuple[str, Callable[[Setting], Side]]]:
    paho = f"plain paho publisher (paho-mqtt {metadata.version('paho-mqtt')})"
    sides: list[tuple[str, Callable[[Setting], Side]]] = [
        ("Tankwatch (this tree)", Ours),
        (paho, lambda setting: Peer(setting, "paho", sys.executable)),
    ]
    if environment is not None:
        python = str(environment / "bin" / "python")
        sink = f"Roboflow's MQTT sink (roboflow-workflows {_version(python)}, `mqtt_writer_sink@v2`)"
        sides.append((f"{sink}, its defaults", lambda setting: Peer(setting, "roboflow", python)))
        best = f"{sink}, `qos=1, fire_and_forget=True`"
        sides.append((best, lambda setting: Peer(setting, "roboflow_best", python)))
    return sides


def _version(python: str) -> str:
    asked = "from importlib.metadata import version; print(version('roboflow-workflows'))"
    return subprocess.run([python, "-c", asked], check=True, capture_output=True, text=True).stdout.strip()


def _measure(name: str, make: Callable[[Setting], Side], cases: int, seed: int) -> Row:
    print(f"{name}: {cases} cases, {cases * PACE_S:.0f} s and what it takes to settle", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="tankwatch-bench-") as folder, ExitStack() as stack:
        broker = EmbeddedBroker(0, Path(folder) / "broker")
        proxy = FaultProxy("device", (HOST, broker.port))
        side = make(Setting(Path(folder), broker.port, proxy.port, cases, PACE_S, seed, ALONE_UNTIL_S))
        stack.callback(broker.stop)
        stack.callback(side.close)
        # Who listens has said so before: what is measured begins with a broker that then goes.
        broker.start()
        side.listen()
        broker.stop()
        thread = stack.enter_context(ProxyThread())
        thread.call(proxy.open())
        stack.callback(lambda: thread.call(proxy.close()))
        side.publish()
        _live(schedule(seed), side, broker, lambda: thread.call(proxy.arm((_cut(),))))
        until(lambda: side.handed_over() >= cases, STUCK_S)
        _settle(side)
        return side.row(name)


def _live(planned: Sequence[Moment], side: Side, broker: EmbeddedBroker, cut: Callable[[], object]) -> None:
    began_s = time.monotonic()
    means: dict[What, Callable[[], object]] = {
        "broker starts": broker.start,
        "broker killed": broker.kill,
        "cut": cut,
        "listener leaves": side.leave,
        "listener back": side.listen,
        "publisher killed": side.kill_publisher,
    }
    for moment in planned:
        time.sleep(max(0.0, began_s + moment.at_s - time.monotonic()))
        means[moment.what]()


def _cut() -> Fault:
    """In the middle of the next case that goes to the broker."""
    return Fault("cut", "device", upward=True, at=1, for_s=0.0, part=0.5, count=1, hard=False)


def _settle(side: Side) -> None:
    seen, since_s = side.arrived(), time.monotonic()

    def is_over() -> bool:
        nonlocal seen, since_s
        now = side.arrived()
        if now != seen:
            seen, since_s = now, time.monotonic()
        return time.monotonic() - since_s > QUIET_S

    until(is_over, SETTLE_S, 0.5)
