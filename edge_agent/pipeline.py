"""The whole story on one screen: frame -> sight -> immersion -> judged views -> Case.

`Inspector.step(frame)` gives the cases that are complete. It opens nothing: nets, clips and chance are handed in.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from edge_agent import compare
from edge_agent.case import BLIND_S, Identity, Judgement, OpenCase, Progress
from edge_agent.challenger import Challenger
from edge_agent.due import DECIDING, PATIENCE_S, DueWatch, disposition
from edge_agent.errors import ModelError, StationError
from edge_agent.eyes import Eyes, Sight
from edge_agent.immersion import Immersion, Immersions
from edge_agent.judge import Judge, Weighed
from edge_agent.messages import SamplingWish
from edge_agent.records import (
    Case,
    ChallengerVerdict,
    ClipRef,
    Composite,
    DecidedBy,
    DispositionWord,
    DueWord,
    Evidence,
    Frame,
    Mode,
    OutcomeWord,
    Sampled,
    Verdict,
)
from edge_agent.serials import Serials
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
    challenge_serials: frozenset[str] = frozenset()
    """Of parts of known truth: always drawn, and apart from all units."""


@dataclass(frozen=True, slots=True, eq=False)
class Seated:
    """A champion, its challenger and the eyes that belong to it, loaded and ready for one source."""

    champion: Judge
    challenger: Challenger | None
    eyes: Eyes
    immersions: Immersions
    """Follows them in views of this size."""
    view_size_px: tuple[int, int]


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
        challenger: Challenger | None = None,
        immersions: Immersions | None = None,
        open_clip: Callable[[str], ClipSink] | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """`patience_s`: how long after the required hold the machine may become certain."""
        self._identity, self._eyes, self._champion, self._challenger = identity, eyes, champion, challenger
        self._sampling, self._immersions, self._open_clip = sampling, immersions, open_clip
        self._profile = profile
        self._case: OpenCase | None = None
        self._clip: ClipSink | None = None
        self._opened_s: float | None = None
        self._first_s: float | None = None
        self._seen_s: float | None = None
        """When the newest picture was taken that showed anything."""
        self._serials = Serials()
        self._champion_fault = ""
        """Why the champion says nothing more on the open case."""
        self._patience_s = patience_s
        self._count = 0
        self._clip_paths: dict[str, Path] = {}
        self.immersion = Immersion("empty")
        self.sight: Sight | None = None
        """The last frame as it was seen, for screens and metrics."""
        self.told: tuple[str, DispositionWord] | None = None
        """What the line was told on the open case, or on the one that ended last; the next unit ends it."""

    def step(self, frame: Frame) -> list[Case]:
        """Takes the next frame; the cases that it completes, most often none. One that is not newer is let go."""
        if self.sight is not None and frame.monotonic_s <= self.sight.frame.monotonic_s:
            _refuse_another_clock(self.sight.frame.monotonic_s - frame.monotonic_s)
            return []
        if self._first_s is None:
            self._first_s = frame.monotonic_s
        self._champion.set_watch()
        sight = self.sight = self._eyes.look(frame)
        done = self.missing(frame.monotonic_s)
        if not sight.fault:
            self._seen_s = frame.monotonic_s
        before, self.immersion = self.immersion, self._follow(sight)
        if self.immersion.entered_s is None and self.immersion.left_s is None:
            # It was the water that had changed, no unit.
            done += self._given_up(frame.monotonic_s)
        if self.immersion.entered_s is None and before.entered_s is not None and before.left_s is None:
            done += self._given_up(frame.monotonic_s)  # what was taken for a unit was the water
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

    def ordered(
        self,
        audit_floor: float,
        wishes: tuple[SamplingWish, ...] = (),
        *,
        challenge_serials: Iterable[str] = (),
    ) -> None:
        """From the next record on the device draws for audit by this floor, these wishes and
        these serial numbers of challenge parts."""
        serials = frozenset(challenge_serials)
        self._sampling = replace(self._sampling, audit_floor=audit_floor, wishes=wishes, challenge_serials=serials)

    def named(self, serial: str) -> None:
        """The line has read a serial number."""
        in_water = self.immersion.entered_s is not None
        self._serials.read(serial, self._case, in_water=in_water, now_s=self._now_s())

    @property
    def between_cases(self) -> bool:
        """No case is open and no unit is in the water: judges may change."""
        return self._case is None and self.immersion.entered_s is None

    @property
    def fault(self) -> str:
        """What is wrong with the champion's nets, as the last frame showed; empty while nothing is."""
        return self._champion_fault or self._eyes.net_fault

    def exchange(self, seated: Seated, open_clip: Callable[[str], ClipSink] | None = None) -> None:
        """From the next frame on these judge and see; only between two cases. The former are let go."""
        assert self.between_cases
        self._eyes = self._eyes.with_nets_of(seated.eyes)
        if self._eyes is seated.eyes and self._immersions and not self._immersions.told:
            # A view of another size shows the empty tank a little otherwise, and that would look like a unit.
            self._immersions = seated.immersions
        if self._challenger:
            self._challenger.close()
        self._champion, self._challenger, self._open_clip = seated.champion, seated.challenger, open_clip
        self._champion_fault = ""

    def go_on_from(self, former: "Inspector") -> None:
        """Of the same camera under another profile, between two cases: case ids stay unique, times count from the same
        frame, a lamp that is still lit says nothing new, and a number that was read is the next unit's."""
        assert former.between_cases
        self._count, self._first_s, self._serials = former._count, former._first_s, former._serials
        self.told = former.told
        self._eyes.go_on_from(former._eyes)

    def rest(self, *, calm: bool) -> None:
        """Whether nothing moves in the tank, so that less has to be looked at."""
        self._eyes.rest(calm=calm)

    def cut_challenger(self, words: str) -> None:
        """The challenger is out for the rest of the open case, because the champion needs the time."""
        if self._challenger and self._case:
            self._challenger.cut(words)

    def in_mode(self, mode: Mode) -> None:
        """From now on the device runs in this mode."""
        if mode != self._identity.mode:
            self._identity = replace(self._identity, mode=mode)

    @property
    def open_case_id(self) -> str | None:
        """Of the unit that is being watched."""
        return self._case.case_id if self._case else None

    @property
    def progress(self) -> Progress | None:
        """How far that unit has been watched."""
        murky_below = self._champion.bundle.manifest.thresholds.murky_below
        return self._case.progress(murky_below=murky_below) if self._case else None

    @property
    def told_on_open_case(self) -> bool:
        """Whether the line may act on the unit that is still being watched."""
        return self._case is not None and self._case.told is not None

    @property
    def shown(self) -> tuple[str, DueWord] | None:
        """The open case and the word that the screen may show of it."""
        case = self._case
        return (case.case_id, case.due.word) if case and case.due.word and case.shown_before else None

    def abandon(self) -> None:
        """The open case is not said, and nothing is left of its clip. Its serial number is the next unit's."""
        if self._clip:
            self._clip.discard()
        if self._case:
            self._serials.given_back(self._case.serial, self._now_s())
        self._case = self._clip = None

    def close(self) -> None:
        """Nothing more is judged."""
        self.abandon()
        if self._challenger:
            self._challenger.close()

    def finish(self) -> list[Case]:
        """The source has ended: the open case, if any, is closed as it stands."""
        if self._case is None or self.sight is None:
            return []
        return [self._close(self._case.decided_s or self._case.left_s or self.sight.frame.monotonic_s)]

    @property
    def took_s(self) -> tuple[float | None, float | None]:
        """How long the champion took at the last frame for a composite and for a verdict; None where there was none."""
        return self._champion.composite_s, self._champion.verdict_s

    @property
    def strongest(self) -> tuple[Composite, Evidence] | None:
        """What the champion saw most of, in the open case or else in the last one; None where it saw no composite."""
        return self._champion.strongest

    @property
    def weighed(self) -> Weighed | None:
        """What the champion's last verdict was made of; None where it saw no composite."""
        return self._champion.weighed

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
        self._case, self.told = self._new_case(self._opened_s), None
        self._case.serial = self._serials.taken(self._now_s())
        self._champion.restart()
        if self._challenger:
            self._challenger.restart()
        self._champion_fault = ""
        self._clip = self._open_clip(self._case.case_id) if self._open_clip else None

    def _now_s(self) -> float:
        return self.sight.frame.monotonic_s if self.sight else 0.0

    def _new_case(self, entered_s: float) -> OpenCase:
        self._count += 1
        hold_s = self._profile.required_hold_s if self._profile else 0.0
        case_id = f"{self._identity.station}-{self._identity.boot_id}-{self._count:05d}"
        due, second = (DueWatch(hold_s, self._patience_s) for _ in range(2))
        return OpenCase(case_id, entered_s, due, second)

    def _feed(self, sight: Sight) -> None:
        assert self._case is not None
        watchable = self._case.see(sight, self.immersion)
        settled_s = self.immersion.settled_s
        since_s = sight.frame.monotonic_s - settled_s if watchable and settled_s is not None else None
        if self._clip and not self._case.is_long(sight.frame.monotonic_s):
            self._clip.frame(sight, since_settled_s=since_s)
        if since_s is not None:
            if self._challenger:
                self._challenger.push(sight.view, since_s)
            if not self._champion_fault:
                self._show_champion(sight, since_s)
        if settled_s is not None:
            self._speak_when_due(sight.frame.monotonic_s - settled_s)

    def _speak_when_due(self, since_settled_s: float) -> None:
        """At a station, while the unit is in the water and nobody has decided on it."""
        case = self._case
        assert case is not None
        if self._profile is None or case.decided_s is not None or case.left_s is not None:
            return
        if not case.due.asks(case.usable_s, since_settled_s):
            # Never both at one frame: an answer takes most of the time between two.
            if self._challenger:
                self._ask_second(self._challenger, case, since_settled_s)
            return
        if case.due.answer(self._champions_word(case), case.usable_s, since_settled_s):
            case.shown_before = self._identity.is_shown
            self._tell(case, disposition(case.due.word))

    def _ask_second(self, challenger: Challenger, case: OpenCase, since_settled_s: float) -> None:
        if not case.second_due.asks(case.usable_s, since_settled_s):
            return
        case.second_due.asked(since_settled_s)
        usable_s, watched = case.usable_s, case.watched(0, murky_below=challenger.murky_below)

        def think(judge: Judge) -> None:
            verdict = judge.verdict(replace(watched, composites=judge.composites), self._profile)
            case.second_due.answer(verdict, usable_s, since_settled_s)

        challenger.give(think)

    def _tell(self, case: OpenCase, word: DispositionWord) -> None:
        """Once for each case, and only where the machine may decide."""
        if case.told is None and self._identity.mode in DECIDING:
            case.told, self.told = (word, self._identity.mode), (case.case_id, word)

    def _show_champion(self, sight: Sight, since_s: float) -> None:
        """A champion that fails has no word on this unit; the case goes on, for it must not be lost."""
        try:
            self._champion.push(sight.view, since_s)
        except ModelError as error:
            self._champion_fault = str(error)

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

    def _given_up(self, now_s: float) -> list[Case]:
        """The case is none, unless the line was told something on it: then it is recorded."""
        if self._case and self._case.told:
            return [self._close(now_s)]
        self.abandon()
        return []

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
        self._serials.closed(case.serial)
        self._eyes.anchor_anew()
        self._tell(case, "wait")
        if self._challenger:
            # It thinks while the champion does.
            self._challenger.ask(lambda judge: self._word(judge, case))
        verdict = self._champions_word(case)
        second = self._second_word(self._challenger, case) if self._challenger else None
        return self._record(case, ended_s, verdict, clip=clip, composites=champion.composites, second=second)

    def _champions_word(self, case: OpenCase) -> Verdict:
        try:
            return not_tested(self._champion_fault) if self._champion_fault else self._word(self._champion, case)
        except ModelError as error:
            self._champion_fault = str(error)
            return not_tested(self._champion_fault)

    def _second_word(self, challenger: Challenger, case: OpenCase) -> ChallengerVerdict:
        return ChallengerVerdict.of(challenger.ref, challenger.answer(), case.second_due.word)

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
        if case.is_decided_by_machine:
            decided_by = "machine"
        outcome = compare.outcome(verdict.verdict, case.decision, decided_by)
        murky_below = self._champion.bundle.manifest.thresholds.murky_below
        watched = case.watched(composites, murky_below=murky_below)
        differ = len({verdict.verdict, *case.answers()}) > 1
        is_challenge = case.serial in self._sampling.challenge_serials
        sampled = compare.CHALLENGE if is_challenge else self._sampled(outcome, verdict, watched, differ=differ)
        sampled = compare.beside(sampled, verdict.verdict, second.verdict if second else None)
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

    def _sampled(self, outcome: OutcomeWord, verdict: Verdict, watched: Watched, *, differ: bool) -> Sampled:
        sampling, now = self._sampling, self.sight.frame.taken_at if self.sight else 0.0
        light = watched.visibility.light_levels if watched.visibility else None
        seen = compare.Seen(verdict.verdict, verdict.score, watched.water.clarity, light, now)
        return compare.sampled(
            outcome,
            verdict.score,
            audit_floor=sampling.audit_floor,
            draw=sampling.draw(),
            wished=compare.wished(sampling.wishes, seen),
            differ=differ,
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
