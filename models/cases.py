"""Recordings -> a detector's evidence over whole cases -> the features that the aggregator is fitted to.

Evidence is kept, features are made from it: at several lengths of watching, with and without a scale, with the moment
of immersion a little wrong, so that the aggregator knows what it will meet.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from edge_agent import kymograph
from edge_agent.account import FEATURES, SCORED, Account
from edge_agent.bundle import Bundle, Sensitivity, Thresholds
from edge_agent.composite import Compositor
from edge_agent.errors import ModelError
from edge_agent.infer import Detector
from edge_agent.records import Evidence, TankView, Visibility
from edge_agent.visibility import smallest_bubble_px, smallest_leak_std_cm3_s
from models import arrays
from models.data import PREPROCESSING

Look = Callable[[np.ndarray], np.ndarray]
"""What says of kymographs where bubbles rise from: the origins net."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What features are made on, beside the evidence: limits, the origins net, and how small a bubble can be seen."""

    thresholds: Thresholds
    look: Look
    sensitivity: Sensitivity


SHORTER = 2
COLUMNS = ("values", "leaky", "weight", "case", "familiar")
"""Of Features."""
KEPT_ABOVE = 0.12
"""Peaks are kept from this score on, so that the limit can be chosen afterwards."""


@dataclass(frozen=True, slots=True, eq=False)
class CaseEvidence:
    """What a detector saw of one case.

    `times` (m,) float32 seconds since the first view, one a composite; `classes` (m, 2, 4) float32, as Evidence has
    them; `bubbles` (n, 7) float32 rows of the composite's number and the six columns of Evidence; `glow` (m, ROWS,
    STRIPS) uint8, each composite's heat as `kymograph.cells` has it; `seen`: what the picture let be seen, None where
    nothing was measured.
    """

    times: np.ndarray
    classes: np.ndarray
    bubbles: np.ndarray
    glow: np.ndarray
    px_per_mm: float | None
    view_size_px: tuple[int, int]
    seen: Visibility | None = None


NO_BIRTHS = np.empty((0, 3), np.float32)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CaseTruth:
    """What is true of one case. `births`: (n, 3) float32 rows of time since immersion and the origin's place, as shares
    of the tank view's width and height, one a bubble of a leak; empty where that is not known. `required_std_cm3_s`:
    the leak that the station has to find, None where it has no such limit; `make_believe`: no station shows such
    things, they are there to teach doubt."""

    leaky: bool = False
    silent: bool = False
    births: np.ndarray = field(default_factory=lambda: NO_BIRTHS)
    required_std_cm3_s: float | None = None
    make_believe: bool = False


WHOLE = 1.0
"""Least weight of a case that was watched to its end."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """`values` (n, F) float32; `leaky` (n,) bool; `weight` (n,) float32; `case` (n,) int: rows of one case share it;
    `familiar` (n,) bool: whether a station shows such things."""

    values: np.ndarray
    leaky: np.ndarray
    weight: np.ndarray
    case: np.ndarray
    familiar: np.ndarray

    @property
    def whole(self) -> np.ndarray:
        """(n,) bool: cases watched to their end; the others are their beginnings."""
        return self.weight >= WHOLE

    @property
    def mapped(self) -> np.ndarray:
        """(n, len(MAPPED)): the features that tell how familiar a case is."""
        return self.values[:, len(SCORED) :]


def features_bytes(fitted: Features) -> bytes:
    """A .npy file: a row each of the features, leaky, weight, case and familiar, for retraining on top."""
    table = np.column_stack([getattr(fitted, name) for name in COLUMNS]).astype(np.float32)
    out = io.BytesIO()
    np.save(out, table, allow_pickle=False)
    return out.getvalue()


def fitted_features(bundle: Bundle) -> Features:
    """What `features_bytes` wrote. Raises ModelError where the bundle carries none."""
    if bundle.features is None:
        raise ModelError("the parent bundle carries no features to train on: take a bundle made by 'train --recipe'")
    try:
        table = np.load(io.BytesIO(bundle.features), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ModelError(f"the parent bundle's features cannot be read ({error}): take another parent") from error
    wanted = len(FEATURES) + len(COLUMNS) - 1
    if table.ndim != 2 or table.shape[1] != wanted:
        raise ModelError(f"the parent bundle's features have shape {table.shape}, {wanted} columns are needed")
    values, (leaky, weight, case, familiar) = table[:, : len(FEATURES)], table[:, len(FEATURES) :].T
    return Features(values.copy(), leaky > 0.5, weight.copy(), case.astype(int), familiar > 0.5)


def evidence_of(views: Iterable[TankView], detector: Detector, px_per_mm: float | None) -> CaseEvidence:
    """Runs the detector over a case's tank views; time counts from the first."""
    compositor = Compositor(PREPROCESSING, strict=False)
    times: list[float] = []
    classes = [np.empty((0, 2, 4), np.float32)]
    bubbles = [np.empty((0, 7))]
    glow = [np.empty((0, kymograph.ROWS, kymograph.STRIPS), np.uint8)]
    first_s, size = None, (0, 0)
    for view in views:
        first_s = view.monotonic_s if first_s is None else first_s
        size = view.grey.shape[1], view.grey.shape[0]
        composite = compositor.push(view)
        if composite is None:
            continue
        seen = detector.look(composite)
        bubbles.append(np.column_stack([np.full(len(seen.bubbles), len(times)), seen.bubbles]))
        glow.append(kymograph.cells(seen.heat)[None])
        classes.append(seen.classes[None])
        times.append(composite.monotonic_s - first_s)
    rows = np.concatenate(bubbles).astype(np.float32)
    return CaseEvidence(
        np.array(times, np.float32), np.concatenate(classes), rows, np.concatenate(glow), px_per_mm, size
    )


