"""The whole story on one screen: frame -> sight -> immersion -> judged views -> Case.

`Inspector.step(frame)` gives the cases that are complete. It opens nothing: nets, clips and chance are handed in.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from edge_agent import compare
from edge_agent.case import BLIND_S, Identity, Judgement, OpenCase
from edge_agent.errors import ModelError, StationError
from edge_agent.eyes import Eyes, Sight
from edge_agent.immersion import Immersion, Immersions
from edge_agent.judge import Judge
from edge_agent.messages import SamplingWish
from edge_agent.records import (
    Case,
    ChallengerVerdict,
    ClipRef,
    Composite,
    DecidedBy,
    Evidence,
    Frame,
    Mode,
    OutcomeWord,
    Sampled,
    Verdict,
)
from edge_agent.station import StationProfile
from edge_agent.verdict import Watched, not_tested

LATE_LAMP_S = 1.5
"""A lamp that lights within this time after the unit has left still decides it."""
LATE_FRAME_S = 5.0
"""Frames that come late by more are not late: the camera's clock was set anew."""
LOST_S = 10.0
"""A case of which nothing is seen for so long is closed: the unit may be gone, and another one there."""


class ClipSink(Protocol):
    """Where the pictures of the open case go."""

    @property
    def path(self) -> Path: ...
    def frame(self, sight: Sight, *, since_settled_s: float | None) -> None: ...
    def finish(self, judge: Judge, verdict: Verdict) -> ClipRef | None: ...
    def discard(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Sampling:
    """How agreements are drawn for audit. `draw` gives uniform numbers in 0..1."""

    audit_floor: float
    draw: Callable[[], float]
    wishes: tuple[SamplingWish, ...] = ()


class Inspector:
    """Follows one station. Without `immersions` the whole recording is one case and the unit is in the tank."""

    def __init__(
        self,
        identity: Identity,
        eyes: Eyes,
        champion: Judge,
        *,
        sampling: Sampling,
        profile: StationProfile | None = None,
        challenger: Judge | None = None,
        immersions: Immersions | None = None,
        open_clip: Callable[[str], ClipSink] | None = None,
    ) -> None:
        self._identity, self._eyes, self._champion, self._challenger = identity, eyes, champion, challenger
        self._sampling, self._immersions, self._open_clip = sampling, immersions, open_clip
        self._profile = profile
        self._case: OpenCase | None = None
        self._clip: ClipSink | None = None
        self._opened_s: float | None = None
        self._first_s: float | None = None
        self._seen_s: float | None = None
        """When the newest picture was taken that showed anything."""
        self._challenger_fault = ""
        self._count = 0
        self._clip_paths: dict[str, Path] = {}
        self.immersion = Immersion("empty")
        self.sight: Sight | None = None
        """The last frame as it was seen, for screens and metrics."""

    def step(self, frame: Frame) -> list[Case]:
        """Takes the next frame; the cases that it completes, most often none. One that is not newer is let go."""
        if self.sight is not None and frame.monotonic_s <= self.sight.frame.monotonic_s:
            _refuse_another_clock(self.sight.frame.monotonic_s - frame.monotonic_s)
            return []
        if self._first_s is None:
            self._first_s = frame.monotonic_s
        sight = self.sight = self._eyes.look(frame)
        done = self.missing(frame.monotonic_s)
        if not sight.fault:
            self._seen_s = frame.monotonic_s
        before, self.immersion = self.immersion, self._follow(sight)
        if self.immersion.entered_s is None and self.immersion.left_s is None:
            # It was the water that had changed, no unit.
            self.abandon()
        if self.immersion.entered_s is None and before.entered_s is not None and before.left_s is None:
            self.abandon()  # what was taken for a unit was the water
        if self._case and self._another_unit(before):
            done += self._gone(before.left_s or frame.monotonic_s)
        if self._case is None and self._unit_to_watch():
            self._open()
        if self._case is None:
            return done + self._unwatched_decision(sight)
        self._feed(sight)
        return done + self._completed(frame.monotonic_s)

    def missing(self, now_s: float) -> list[Case]:
        """No picture shows anything any more up to `now_s`: after a while the open case is closed, as not tested.

        Only at a station: a recording of unknown make is taken as it is.
        """
        if self._case is None or self._profile is None or self._seen_s is None:
            return []
        gap_s = now_s - self._seen_s
        if gap_s > BLIND_S:
            nothing = f"the camera showed nothing for {gap_s:.1f} s (limit {BLIND_S:g} s): check the camera"
            self._case.unseen((self.sight.fault if self.sight else "") or nothing)
        return [self._close(self._seen_s)] if gap_s > LOST_S else []

    def ordered(self, mode: Mode, audit_floor: float, wishes: tuple[SamplingWish, ...] = ()) -> None:
        """From the next record on the device runs in this mode and draws for audit by this floor and these wishes."""
        self._identity = replace(self._identity, mode=mode)
        self._sampling = replace(self._sampling, audit_floor=audit_floor, wishes=wishes)

    def abandon(self) -> None:
        """The open case is not said, and nothing is left of its clip."""
        if self._clip:
            self._clip.discard()
        self._case = self._clip = None

    def finish(self) -> list[Case]:
        """The source has ended: the open case, if any, is closed as it stands."""
        if self._case is None or self.sight is None:
            return []
        return [self._close(self._case.decided_s or self._case.left_s or self.sight.frame.monotonic_s)]

    @property
    def strongest(self) -> tuple[Composite, Evidence] | None:
        """What the champion saw most of, in the open case or else in the last one; None where it saw no composite."""
        return self._champion.strongest

    def clip_path(self, case: Case) -> Path | None:
        """Where the clip of a case that `step` has just given lies."""
        return self._clip_paths.pop(case.case_id, None)

    def _follow(self, sight: Sight) -> Immersion:
        if self._immersions is None:
            return Immersion("watching", entered_s=self._first_s, settled_s=self._first_s)
        if sight.fault and not self._immersions.told:
            return self.immersion
        decided = self._case is None or self._case.decision != "none"
        return self._immersions.step(sight.thumb, sight.frame.monotonic_s, decided=decided)

    def _another_unit(self, before: Immersion) -> bool:
        return self.immersion.entered_s not in (None, before.entered_s)

    def _unit_to_watch(self) -> bool:
        now = self.immersion
        return now.entered_s is not None and now.left_s is None and now.entered_s != self._opened_s

    def _open(self) -> None:
        assert self.immersion.entered_s is not None
        self._opened_s = self.immersion.entered_s
        self._seen_s = max(self._seen_s or self._opened_s, self._opened_s)
        self._case = self._new_case(self._opened_s)
        self._champion.restart()
        if self._challenger:
            self._challenger.restart()
        self._challenger_fault = ""
        self._clip = self._open_clip(self._case.case_id) if self._open_clip else None

    def _new_case(self, entered_s: float) -> OpenCase:
        self._count += 1
        return OpenCase(f"{self._identity.station}-{self._identity.boot_id}-{self._count:05d}", entered_s)

    def _feed(self, sight: Sight) -> None:
        assert self._case is not None
        watchable = self._case.see(sight, self.immersion)
        settled_s = self.immersion.settled_s
        since_s = sight.frame.monotonic_s - settled_s if watchable and settled_s is not None else None
        if self._clip and not self._case.is_long(sight.frame.monotonic_s):
            self._clip.frame(sight, since_settled_s=since_s)
        if since_s is not None:
            self._champion.push(sight.view, since_s)
            self._show_challenger(sight, since_s)

    def _show_challenger(self, sight: Sight, since_s: float) -> None:
        """A challenger that fails is out for this case; it stops nobody."""
        if self._challenger is None or self._challenger_fault:
            return
        try:
            self._challenger.push(sight.view, since_s)
        except ModelError as error:
            self._challenger_fault = str(error)

    def _completed(self, now_s: float) -> list[Case]:
        case = self._case
        assert case is not None
        if self._immersions is None:
            return []
        if case.decided_s is not None:
            return [self._close(case.decided_s)]
        if case.left_s is not None and now_s - case.left_s >= LATE_LAMP_S:
            return self._gone(case.left_s)
        return []

    def _gone(self, left_s: float) -> list[Case]:
        """What was in the tank has left it. A hand that reached in was no immersion: it never rested in sight."""
        assert self._case is not None and self._immersions is not None
        if self._case.was_passing and not self._immersions.told:
            self.abandon()
            return []
        return [self._close(left_s)]

    def _unwatched_decision(self, sight: Sight) -> list[Case]:
        """A lamp without an open case: an immersion nobody watched, or a second decision on one that is closed."""
        since_s = sight.signal.since_s
        if not sight.signal.fresh or since_s is None:
            return []
        case = self._new_case(since_s)
        case.see(sight, Immersion("empty"))
        words = "a lamp was lit without an immersion that was watched: see that the unit is in the picture"
        return [self._record(case, since_s, not_tested(words), clip=None, composites=0, second=None)]

    def _close(self, ended_s: float) -> Case:
        case, clip, champion = self._case, self._clip, self._champion
        assert case is not None
        self._case = self._clip = None
        self._eyes.anchor_anew()
        verdict = self._word(champion, case)
        second = self._second_opinion(case)
        return self._record(case, ended_s, verdict, clip=clip, composites=champion.composites, second=second)

    def _second_opinion(self, case: OpenCase) -> ChallengerVerdict | None:
        if self._challenger is None:
            return None
        try:
            word = not_tested(self._challenger_fault) if self._challenger_fault else self._word(self._challenger, case)
        except ModelError as error:
            word = not_tested(str(error))
        return ChallengerVerdict.of(self._challenger.bundle.ref, word)

    def _word(self, judge: Judge, case: OpenCase) -> Verdict:
        murky_below = judge.bundle.manifest.thresholds.murky_below
        return judge.verdict(case.watched(judge.composites, murky_below=murky_below), self._profile)

    def _record(
        self,
        case: OpenCase,
        ended_s: float,
        verdict: Verdict,
        *,
        clip: ClipSink | None,
        composites: int,
        second: ChallengerVerdict | None,
    ) -> Case:
        decided_by: DecidedBy = "none" if case.decision == "none" else "human"
        outcome = compare.outcome(verdict.verdict, case.decision, decided_by)
        murky_below = self._champion.bundle.manifest.thresholds.murky_below
        watched = case.watched(composites, murky_below=murky_below)
        sampled = compare.beside(
            self._sampled(outcome, verdict, watched), verdict.verdict, second.verdict if second else None
        )
        said = Judgement(
            verdict=verdict,
            bundle=self._champion.bundle.ref,
            composites=composites,
            decided_by=decided_by,
            outcome=outcome,
            sampled=sampled,
            clip=self._keep(case, clip, verdict) if clip and sampled.reason != "none" else None,
            challenger=second,
        )
        if clip and sampled.reason == "none":
            clip.discard()
        return case.record(self._identity, said, watched=watched, ended_s=ended_s, first_s=self._first_s or 0.0)

    def _sampled(self, outcome: OutcomeWord, verdict: Verdict, watched: Watched) -> Sampled:
        sampling, now = self._sampling, self.sight.frame.taken_at if self.sight else 0.0
        light = watched.visibility.light_levels if watched.visibility else None
        seen = compare.Seen(verdict.verdict, verdict.score, watched.water.clarity, light, now)
        return compare.sampled(
            outcome,
            verdict.score,
            audit_floor=sampling.audit_floor,
            draw=sampling.draw(),
            wished=compare.wished(sampling.wishes, seen),
        )

    def _keep(self, case: OpenCase, clip: ClipSink, verdict: Verdict) -> ClipRef | None:
        clip_ref = clip.finish(self._champion, verdict)
        if clip_ref:
            self._clip_paths[case.case_id] = clip.path
        return clip_ref


def _refuse_another_clock(late_s: float) -> None:
    if late_s > LATE_FRAME_S:
        raise StationError(
            f"the camera's capture times went back by {late_s:.1f} s, limit {LATE_FRAME_S:.0f} s: start it again"
        )
