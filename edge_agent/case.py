"""The case that is open: what its frames add up to while the unit is in the water, and the record made of it. PURE."""

from dataclasses import dataclass
from statistics import median

import numpy as np

from edge_agent import utc
from edge_agent.due import DECIDING, DueWatch
from edge_agent.eyes import Sight
from edge_agent.immersion import Immersion
from edge_agent.records import (
    BundleRef,
    Case,
    ChallengerVerdict,
    ClipRef,
    DecidedBy,
    DecisionWord,
    DispositionWord,
    FramingStatus,
    FramingSummary,
    Mode,
    OutcomeWord,
    Sampled,
    Verdict,
    Visibility,
    WaterSummary,
    WordShown,
)
from edge_agent.verdict import Watched
from edge_agent.visibility import median_of

LONGEST_GAP_S = 0.5
"""Frames farther apart than this show nothing of the time between them."""
LONGEST_WATCH_S = 600.0
"""A unit that is left in the tank is not watched for ever: memory, and the time that a verdict takes."""
BLIND_S = 2.0
"""In a longer gap the unit may have been changed for another."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who speaks."""

    site: str
    station: str
    boot_id: str
    """Random for each start, so that case ids are unique for ever."""
    mode: Mode = "shadow"
    profile_sha256: str | None = None
    shows_before: bool = False
    """In `assist` the screen shows the machine's word before the inspector has decided."""

    @property
    def is_shown(self) -> bool:
        """Whether the screen shows a word as soon as it is due."""
        return self.mode in DECIDING or (self.mode == "assist" and self.shows_before)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the unit in the water has been watched, as of the newest frame."""

    case_id: str
    usable_s: float
    """As the case would count them if it ended now: none in murky water."""
    is_murky: bool
    is_long: bool
    """Nobody watches it any longer."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """All that was said on a case: the champion's word, the challenger's, and how they compare with the human's."""

    verdict: Verdict
    bundle: BundleRef
    composites: int
    decided_by: DecidedBy
    outcome: OutcomeWord
    sampled: Sampled
    clip: ClipRef | None
    challenger: ChallengerVerdict | None