def upside_down(views: Iterable[TankView]) -> Iterator[TankView]:
    """Bubbles that go down: whatever it is, it is no leak."""
    for view in views:
        yield TankView(np.ascontiguousarray(view.grey[::-1]), view.sequence, view.monotonic_s, view.homography)


def features(
    evidence: CaseEvidence,
    basis: Basis,
    *,
    until_s: float = np.inf,
    late_s: float = 0.0,
    measured: bool = True,
) -> np.ndarray:
    """(F,) float32 of the first `until_s` seconds, the moment of immersion set `late_s` later than it was; with scale
    and the gauge's readings, or without both as in a recording without a station."""
    thresholds = basis.thresholds
    account = Account(evidence.px_per_mm if measured else None, evidence.view_size_px, thresholds, basis.look)
    bounds = np.searchsorted(evidence.bubbles[:, 0], np.arange(len(evidence.times) + 1))
    for number, since_s in enumerate(evidence.times.tolist()):
        if not late_s <= since_s <= until_s:
            continue
        rows = evidence.bubbles[bounds[number] : bounds[number + 1], 1:]
        rows = rows[rows[:, 2] >= thresholds.bubble_above]
        heat = evidence.glow[number].astype(np.float32) / 255
        account.add(Evidence(since_s, heat, rows, 0.0, evidence.classes[number]), since_s - late_s)
    return account.features(smallest_bubble_px(evidence.seen if measured else None, basis.sensitivity))


def is_not_tested(evidence: CaseEvidence, truth: CaseTruth, basis: Basis) -> bool:
    """Whether the verdict is `not_tested` for what the picture shows: murky water, or it hides what the station has to
    find."""
    seen, required = evidence.seen, truth.required_std_cm3_s
    if seen is not None and seen.clarity is not None and seen.clarity < basis.thresholds.murky_below:
        return True
    if required is None:
        return False
    watched_s = float(evidence.times[-1]) if len(evidence.times) else 0.0
    smallest = smallest_leak_std_cm3_s(evidence.px_per_mm, watched_s, basis.sensitivity, seen)
    return smallest is not None and smallest > required


def rows_of(evidence: CaseEvidence, truth: CaseTruth, basis: Basis, *, case: int, rng: np.random.Generator) -> Features:
    """The case watched to its end, as a station's device has it, and SHORTER times for less; a quarter of these as if
    nothing had been measured, as in a recording without a station."""
    last_s = float(evidence.times[-1]) if len(evidence.times) else 0.0
    values = [features(evidence, basis, late_s=rng.uniform(-0.2, 0.3))]
    for _ in range(SHORTER):
        until_s = float(np.exp(rng.uniform(np.log(min(1.5, last_s)), np.log(max(last_s, 1.6)))))
        late_s, known = rng.uniform(-0.2, 0.5), rng.random() < 0.75
        values.append(features(evidence, basis, until_s=until_s, late_s=late_s, measured=known))
    count = len(values)
    weight = np.array([1.0] + [0.5] * SHORTER, np.float32)
    leaky, familiar = np.full(count, truth.leaky), np.full(count, not truth.make_believe)
    return Features(np.array(values), leaky, weight, np.full(count, case), familiar)


def together(parts: Iterable[Features]) -> Features:
    """All rows in one table."""
    none = np.empty(0, bool)
    nothing = Features(np.empty((0, len(FEATURES)), np.float32), none, np.empty(0, np.float32), np.empty(0, int), none)
    tables = [nothing, *parts]
    return Features(*(np.concatenate([getattr(table, column) for table in tables]) for column in COLUMNS))


def chosen(features: Features, which: np.ndarray) -> Features:
    """Some of the rows, by their numbers or a mask."""
    return Features(*(getattr(features, name)[which] for name in COLUMNS))


def save(evidence: CaseEvidence, path: Path, truth: CaseTruth = CaseTruth()) -> None:
    """One file, whole or absent, with the truth beside the evidence."""
    kind = np.array([truth.leaky, truth.silent, truth.make_believe])
    arrays.save(
        path, packed=True,
        times=evidence.times, classes=evidence.classes, bubbles=evidence.bubbles, glow=evidence.glow,
        known=np.array([evidence.px_per_mm, truth.required_std_cm3_s], float),
        view=evidence.view_size_px, truth=kind, births=truth.births,
        seen=np.frombuffer(msgspec.json.encode(evidence.seen), np.uint8),
    )  # fmt: skip


def load(path: Path) -> tuple[CaseEvidence, CaseTruth]:
    """As `save` wrote them."""
    with np.load(path) as kept:
        width, height = kept["view"].tolist()
        scale, required = (None if np.isnan(value) else value for value in kept["known"].tolist())
        leaky, silent, make_believe = kept["truth"].tolist()
        seen = msgspec.json.decode(kept["seen"].tobytes(), type=Visibility | None)
        evidence = CaseEvidence(
            kept["times"], kept["classes"], kept["bubbles"], kept["glow"], scale, (width, height), seen
        )
        return evidence, CaseTruth(
            leaky=leaky, silent=silent, births=kept["births"], required_std_cm3_s=required, make_believe=make_believe
        )
