"""One bundle at work on one case: tank views -> composites -> evidence -> finding.

The champion and the challenger are two judges that see the same views; neither knows of the other.
"""

import time
from dataclasses import dataclass

import numpy as np

from edge_agent.account import Account
from edge_agent.bundle import Bundle
from edge_agent.composite import Compositor
from edge_agent.infer import Aggregator, Detector, OriginReader
from edge_agent.kymograph import PICTURE
from edge_agent.records import Composite, Evidence, TankView, Verdict, Visibility
from edge_agent.station import StationProfile
from edge_agent.verdict import Finding, Watched, decide
from edge_agent.visibility import smallest_bubble_px


@dataclass(frozen=True, slots=True, eq=False)
class Weighed:
    """What the last verdict was made of, for who weighs it again with another aggregator. `features`: (F,) float32."""

    features: np.ndarray
    finding: Finding


class Judge:
    """Holds the bundle's sessions for the whole run, and the account of the case that is open."""

    def __init__(
        self, bundle: Bundle, px_per_mm: float | None, view_size_px: tuple[int, int], *, strict: bool = True
    ) -> None:
        """`strict`: composites keep the bundle's spacing; a recording of unknown make is taken as it is."""
        self.bundle = bundle
        self._px_per_mm = px_per_mm
        self._view_size_px = view_size_px
        self._strict = strict
        self._detector = Detector(bundle.nets["detector"], bundle.manifest.thresholds)
        self._origins = OriginReader(bundle.nets["origins"])
        self._aggregator = Aggregator(bundle.nets["aggregator"])
        self.composite_s: float | None = None
        self.verdict_s: float | None = None
        """How long the last composite and the last verdict took; None where there was none since the watch was set."""
        self.restart()

    def set_watch(self) -> None:
        """From now on it is noted how long things take."""
        self.composite_s = self.verdict_s = None

    def restart(self) -> None:
        """Forgets the last case."""
        manifest = self.bundle.manifest
        self._compositor = Compositor(manifest.preprocessing, strict=self._strict)
        self._account = Account(self._px_per_mm, self._view_size_px, manifest.thresholds, self._origins)
        self.composites = 0
        self.strongest: tuple[Composite, Evidence] | None = None
        self.weighed: Weighed | None = None
        self._strongest_rank = (False, 0.0)

    def warm_up(self) -> None:
        """One run of each net on a black tank, so that the first unit finds them ready. Raises ModelError."""
        spacing_s = self.bundle.manifest.preprocessing.spacing_ms / 1000
        width, height = self._view_size_px
        for number in range(3):
            self.push(TankView(np.zeros((height, width), np.uint8), number, number * spacing_s, np.eye(3)), 0.0)
        self._origins(np.zeros((1, *PICTURE), np.float32))
        self._aggregator.score(self.features(None))
        self.restart()

    def push(self, view: TankView, since_immersion_s: float) -> None:
        """Takes one usable view of the unit at rest."""
        began_s = time.perf_counter()
        composite = self._compositor.push(view)
        if composite is None:
            return
        evidence = self._detector.look(composite)
        self._account.add(evidence, since_immersion_s)
        self.composites += 1
        # Trapped air lights up at first whatever the unit: what is kept to show should be from after that.
        rank = (since_immersion_s >= self.bundle.manifest.thresholds.settle_s, evidence.score)
        if rank >= self._strongest_rank:
            self._strongest_rank, self.strongest = rank, (composite, evidence)
        self.composite_s = time.perf_counter() - began_s

    def verdict(self, watched: Watched, profile: StationProfile | None) -> Verdict:
        """The word on all that was pushed since the last restart, under the station's requirements."""
        began_s = time.perf_counter()
        finding = self._finding(watched.visibility) if self.composites else None
        said = decide(watched, finding, profile, manifest=self.bundle.manifest, px_per_mm=self._px_per_mm)
        self.verdict_s = time.perf_counter() - began_s
        return said

    def features(self, seen: Visibility | None) -> np.ndarray:
        """(F,) float32: what the aggregator scores, in a picture as it was `seen`; training collects them."""
        return self._account.features(smallest_bubble_px(seen, self.bundle.manifest.sensitivity))

    def _finding(self, seen: Visibility | None) -> Finding:
        origin = self._account.best_origin()
        features = self.features(seen)
        said = self._aggregator.score(features)
        finding = Finding(
            score=said.leak,
            distance=said.distance,
            late_s=self._account.late_s,
            origin_px=None if origin is None else (round(origin[0]), round(origin[1])),
            words=self._account.words(),
            words_if_tight=self._account.words_if_tight(),
            emission=self._account.emission(),
        )
        self.weighed = Weighed(features, finding)
        return finding
