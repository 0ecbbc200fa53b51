"""Fitted nets, limits and lineage -> a bundle: exported, checked against the nets themselves, with its card."""

import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import torch
from msgspec import UNSET, UnsetType

from edge_agent.bundle import (
    Bundle,
    BundleManifest,
    Lineage,
    NetName,
    Sensitivity,
    Thresholds,
    TrainingRange,
    write_bundle,
)
from edge_agent.kymograph import PICTURE
from edge_agent.records import Visibility
from models import golden
from models.cases import Features, features_bytes
from models.data import PREPROCESSING
from models.export import check_parity, onnx_bytes
from models.golden import GoldenClip
from models.net import BubbleNet, CaseNet, LampNet, OriginNet, WaterNet
from models.select import Limits, Promise

NAME = "tankwatch"
MARGIN = 0.01
"""Share of the training cases that lies beyond each end of their range; where there is one end alone, twice that."""
LEAST_MEASURED = 100
"""With fewer a quantile so far out is that of one case."""


@dataclass(frozen=True, slots=True, eq=False)
class Nets:
    """The nets that are fitted. Those that come from a parent are exported already."""

    detector: BubbleNet | bytes
    origins: OriginNet | bytes
    aggregator: CaseNet
    lamps: LampNet | bytes
    water: WaterNet | bytes


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """What goes into a bundle beside the nets. `examples`: (n, 3, h, w) uint8 composites for the parity check."""

    version: int
    created_at: str
    """As `utc` writes it."""
    thresholds: Thresholds
    sensitivity: Sensitivity
    lineage: Lineage
    card: str
    fitted: Features
    examples: np.ndarray
    golden: tuple[GoldenClip, ...] = ()
    """Clips that the bundle carries, with what its own nets say of them."""
    training_range: TrainingRange | UnsetType = UNSET


def pack(path: Path, nets: Nets, content: Content) -> Bundle:
    """Writes the bundle. Raises ModelError where a net and its ONNX disagree."""
    manifest = BundleManifest(
        name=NAME,
        version=content.version,
        created_at=content.created_at,
        nets={},
        preprocessing=PREPROCESSING,
        thresholds=content.thresholds,
        sensitivity=content.sensitivity,
        lineage=content.lineage,
        card=content.card,
        training_range=content.training_range,
    )
    carried = Bundle(manifest, "", exported(nets, content))
    return with_golden(path, carried, content.golden, features_bytes(content.fitted))


def training_range(seen: Iterable[Visibility | None]) -> TrainingRange | UnsetType:
    """What the pictures of the training cases are like, for the device's drift tests; UNSET where too few were
    measured to know their margins."""
    known = [one for one in seen if one is not None and one.clarity is not None]
    if len(known) < LEAST_MEASURED:
        return UNSET
    low, high = np.quantile([one.light_levels for one in known], (MARGIN, 1 - MARGIN)).round(2).tolist()
    noise = np.quantile([one.noise_levels for one in known], 1 - 2 * MARGIN)
    clarity = np.quantile([one.clarity for one in known if one.clarity is not None], 2 * MARGIN)
    return TrainingRange(
        cases=len(known),
        light_levels=(low, high),
        noise_most=round(float(noise), 3),
        clarity_least=round(float(clarity), 3),
    )


def with_golden(path: Path, bundle: Bundle, found: Sequence[GoldenClip], features: bytes | None) -> Bundle:
    """Writes `bundle` with these golden cases and what its own nets say of them, and no others."""
    manifest = msgspec.structs.replace(bundle.manifest, golden=golden.judged(bundle, found))
    return write_bundle(path, manifest, bundle.nets, features, golden={one.name: one.clip for one in found})


def exported(nets: Nets, content: Content) -> dict[NetName, bytes]:
    """ONNX of each net, checked against the net on real inputs."""
    lamps = np.random.default_rng(0).integers(0, 256, (5, 3, 24, 24), dtype=np.uint8)
    return {
        "detector": detector_bytes(nets.detector, content.examples),
        "origins": origins_bytes(nets.origins),
        "aggregator": _exported(nets.aggregator, content.fitted.values[:64], {0: torch.export.Dim.DYNAMIC}),
        "lamps": _exported(nets.lamps, lamps, {0: torch.export.Dim.DYNAMIC}),
        "water": water_bytes(nets.water),
    }


def detector_bytes(net: BubbleNet | bytes, examples: np.ndarray) -> bytes:
    """The detector takes composites of any height and width that are multiples of its stride."""
    free = {2: 4 * torch.export.Dim("rows", min=8, max=1024), 3: 4 * torch.export.Dim("columns", min=8, max=1024)}
    return _exported(net, examples, free, batch=1)


