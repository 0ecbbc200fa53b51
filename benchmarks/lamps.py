"""`bench lamps`: simulated sequences of lamps, read as the device reads them, and what is wrong with the outcome.

What can be read has to be read; of the rest nothing false may be said: no decision that nobody made, no lamp that is
not lit. A false decision is worse than a missed one, so it is counted apart.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import cv2
from tqdm import tqdm

from calibration.lamp_sequences import LampSequence, lamp_sequence
from edge_agent.bundle import Bundle, open_bundle
from edge_agent.decision import DecisionWatch, PanelWord
from edge_agent.inspection import shipped_bundle
from edge_agent.lamps import LampReader
from models import forked


@dataclass(frozen=True, slots=True)
class Read:
    """What was made of a sequence."""

    decisions: tuple[str, ...]
    panel: PanelWord


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is told of one sequence. `error`: in words, empty where all was right; `false`: something was said that is
    not so.
    """

    reading: str
    panel: PanelWord
    error: str
    false: bool


def run(argv: list[str]) -> int:
    """`tankwatch bench lamps`: 1 where a sequence was read wrongly."""
    parser = argparse.ArgumentParser("tankwatch bench lamps", description=__doc__.splitlines()[0])
    parser.add_argument("--sequences", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=830_000, help="of the first sequence (default 830000)")
    parser.add_argument("--bundle", metavar="FILE", help="default: the shipped one")
    parser.add_argument("--jobs", type=forked.processes, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    cv2.setNumThreads(1)
    bundle = open_bundle(options.bundle or shipped_bundle())
    seeds = range(options.seed, options.seed + options.sequences)
    outcomes = tqdm(outcomes_of(bundle, seeds, options.jobs), total=len(seeds), unit="sequence", disable=None)
    figures = {"bench": "lamps", "bundle": bundle.ref.sha256[:12], "first_seed": options.seed} | figures_of(outcomes)
    print(json.dumps(figures, indent=None if options.json else 1), file=sys.stdout if options.json else sys.stderr)
    return 1 if figures["wrong"] else 0


def outcomes_of(bundle: Bundle, seeds: Iterable[int], jobs: int) -> Iterable[Outcome]:
    return forked.each(partial(_outcome, bundle=bundle), list(seeds), jobs)


def _outcome(seed: int, bundle: Bundle) -> Outcome:
    sequence = lamp_sequence(seed)
    made = read(sequence, bundle)
    return Outcome(sequence.reading, made.panel, error(sequence, made), is_false(sequence, made))


def figures_of(outcomes: Iterable[Outcome]) -> dict:
    """Counts of sequences; `wrong` is wanted to be none."""
    outcomes = list(outcomes)
    return {
        "sequences": len(outcomes),
        "readings": dict(sorted(Counter(one.reading for one in outcomes).items())),
        "wrong": sum(bool(one.error) for one in outcomes),
        "false_decisions_or_lamps": sum(one.false for one in outcomes),
        "unreadable_called_so": sum(one.reading == one.panel == "unreadable" for one in outcomes),
        "errors": [one.error for one in outcomes if one.error],
    }


def read(sequence: LampSequence, bundle: Bundle) -> Read:
    """The device's reader and watch over all pictures of the sequence."""
    reader = LampReader(bundle.nets["lamps"], sequence.lamps)
    watch = DecisionWatch(bundle.manifest.thresholds.lamps)
    decisions: list[str] = []
    panel: PanelWord = "off"
    for frame in sequence.frames():
        signal = watch.step(reader.read(frame), frame.monotonic_s)
        panel = signal.panel
        decisions += [signal.decision] if signal.fresh else []
    return Read(tuple(decisions), panel)


def error(sequence: LampSequence, made: Read) -> str:
    """In words; empty where the reader was right.

    That the lamps are off may be said of lamps whose light no picture shows; that they cannot be read is counted apart.
    """
    if sequence.reading == "readable":
        right = made.decisions == sequence.decisions and made.panel == sequence.panel
    else:
        right = not is_false(sequence, made)
    said = f"{made.decisions} and {made.panel}, truly {sequence.decisions} and {sequence.panel}"
    return "" if right else f"sequence {sequence.seed} ({sequence.reading}, {sequence.trouble or 'no trouble'}): {said}"


def is_false(sequence: LampSequence, made: Read) -> bool:
    """It tells a decision that nobody made, or other lamps than those that are lit at the end."""
    return made.decisions not in ((), sequence.decisions) or made.panel not in ("unreadable", "off", sequence.panel)