class OpenCase:
    """Adds up sights from the moment the unit touches the water."""

    def __init__(
        self, case_id: str, entered_s: float, due: DueWatch | None = None, second_due: DueWatch | None = None
    ) -> None:
        self.case_id = case_id
        self.entered_s = entered_s
        self.left_s: float | None = None
        self.decision: DecisionWord = "none"
        self.decided_s: float | None = None
        self.serial: str | None = None
        self.told: tuple[DispositionWord, Mode] | None = None
        """The word to the line, and the mode that let it be given."""
        self.shown_before = False
        self.due, self.second_due = due or DueWatch(0.0), second_due or DueWatch(0.0)
        """The champion's word and the challenger's."""
        self.frames = 0
        self._settled = self._hidden = False
        self.usable_s = 0.0
        self._rest_s = 0.0
        self._still_s = 0.0
        """Usable time up to now in which the picture did not change at all."""
        self._dropped = 0
        self._framing_s: dict[FramingStatus, float] = {}
        self._faults_s: dict[str, float] = {}
        self._fault_words: dict[str, str] = {}
        self._corners: list[int] = []
        self._shifts: list[float] = []
        self._clarities: list[float] = []
        self._visible: list[Visibility] = []
        self._blind = ""
        self._last: Sight | None = None
        self._until_s: float | None = None
        """Up to when the time at rest is accounted for."""

    def unseen(self, words: str) -> None:
        """For too long nothing was seen: whatever comes after, the unit was not tested."""
        self._blind = words

    def see(self, sight: Sight, immersion: Immersion) -> bool:
        """Takes the next sight; True when it shows the unit at rest in a usable picture."""
        now_s, last, self._last = sight.frame.monotonic_s, self._last, sight
        self.frames += 1
        self.left_s = immersion.left_s
        self._settled |= immersion.settled_s is not None
        self._hidden |= sight.is_blind
        if (
            sight.signal.decision != "none"
            and self.decision == "none"
            and (sight.signal.since_s or 0) >= self.entered_s
        ):
            self.decision, self.decided_s = sight.signal.decision, sight.signal.since_s
        if last is not None:
            self._dropped += max(0, sight.frame.sequence - last.frame.sequence - 1)
        passed_s, self._until_s = now_s - self._until_s if self._until_s is not None else 0.0, now_s
        if not self._is_at_rest(immersion, now_s):
            return False
        if last and 0 < passed_s <= LONGEST_GAP_S:
            self._account(sight, passed_s, still=np.array_equal(sight.thumb, last.thumb))
        return sight.usable

    def nothing_new(self, sight: Sight, immersion: Immersion, now_s: float) -> None:
        """Up to now the camera gave nothing new since `sight`, whose fault says why."""
        passed_s, self._until_s = now_s - self._until_s if self._until_s is not None else 0.0, now_s
        self._hidden |= sight.is_blind
        if passed_s > 0 and self._is_at_rest(immersion, now_s):
            self._account(sight, passed_s, still=False)

    def _is_at_rest(self, immersion: Immersion, now_s: float) -> bool:
        """Whether this time counts: the unit rests in the water, and nobody has decided on it."""
        at_rest = immersion.settled_s is not None and immersion.left_s is None and not immersion.moving
        return at_rest and self.decided_s is None and not self.is_long(now_s)

    @property
    def was_passing(self) -> bool:
        """Nothing came to rest, nothing hid it, and nobody decided on it."""
        return not (self._settled or self._hidden or self._blind) and self.decision == "none"

    def is_long(self, now_s: float) -> bool:
        """The unit has been in the tank for longer than anybody watches."""
        return now_s - self.entered_s > LONGEST_WATCH_S

    def watched(self, composites: int, *, murky_below: float) -> Watched:
        """How the unit was watched, as far as a verdict needs it."""
        fault_s, water = sum(self._faults_s.values()), self._water(murky_below)
        worst = max(self._faults_s, key=self._faults_s.__getitem__, default="")
        return Watched(
            usable_s=0.0 if water.status == "murky" else self.usable_s,
            composites=composites,
            framing=self._framing(),
            water=water,
            fault=self._blind or (self._fault_words[worst] if fault_s > self._rest_s / 2 else ""),
            trouble=self._fault_words.get(worst, ""),
            visibility=median_of(self._visible, water.clarity),
        )

    def progress(self, *, murky_below: float) -> Progress:
        """How far the unit has been watched."""
        is_murky = self._water(murky_below).status == "murky"
        is_long = self._last is not None and self.is_long(self._last.frame.monotonic_s)
        return Progress(self.case_id, 0.0 if is_murky else self.usable_s, is_murky, is_long)

    def record(self, who: Identity, said: Judgement, *, watched: Watched, ended_s: float, first_s: float) -> Case:
        """The Case; its sequence is 0 until it is stored. `first_s`: time of the first frame; seconds count from it."""
        assert self._last is not None
        now = self._last.frame
        verdict = said.verdict
        return Case(
            case_id=self.case_id,
            site=who.site,
            station=who.station,
            boot_id=who.boot_id,
            sequence=0,
            started_at=utc.text(now.taken_at - (now.monotonic_s - self.entered_s)),
            ended_at=utc.text(now.taken_at - (now.monotonic_s - ended_s)),
            started_s=round(self.entered_s - first_s, 3),
            ended_s=round(ended_s - first_s, 3),
            usable_s=round(min(watched.usable_s, max(0.0, ended_s - self.entered_s)), 2),
            verdict=verdict.verdict,
            score=verdict.score,
            reason=verdict.reason,
            leak_at_px=_to_camera(verdict.leak_at_tank_px, self._last.view.homography),
            leak_at_tank_px=verdict.leak_at_tank_px,
            leak_std_cm3_s=verdict.leak_std_cm3_s,
            emission=verdict.emission,
            smallest_leak_std_cm3_s=verdict.smallest_leak_std_cm3_s,
            decision=self.decision,
            decided_by=said.decided_by,
            outcome=said.outcome,
            sampled=said.sampled,
            framing=watched.framing,
            water=watched.water,
            frames=self.frames,
            composites=said.composites,
            dropped=self._dropped,
            bundle=said.bundle,
            mode=self.told[1] if self.told else who.mode,
            profile_sha256=who.profile_sha256,
            clip=said.clip,
            challenger=said.challenger,
            visibility=verdict.visibility,
            novelty=verdict.novelty,
            serial=self.serial,
            disposition=self.told[0] if self.told else None,
            word_shown=self._word_shown(who.mode),
            due=self.due.word,
        )

    @property
    def is_decided_by_machine(self) -> bool:
        return self.told is not None and self.told[0] != "wait"

    def answers(self) -> set[str]:
        """What was said on the unit before the end, machine and human alike, as far as it was an answer."""
        due = self.due.word.verdict if self.due.word else "none"
        return {word for word in (due, self.decision) if word in ("ok", "leak")}

    def _word_shown(self, mode: Mode) -> WordShown:
        if self.shown_before:
            return "before"
        return "no" if mode in ("human_only", "shadow") else "after"

    def _account(self, sight: Sight, passed_s: float, *, still: bool) -> None:
        framing = sight.framing
        self._rest_s += passed_s
        self._framing_s[framing.status] = self._framing_s.get(framing.status, 0.0) + passed_s
        if framing.status != "unchecked":
            self._corners.append(framing.corners_seen)
        if framing.shift_px is not None:
            self._shifts.append(framing.shift_px)
        self._still_s = self._still_s if still else 0.0
        if sight.fault:
            kind = sight.fault_kind or sight.fault.split(" (")[0]
            # A picture is called frozen after a while: it was so from the first of the equal ones.
            self._faults_s[kind] = self._faults_s.get(kind, 0.0) + passed_s + self._still_s
            self._fault_words[kind] = sight.fault
            self.usable_s -= self._still_s
            self._still_s = 0.0
        elif sight.usable:
            self.usable_s += passed_s
            self._still_s += passed_s if still else 0.0
            if sight.clarity is not None:
                self._clarities.append(sight.clarity)
            if sight.visibility is not None:
                self._visible.append(sight.visibility)

    def _framing(self) -> FramingSummary:
        """The worst status that cost more than a tenth of the time at rest; without any rest, the last one."""
        order: tuple[FramingStatus, ...] = ("lost", "shifted")
        costly = [status for status in order if self._framing_s.get(status, 0.0) > 0.1 * self._rest_s]
        last = self._last.framing if self._last else None
        if last is None or last.status == "unchecked":
            return FramingSummary("unchecked")
        if not self._rest_s:
            return FramingSummary(last.status, last.corners_seen, last.shift_px and round(last.shift_px, 2))
        return FramingSummary(
            status=costly[0] if costly else "ok",
            corners_seen=round(median(self._corners)),
            shift_px=round(median(self._shifts), 2) if self._shifts else None,
        )

    def _water(self, murky_below: float) -> WaterSummary:
        if not self._clarities:
            return WaterSummary("unknown")
        clarity = round(median(self._clarities), 3)
        return WaterSummary("murky" if clarity < murky_below else "clear", clarity)


def _to_camera(at_tank_px: tuple[int, int] | None, homography: np.ndarray) -> tuple[int, int] | None:
    if at_tank_px is None:
        return None
    x, y, w = np.linalg.inv(homography) @ np.array([at_tank_px[0], at_tank_px[1], 1.0])
    return round(float(x / w)), round(float(y / w))