def origins_bytes(net: OriginNet | bytes) -> bytes:
    """The origins net takes any number of strips."""
    strips = np.random.default_rng(1).random((4, *PICTURE), np.float32)
    return _exported(net, strips, {0: torch.export.Dim.DYNAMIC})


def water_bytes(net: WaterNet | bytes) -> bytes:
    """The water net takes any number of views."""
    examples = np.random.default_rng(1).integers(0, 256, (5, 1, 96, 128), dtype=np.uint8)
    return _exported(net, examples, {0: torch.export.Dim.DYNAMIC})


def card(lines: list[str]) -> str:
    """The model card: what it is for, what it was measured on, what nobody knows."""
    return "\n".join(["# Model card", "", *lines, "", *_CARD]) + "\n"


def commit() -> str:
    """The git commit of the code, '-dirty' where files differ from it, or 'unknown'."""
    ask = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        said = subprocess.run(ask, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return said.stdout.strip()


def utc(moment: datetime) -> str:
    """A time with a zone, as manifests have it: ISO 8601, whole seconds, Z."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def limited(thresholds: Thresholds, limits: Limits, novel_above: float | None) -> Thresholds:
    """The chosen limits put in."""
    novel = UNSET if novel_above is None else novel_above
    return msgspec.structs.replace(
        thresholds, ok_below=limits.ok_below, leak_above=limits.leak_above, novel_above=novel
    )


def limits_told(limits: Limits, promise: Promise | None, novel_above: float | None) -> list[str]:
    """What the card says of a bundle's limits."""
    if promise:
        rates = (
            f"{promise.most_missed:.1%} of the answered leaks missed, {promise.most_alarms:.1%} of the answered good"
        )
        kept = [
            f"For fits that had not seen these cases, Learn-then-Test shows with {promise.confidence:.0%}: at most",
            f"{rates} units alarms. The shipped net is certified apart.",
        ]
    else:
        kept = ["No error rate was shown on the cases that they were chosen on: they are the cheapest pair."]
    beyond = "is not noticed, there were too few cases to tell"
    if novel_above is not None:
        beyond = f"(a distance over {novel_above:.2f}, 1 in 100 familiar cases) is uncertain"
    return [
        f"Limits: ok below {limits.ok_below:.2f}, leak above {limits.leak_above:.2f}.",
        *kept,
        f"What is like no case of training {beyond}.",
    ]


def _exported(net: torch.nn.Module | bytes, examples: np.ndarray, free: dict, *, batch: int = 4) -> bytes:
    if isinstance(net, bytes):
        return net
    data = onnx_bytes(net, examples[:batch], free_axes=free)
    check_parity(net, data, [examples[first : first + batch] for first in range(0, len(examples), batch)])
    return data


_CARD = [
    "## For",
    "Rising air bubbles from a leaking unit in a lit water tank, seen from the side by one fixed camera, tank views up",
    "to 640x480 px. Not for other liquids, moving cameras, or as a safety component.",
    "",
    "## What is simulated and what is real",
    "The nets learnt from the simulated station (docs/twin.md) and from made-up clips alone; what judged clips of a",
    "plant had a part in stands above. Real recordings of other people (fish, foam, conveyors, rivers, boiling water,",
    "bubbles in flight, traffic lights) taught nothing; they are tests, and what failed on them was not shipped:",
    "`bench real`, docs/accuracy.md.",
    "",
    "## Known weaknesses, in the simulated station",
    "Leaks of a few bubbles near the smallest that the picture shows (2 to 3 px) in haze, poor light or noise are what",
    "it misses. Of bubbles that come from behind the unit or creep under it, the place is where they come into view.",
    "The size of a leak is told to a factor of three, more where bubbles are few (its interval says how much); of the",
    "faintest bubbles it falls short. A glint on a dark, deeply coloured lens may pass for a lit lamp. How murky the",
    "water is, it guesses from one picture. Where the camera shakes by half a millimetre or more, good units are",
    "uncertain more often. Behind a network camera's video codec the smallest leak that could be seen is told too",
    "small. Crowds of bubbles that touch are beyond it, and a leak smaller than the station has to find may be called",
    "ok.",
    "",
    "## Not known",
    "It was trained on a simulated station alone. What it does at a real one has to be measured there: thresholds do",
    "not carry over, some forty judged clips of the station are needed to set them.",
]
