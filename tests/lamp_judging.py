"""Sequences of lamps run through a net as the device does, and what is wrong with the outcome."""

from dataclasses import dataclass

from calibration.lamp_sequences import LampSequence
from edge_agent.bundle import Thresholds
from edge_agent.decision import DecisionWatch, PanelWord
from edge_agent.lamps import LampReader

LIMITS = Thresholds(ok_below=0.2, leak_above=0.8, bubble_above=0.4, settle_s=1.0, lamp_lit_above=0.8, murky_below=0.3)


@dataclass(frozen=True)
class Read:
    """What was made of a sequence."""

    decisions: tuple[str, ...]
    panel: PanelWord


def read(sequence: LampSequence, net: bytes) -> Read:
    """The device's reader and watch over all pictures of the sequence."""
    reader, watch = LampReader(net, sequence.lamps, LIMITS), DecisionWatch(LIMITS.lamp_lit_above)
    decisions, panel = [], "off"
    for frame in sequence.frames():
        signal = watch.step(reader.read(frame), frame.monotonic_s)
        panel = signal.panel
        decisions += [signal.decision] if signal.fresh else []
    return Read(tuple(decisions), panel)


def error(sequence: LampSequence, read: Read) -> str:
    """In words; empty where the reader was right.

    What can be read has to be read. Of the rest nothing false may be said: no decision that nobody made, no lamp that
    is not lit. That the lamps are off may be said of lamps whose light no picture shows; that they cannot be read is
    counted apart.
    """
    silent_or_right = read.decisions in ((), sequence.decisions)
    if sequence.reading == "readable":
        right = read.decisions == sequence.decisions and read.panel == sequence.panel
    else:
        right = silent_or_right and read.panel in ("unreadable", "off", sequence.panel)
    said = f"{read.decisions} and {read.panel}, truly {sequence.decisions} and {sequence.panel}"
    return "" if right else f"sequence {sequence.seed} ({sequence.reading}, {sequence.trouble or 'no trouble'}): {said}"
