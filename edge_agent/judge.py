"""One bundle at work on one case: tank views -> composites -> evidence -> finding.

The champion and the challenger are two judges that see the same views; neither knows of the other.
"""

from edge_agent.bundle import Bundle
from edge_agent.composite import Compositor
from edge_agent.infer import Aggregator, Detector
from edge_agent.origins import Account
from edge_agent.records import Composite, Evidence, TankView, Verdict
from edge_agent.station import StationProfile
from edge_agent.verdict import Finding, Watched, decide


class Judge:
    """Holds the bundle's sessions for the whole run, and the account of the case that is open."""

    def __init__(self, bundle: Bundle, profile: StationProfile | None, view_size_px: tuple[int, int]) -> None:
        self.bundle = bundle
        self._profile = profile
        self._view_size_px = view_size_px
        self._detector = Detector(bundle.nets["detector"], bundle.manifest.thresholds)
        self._aggregator = Aggregator(bundle.nets["aggregator"])
        self.restart()

    def restart(self) -> None:
        """Forgets the last case."""
        manifest, scale = self.bundle.manifest, self._profile.px_per_mm if self._profile else None
        self._compositor = Compositor(manifest.preprocessing, strict=self._profile is not None)
        self._account = Account(scale, self._view_size_px, manifest.thresholds)
        self.composites = 0
        self.strongest: tuple[Composite, Evidence] | None = None

    def push(self, view: TankView, since_immersion_s: float) -> None:
        """Takes one usable view of the unit at rest."""
        composite = self._compositor.push(view)
        if composite is None:
            return
        evidence = self._detector.look(composite)
        self._account.add(evidence, since_immersion_s)
        self.composites += 1
        # Trapped air lights up at first whatever the unit: what is kept to show should be from after that.
        late = since_immersion_s >= self.bundle.manifest.thresholds.settle_s
        if self.strongest is None or (late and evidence.score >= self.strongest[1].score):
            self.strongest = (composite, evidence)

    def verdict(self, watched: Watched) -> Verdict:
        """The word on all that was pushed since the last restart."""
        manifest = self.bundle.manifest
        return decide(
            watched,
            self._finding() if self.composites else None,
            self._profile,
            thresholds=manifest.thresholds,
            sensitivity=manifest.sensitivity,
        )

    def _finding(self) -> Finding:
        origin = self._account.best_origin()
        return Finding(
            score=self._aggregator.score(self._account.features()),
            origin_px=None if origin is None else (round(origin[0]), round(origin[1])),
            words=self._account.words(),
        )
