"""The open case's sights -> its clip: one writer a case, closed with what a replay needs to know."""

from collections.abc import Callable
from pathlib import Path

from edge_agent.clips import ClipHeader, ClipWriter, Watch
from edge_agent.eyes import Sight
from edge_agent.judge import Judge
from edge_agent.records import BundleRef, ClipRef, Verdict
from edge_agent.station import Lamp, StationProfile, scale_of


class Film:
    """A ClipSink that writes `path`."""

    def __init__(self, path: Path, header: ClipHeader, lamps: tuple[Lamp, ...]) -> None:
        self._writer = ClipWriter(path, header)
        self._lamps = lamps
        self._settled_s: float | None = None
        self._spans_s: list[tuple[float, float]] = []
        self._watching = False

    def frame(self, sight: Sight, *, since_settled_s: float | None) -> None:
        """One more frame; `since_settled_s` is None where it shows nothing usable."""
        now_s = sight.frame.monotonic_s
        crops = [sight.frame.image[y : y + h, x : x + w] for x, y, w, h in (lamp.rect_px for lamp in self._lamps)]
        self._writer.frame(sight.view, sight.frame.taken_at, crops, framing=sight.framing.status)
        if since_settled_s is None:
            self._watching = False
            return
        self._settled_s = now_s - since_settled_s
        began_s = self._spans_s.pop()[0] if self._watching else now_s
        self._spans_s.append((began_s, now_s))
        self._watching = True

    def finish(self, judge: Judge, verdict: Verdict) -> ClipRef:
        """The clip is whole."""
        if judge.strongest:
            self._writer.evidence(*judge.strongest, origin_px=verdict.leak_at_tank_px)
        return self._writer.close(
            Watch(
                settled_s=self._settled_s,
                spans_s=tuple(self._spans_s),
                usable_s=sum(end - begin for begin, end in self._spans_s),
                not_tested=verdict.reason if verdict.verdict == "not_tested" else "",
            )
        )

    @property
    def path(self) -> Path:
        """Where the clip is being written."""
        return self._writer.path

    def discard(self) -> None:
        """Nobody needs to see this case."""
        self._writer.discard()


def film_in(
    draft: Callable[[str], Path],
    view_size_px: tuple[int, int],
    profile: StationProfile,
    *,
    bundle: BundleRef,
    profile_sha256: str | None,
) -> Callable[[str], Film]:
    """Gives a function case id -> Film. `draft`: where the clip of an open case is written."""

    def start(case_id: str) -> Film:
        header = ClipHeader(
            case_id=case_id,
            station=profile.station,
            view_size_px=view_size_px,
            px_per_mm=scale_of(profile, view_size_px),
            lamps=tuple(lamp.means for lamp in profile.lamps),
            bundle=bundle,
            profile_sha256=profile_sha256,
        )
        return Film(draft(case_id), header, profile.lamps)

    return start
