"""`demo`: the whole system on this machine. A twin station, the agent, a broker, the cloud and its review page."""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.plant import ENDINGS, SEED, Plan, Plant
from calibration import faults
from cloud_sync import cases
from edge_agent.errors import TankwatchError

HEADLESS_CASES = 12
PATIENCE_S = 180.0
"""How long --headless waits for the last clip before it calls it lost."""
WATCH_S = 0.2


@dataclass
class Told:
    """What the agent has said, from its log lines."""

    cases: list[dict[str, str]] = field(default_factory=list)

    @property
    def wanted(self) -> int:
        """Cases that the rules send to review."""
        return sum(case["for"] != "none" for case in self.cases)

    def counts(self, key: str) -> dict[str, int]:
        return dict(sorted(Counter(case[key] for case in self.cases).items()))


def demo(argv: list[str]) -> int:
    """`tankwatch demo`."""
    options = _arguments().parse_args(argv)
    # Set here, too, because a shell without a terminal starts its children deaf to Ctrl-C.
    _on_ending(_interrupt)
    with ExitStack() as stack:
        try:
            return _show(options, stack)
        except KeyboardInterrupt:
            # A second Ctrl-C would leave half of it behind.
            _on_ending(signal.SIG_IGN)
            _say("\nstopping")
            return 130 if options.headless else 0


def _show(options: argparse.Namespace, stack: ExitStack) -> int:
    began_s = time.monotonic()
    folder = options.dir or Path(stack.enter_context(_temporary_folder()))
    plant = stack.enter_context(Plant(_plan(options, folder)))
    _introduce(plant, folder)
    told = Told()
    _work(plant, told)
    if options.headless:
        return _report(plant, told, began_s, as_json=options.json)
    _say("\nthe station has finished; the review page stays up until Ctrl-C")
    while True:
        plant.check()
        time.sleep(WATCH_S)


def _introduce(plant: Plant, folder: Path) -> None:
    if plant.screen:
        _say(f"screen         {plant.screen}  (PIN {plant.pin})")
    _say(f"review page    {plant.page}")
    for name, password in plant.logins.items():
        _say(f"login          {name} / {password}")
    _say(f"broker         {plant.broker.name} on 127.0.0.1:{plant.broker.port}, guest / {plant.mqtt_password}")
    _say(f"folder         {folder}")
    _say("Ctrl-C ends it.\n")


def _work(plant: Plant, told: Told) -> None:
    """The station works until its last case, or for ever; a line a case."""
    agent = plant.inspect()
    reader = threading.Thread(target=_listen, args=(agent, told), daemon=True)
    reader.start()
    while agent.poll() is None:
        plant.check()
        time.sleep(WATCH_S)
    plant.check()
    reader.join()


def _listen(agent: subprocess.Popen, told: Told) -> None:
    assert agent.stdout is not None
    for line in agent.stdout:
        if line.startswith("case="):
            case = _fields(line)
            told.cases.append(case)
            _say(_live_line(len(told.cases), case))


def _report(plant: Plant, told: Told, began_s: float, *, as_json: bool) -> int:
    held = _settled(plant, told)
    summary = {
        "cases": len(told.cases),
        "verdicts": told.counts("verdict"),
        "outcomes": told.counts("outcome"),
        "queued": held["queued"],
        "lost": max(0, len(told.cases) - held["cases"]) + max(0, told.wanted - held["queued"]),
        "duplicated": held["duplicated"],
        "seconds": round(time.monotonic() - began_s, 1),
    }
    print(json.dumps(summary) if as_json else f"\n{summary}", file=sys.stdout if as_json else sys.stderr, flush=True)
    return 1 if summary["lost"] or summary["duplicated"] else 0


def _settled(plant: Plant, told: Told) -> dict[str, int]:
    """The cloud's summary once it holds everything, or after the patience."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        held = cases.summary(plant.engine)
        if held["cases"] >= len(told.cases) and held["queued"] >= told.wanted:
            return held
        if time.monotonic() > deadline_s:
            return held
        plant.check()
        time.sleep(WATCH_S)


def _plan(options: argparse.Namespace, folder: Path) -> Plan:
    return Plan(
        folder=folder,
        cases=options.cases or (HEADLESS_CASES if options.headless else None),
        seed=options.seed,
        live=not options.headless,
        port=options.port,
        mqtt_port=options.mqtt_port,
        broker=options.broker,
        bundle=options.bundle,
        challenger=options.challenger,
        audit=options.audit,
        fault=options.fault,
        updates=not options.headless,
    )


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("tankwatch demo", description="The whole system on this machine.")
    parser.add_argument("--cases", type=_count, metavar="N", help="stop after N immersions (headless: 12)")
    parser.add_argument("--seed", type=_seed, default=SEED, help="of the twin and of the inspector's errors")
    parser.add_argument("--port", type=_port, default=0, help="of the review page (default: a free one)")
    parser.add_argument("--mqtt-port", type=_port, default=0, help="of the broker (default: a free one)")
    parser.add_argument(
        "--broker",
        choices=("auto", "mosquitto", "amqtt"),
        default="auto",
        help="default: Mosquitto where it is installed",
    )
    parser.add_argument("--bundle", type=Path, help="the champion (default: the shipped one)")
    parser.add_argument("--challenger", type=Path, help="a second bundle, logged beside the first")
    parser.add_argument(
        "--audit", type=_share, default=0.1, help="smallest share of agreements to review (default 0.1)"
    )
    parser.add_argument("--fault", metavar="NAME@SECONDS", help=f"a fault of the camera: {' '.join(faults.FAULTS)}")
    parser.add_argument("--dir", type=Path, help="keep everything in this new folder (default: a temporary one)")
    parser.add_argument("--headless", action="store_true", help="as fast as this machine can, then one summary")
    parser.add_argument("--json", action="store_true", help="the summary as one JSON object on stdout")
    return parser


def _count(text: str) -> int:
    return _within(int(text), 1, 1_000_000)


def _seed(text: str) -> int:
    return _within(int(text), 0, 2**63)


def _port(text: str) -> int:
    return _within(int(text), 0, 65535)


def _within(value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{value} is not between {least} and {most}")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no share above 0 and up to 1")
    return value


def _fields(line: str) -> dict[str, str]:
    """One log line of the agent -> its keys; the reason in quotes comes last."""
    head, _, reason = line.rstrip("\n").partition(' reason="')
    return dict(part.split("=", 1) for part in head.split()) | {"reason": reason.rstrip('"')}


def _live_line(number: int, case: dict[str, str]) -> str:
    score = "     " if case["score"] == "-" else case["score"]
    second = "" if case["challenger"] == "-" else f"  challenger {case['challenger']}"
    review = "" if case["for"] == "none" else f"  -> review ({case['for']})"
    return (
        f"{number:4}  machine {case['verdict']:10} {score}  inspector {case['decision']:5} {case['outcome']:12}"
        f"{second}{review}\n      {case['reason']}"
    )


def _temporary_folder() -> tempfile.TemporaryDirectory:
    try:
        # A process that is just ending may still write there; what is left over is the system's to clear.
        return tempfile.TemporaryDirectory(prefix="tankwatch-demo-", ignore_cleanup_errors=True)
    except OSError as error:
        raise TankwatchError(f"no temporary folder can be made ({error.strerror}): give a folder with --dir") from error


def _on_ending(handler: object) -> None:
    for name in ENDINGS:
        signal.signal(name, handler)  # type: ignore[arg-type]


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
