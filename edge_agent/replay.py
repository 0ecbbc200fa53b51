"""A stored clip -> the verdict on it, judged again: same verdict, score within 0.02 of the live one."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from edge_agent import clips
from edge_agent.bundle import Bundle, open_bundle
from edge_agent.clips import Clip, Watch
from edge_agent.inspection import shipped_bundle
from edge_agent.judge import Judge
from edge_agent.records import Frame, FramingSummary, TankView, Verdict, WaterSummary
from edge_agent.verdict import Watched, not_tested


class ClipCamera:
    """A stored clip as a recording: the tank views of the stretches in which the unit was watched."""

    live = False

    def __init__(self, path: Path) -> None:
        self._clip = clips.read(path)
        self.frame_count: int | None = self._clip.frame_count
        self.notes: list[str] = [] if self._clip.whole else [f"{path} breaks off: judged as far as it goes"]

    def frames(self) -> Iterator[Frame]:
        """Grey frames; times count from the first."""
        first_s: float | None = None
        for frame in self._clip.frames():
            view = frame.view
            if not _watched(self._clip.watch, view.monotonic_s):
                continue
            first_s = view.monotonic_s if first_s is None else first_s
            yield Frame(view.grey, view.sequence, view.monotonic_s - first_s, frame.taken_at)

    def close(self) -> None:
        """Nothing stays open between frames."""


def judge_again(clip: Clip, bundle: Bundle) -> Verdict:
    """The verdict of `bundle` on `clip`. What kept the device from testing the unit keeps the replay from it too."""
    watch = clip.watch
    if watch.not_tested:
        return not_tested(watch.not_tested)
    judge = Judge(bundle, clip.header.px_per_mm, clip.header.view_size_px)
    push_views(judge, clip)
    framing, water = FramingSummary("unchecked"), WaterSummary("unknown")
    watched = Watched(watch.usable_s, judge.composites, framing, water, visibility=watch.visibility)
    return judge.verdict(watched, None)


def push_views(judge: Judge, clip: Clip) -> None:
    """Shows the judge every view that was usable on the device."""
    for view, since_immersion_s in watched_views(clip):
        judge.push(view, since_immersion_s)


def watched_views(clip: Clip) -> Iterator[tuple[TankView, float]]:
    """Every view that was usable on the device, and how long after the unit came to rest."""
    watch = clip.watch
    for view in clip.views():
        if watch.settled_s is not None and _watched(watch, view.monotonic_s):
            yield view, view.monotonic_s - watch.settled_s


def replay(argv: list[str]) -> int:
    """`tankwatch replay CLIP`."""
    parser = argparse.ArgumentParser("tankwatch replay", description="Judges a stored clip again.")
    parser.add_argument("clip", type=Path)
    parser.add_argument("--bundle", type=Path, metavar="FILE", help="default: the shipped one")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    clip = clips.read(options.clip)
    bundle = open_bundle(options.bundle or shipped_bundle())
    made_with = clip.header.bundle
    if made_with and made_with.sha256 != bundle.sha256:
        print(
            f"the case was judged by bundle {made_with.version} ({made_with.sha256[:12]}), this is bundle "
            f"{bundle.manifest.version} ({bundle.sha256[:12]}): give the former with --bundle to compare",
            file=sys.stderr,
        )
    if not clip.whole:
        print(f"{options.clip} breaks off after {clip.frame_count} frames: judged as far as it goes", file=sys.stderr)
    verdict = judge_again(clip, bundle)
    score = "" if verdict.score is None else f" {verdict.score:.3f}"
    words = f"{clip.header.case_id}: {verdict.verdict}{score}  {verdict.reason}"
    print(
        msgspec.json.encode({"case_id": clip.header.case_id, **msgspec.to_builtins(verdict)}).decode()
        if options.json
        else words
    )
    return 0


def _watched(watch: Watch, at_s: float) -> bool:
    return any(begin <= at_s <= end for begin, end in watch.spans_s)
