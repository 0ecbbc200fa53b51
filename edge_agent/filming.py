"""The open case's sights -> its clip: one writer a case, closed with what a replay needs to know.

Only tank and lamps may be seen in it. A frame waits until the next look for the codes has found that the camera still
frames the tank; where it does not, what came since the look before is black: it may be a room with people in it. A disk
that takes no clip stops no inspection: the case goes on without its pictures, and that is said once. A clip that is
full ends there and is kept: the case may go on for as long as it likes.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_agent import clips, durable
from edge_agent.clips import ClipHeader, ClipWriter, Watch
from edge_agent.errors import StoreError
from edge_agent.eyes import Sight
from edge_agent.judge import Judge
from edge_agent.records import BundleRef, ClipRef, Verdict
from edge_agent.station import Lamp, StationProfile, scale_of
from edge_agent.unseen import Unseen


class Film:
    """A ClipSink that writes `path`; `say` hears why there will be no clip, or no more of it."""

    def __init__(
        self, path: Path, header: ClipHeader, lamps: tuple[Lamp, ...], say: Callable[[str], None] | None = None
    ) -> None:
        self.path = path
        """Where the clip is being written."""
        self._lamps, self._say = lamps, say
        self._writer: ClipWriter | None = None
        with self._going_without():
            durable.leave_room(path)
            self._writer = ClipWriter(path, header)
        self._unseen = Unseen(lamps)
        self._settled_s: float | None = None
        self._spans_s: list[tuple[float, float]] = []
        self._watching = self._has_ended = False

    def frame(self, sight: Sight, *, since_settled_s: float | None) -> None:
        """One more frame; `since_settled_s` is None where it shows nothing usable."""
        if self._writer is None:
            return
        now_s = sight.frame.monotonic_s
        with self._going_without():
            self._leave_room(self._writer)
            # Also behind the end: the strongest evidence may come from there, and it must not show a room.
            self._add(self._unseen.step(sight, self._writer), self._writer)
        if since_settled_s is None or self._has_ended:
            self._watching = False
            return
        self._settled_s = now_s - since_settled_s
        began_s = self._spans_s.pop()[0] if self._watching else now_s
        self._spans_s.append((began_s, now_s))
        self._watching = True

    def finish(self, judge: Judge, verdict: Verdict) -> ClipRef | None:
        """The clip is whole, and on the disk once the spool keeps it; None where there is none."""
        if self._writer is None:
            return None
        watch = Watch(
            settled_s=self._settled_s,
            spans_s=tuple(self._spans_s),
            usable_s=sum(end - begin for begin, end in self._spans_s),
            not_tested=verdict.reason if verdict.verdict == "not_tested" else "",
            visibility=verdict.visibility,
        )
        clip: ClipRef | None = None
        with self._going_without():
            self._add(self._unseen.rest(), self._writer)
            if judge.strongest and not self._unseen.hides(judge.strongest[0]):
                self._writer.evidence(*judge.strongest, origin_px=verdict.leak_at_tank_px)
            # The disk is waited for beside the frames, where the case is put.
            clip = self._writer.close(watch, synced=False)
        return clip

    def discard(self) -> None:
        """Nobody needs to see this case."""
        if self._writer:
            with self._going_without():
                self._writer.discard()

    def _add(self, records: Iterable[bytes], writer: ClipWriter) -> None:
        for record in records:
            if writer.is_full:
                self._end(writer)
                return
            writer.add(record)

    def _end(self, writer: ClipWriter) -> None:
        if self._say and not self._has_ended:
            limits = f"limits {clips.MAX_FRAMES} frames and {clips.FILMED_BYTES / 1e6:.0f} MB"
            fact = f"a case goes on without the rest of its clip, which is full with {writer.frames} frames"
            self._say(f"{fact}, {limits}: take the unit out of the tank")
        self._has_ended = True

    def _leave_room(self, writer: ClipWriter) -> None:
        """A record is worth more than any clip."""
        try:
            durable.leave_room(self.path)
        except StoreError:
            writer.discard()
            raise

    @contextmanager
    def _going_without(self) -> Iterator[None]:
        try:
            yield
        except StoreError as error:
            self._writer = None
            if self._say:
                self._say(f"a case goes on without its clip: {error}")


def film_in(
    draft: Callable[[str], Path],
    view_size_px: tuple[int, int],
    profile: StationProfile,
    *,
    bundle: BundleRef,
    profile_sha256: str | None,
    say: Callable[[str], None] | None = None,
) -> Callable[[str], Film]:
    """Gives a function case id -> Film. `draft`: where the clip of an open case is written; `say` hears of faults."""

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
        return Film(draft(case_id), header, profile.lamps, say)

    return start
