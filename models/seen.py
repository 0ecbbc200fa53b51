"""What a bundle's eyes made of a recording, kept: any bundle with the same eyes judges it without looking again.

Of retrained bundles the aggregator and the limits alone are new. Their evaluation is then a matter of small sums.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from edge_agent import clips
from edge_agent.account import FEATURES
from edge_agent.bundle import Bundle
from edge_agent.infer import Aggregator
from edge_agent.judge import Judge
from edge_agent.records import FramingSummary, Verdict, WaterSummary
from edge_agent.replay import push_views
from edge_agent.verdict import Finding, Watched, decide, not_tested
from models import code_version


class Seen(msgspec.Struct, frozen=True):
    """One recording. `features` (F,): empty, and `finding` None, where no composite could be made."""

    features: tuple[float, ...]
    finding: Finding | None
    """With the score of whichever aggregator looked first."""
    watched: Watched
    px_per_mm: float | None
    refused: str = ""
    """Why the device did not test the unit, whatever a net would say."""


def eyes_of(bundle: Bundle) -> str:
    """The same for bundles that see alike: detector, origins net, how views are prepared, and the code."""
    manifest, told = bundle.manifest, hashlib.sha256(code_version.of_training().encode())
    seen_by = manifest.thresholds.bubble_above, manifest.thresholds.settle_s
    for part in (bundle.nets["detector"], bundle.nets["origins"]):
        told.update(hashlib.sha256(part).digest())
    told.update(msgspec.json.encode((seen_by, manifest.sensitivity, manifest.preprocessing)))
    return told.hexdigest()


def of_clip(video: Path, bundle: Bundle) -> Seen:
    """As the device saw it, and as a replay sees it. Raises StationError where the clip cannot be read."""
    clip = clips.read(video)
    watch, judge = clip.watch, Judge(bundle, clip.header.px_per_mm, clip.header.view_size_px)
    push_views(judge, clip)
    framing, water = FramingSummary("unchecked"), WaterSummary("unknown")
    watched = Watched(watch.usable_s, judge.composites, framing, water, visibility=watch.visibility)
    judge.verdict(watched, None)
    found = judge.weighed
    features = () if found is None else tuple(found.features.tolist())
    return Seen(features, found.finding if found else None, watched, clip.header.px_per_mm, watch.not_tested)


def verdicts(seen: Iterable[Seen], bundle: Bundle) -> Iterator[Verdict]:
    """The words of a bundle with the same eyes, in order; as a replay of the clips would give them."""
    aggregator = Aggregator(bundle.nets["aggregator"])
    for one in seen:
        yield _verdict(one, bundle, aggregator)


def _verdict(one: Seen, bundle: Bundle, aggregator: Aggregator) -> Verdict:
    if one.refused:
        return not_tested(one.refused)
    finding = one.finding
    if finding is not None:
        said = aggregator.score(np.array(one.features, np.float32))
        finding = replace(finding, score=said.leak, distance=said.distance)
    return decide(one.watched, finding, None, manifest=bundle.manifest, px_per_mm=one.px_per_mm)


def encode(one: Seen) -> bytes:
    """For a file; `decode` gives it back."""
    return msgspec.json.encode(one)


def decode(data: bytes) -> Seen | None:
    """None where it is not what `encode` writes: it broke off, or is of another version."""
    try:
        one = msgspec.json.decode(data, type=Seen)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return one if len(one.features) in (0, len(FEATURES)) else None
