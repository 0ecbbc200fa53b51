"""PURE. AIAG attribute agreement study (MSA, 4th edition): clips with known truth -> plan, trials -> results, verdict.

Every appraiser judges each part several times, blind, in an order of their own. The looks at one part are alike, so
what a study proves is counted by parts: 25 parts seen three times without a miss prove 11.3 % at most, not the 3.9 %
of 75 looks.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import msgspec
import numpy as np

from cloud_sync import concord
from cloud_sync.concord import Figure
from models import bounds

CONFIDENCE = 0.95
WORDS = ("leak", "ok", "cannot_tell")
LEAST_BORDERLINE, MOST_BORDERLINE = 0.3, 0.5
"""Of the parts: easy ones alone would flatter everybody, borderline ones alone nobody."""
LEAST_OF_A_KIND = 0.3
"""Of the parts leak, and as many are good."""
MACHINE = "machine"
Word = Literal["leak", "ok", "cannot_tell"]
Verdict = Literal["acceptable", "marginal", "unacceptable", "unknown"]
LIMITS: tuple[tuple[Verdict, float, float, float], ...] = (
    ("acceptable", 0.9, 0.02, 0.05),
    ("marginal", 0.8, 0.05, 0.1),
)
"""Least effectiveness, most misses, most false alarms (AIAG MSA, 4th edition, table III-C 10)."""


class Plan(msgspec.Struct, frozen=True):
    """What a study is to be."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    appraisers: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=20)]
    parts: Annotated[int, msgspec.Meta(ge=10, le=200)] = 50
    trials: Annotated[int, msgspec.Meta(ge=2, le=5)] = 3
    borderline: Annotated[float, msgspec.Meta(ge=LEAST_BORDERLINE, le=MOST_BORDERLINE)] = 0.4
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 1


class Candidate(msgspec.Struct, frozen=True):
    """A stored clip whose truth is settled by two experts or more, or known."""

    case_id: str
    truth: Literal["leak", "ok"]
    borderline: bool
    verdict: str = "not_tested"


class Part(msgspec.Struct, frozen=True):
    """A candidate in its place in the study."""

    part: int
    case_id: str
    truth: Literal["leak", "ok"]
    borderline: bool


class Trial(msgspec.Struct, frozen=True):
    """One look of one appraiser at one part."""

    appraiser: str
    part: int
    trial: int
    truth: Literal["leak", "ok"]
    judgement: Word


class Share(msgspec.Struct, frozen=True):
    """Events among opportunities, and what the same events show when counted by parts."""

    events: int
    of: int
    parts_with: int
    parts: int
    bound: float | None
    """By parts, one-sided, 95 %: at least for what shall be high, at most for what shall be low. None without parts."""

    @property
    def value(self) -> float | None:
        return self.events / self.of if self.of else None


class Appraisal(msgspec.Struct, frozen=True, kw_only=True):
    """What one appraiser's trials come to. `cannot_tell` is wrong for a leaking and for a good part."""

    appraiser: str
    effectiveness: Share
    miss: Share
    false_alarm: Share
    repeatability: Figure
    """Parts judged alike in every trial."""
    kappa: Figure
    """Against the reference, the interval by parts."""
    verdict: Verdict
    proved: Verdict
    """The verdict where each figure is as bad as its bound allows."""


class Pair(msgspec.Struct, frozen=True):
    """Two appraisers' agreement over all trials."""

    first: str
    second: str
    alike: Figure
    kappa: Figure


def chosen(candidates: Sequence[Candidate], plan: Plan) -> tuple[list[Part], str | None]:
    """Parts, half of them leaking where there are enough, in random order; or what is missing, for a person."""
    random = np.random.default_rng([plan.seed, 0])
    wanted = {True: round(plan.parts * plan.borderline)}
    wanted[False] = plan.parts - wanted[True]
    picked: list[Candidate] = []
    for borderline, count in wanted.items():
        kind = [one for one in candidates if one.borderline == borderline]
        if len(kind) < count:
            words = "borderline" if borderline else "clear"
            return [], f"{len(kind)} {words} clips have a settled truth, {count} are needed: ask for fewer parts"
        picked += _balanced(kind, count, random)
    leaks = sum(one.truth == "leak" for one in picked)
    if min(leaks, plan.parts - leaks) < LEAST_OF_A_KIND * plan.parts:
        least = int(np.ceil(LEAST_OF_A_KIND * plan.parts))
        return (
            [],
            f"{leaks} of {plan.parts} parts would leak, at least {least} of each kind are needed: judge more cases",
        )
    mixed = [picked[at] for at in random.permutation(len(picked))]
    return [Part(number, one.case_id, one.truth, one.borderline) for number, one in enumerate(mixed, 1)], None


def order(plan: Plan, appraiser: str, parts: int) -> list[tuple[int, int]]:
    """(trial, part) in this appraiser's order: every part once before any comes again, shuffled anew each time."""
    own = int.from_bytes(hashlib.sha256(appraiser.encode()).digest()[:8], "big")
    random = np.random.default_rng([plan.seed, 1, own])
    return [(trial, int(part) + 1) for trial in range(1, plan.trials + 1) for part in random.permutation(parts)]


def appraisal(trials: Sequence[Trial], appraiser: str) -> Appraisal:
    """Effectiveness counts parts judged right in every trial; misses and false alarms count looks (AIAG)."""
    mine = [trial for trial in trials if trial.appraiser == appraiser]
    right = _share(mine, lambda trial: trial.judgement != trial.truth)
    effectiveness = Share(
        right.parts - right.parts_with,
        right.parts,
        right.parts - right.parts_with,
        right.parts,
        bounds.lower(right.parts - right.parts_with, right.parts, CONFIDENCE),
    )
    miss = _share([trial for trial in mine if trial.truth == "leak"], lambda trial: trial.judgement != "leak")
    alarm = _share([trial for trial in mine if trial.truth == "ok"], lambda trial: trial.judgement != "ok")
    return Appraisal(
        appraiser=appraiser,
        effectiveness=effectiveness,
        miss=miss,
        false_alarm=alarm,
        repeatability=_repeatability(mine),
        kappa=_kappa_by_parts([(trial.part, trial.judgement, trial.truth) for trial in mine]),
        verdict=verdict(effectiveness.value, miss.value, alarm.value),
        proved=verdict(effectiveness.bound, miss.bound, alarm.bound),
    )


def pair(trials: Iterable[Trial], first: str, second: str) -> Pair:
    """Trial by trial; an appraiser who looked once (the machine) is held against each trial of the other."""
    said: dict[str, dict[tuple[int, int], Word]] = {first: {}, second: {}}
    for trial in trials:
        if trial.appraiser in said:
            said[trial.appraiser][trial.part, trial.trial] = trial.judgement
    one, other = said[first], said[second]
    if {trial for _, trial in one} == {1}:
        one = {place: one[place[0], 1] for place in other if (place[0], 1) in one}
    if {trial for _, trial in other} == {1}:
        other = {place: other[place[0], 1] for place in one if (place[0], 1) in other}
    looks = [(place[0], one[place], other[place]) for place in one if place in other]
    parts = {part for part, *_ in looks}
    unlike = {part for part, *words in looks if words[0] != words[1]}
    return Pair(first, second, _by_parts(len(parts) - len(unlike), len(parts)), _kappa_by_parts(looks))


def verdict(effectiveness: float | None, miss: float | None, false_alarm: float | None) -> Verdict:
    """The worst of the three."""
    if effectiveness is None or miss is None or false_alarm is None:
        return "unknown"
    for word, least, most_missed, most_alarms in LIMITS:
        if effectiveness >= least and miss <= most_missed and false_alarm <= most_alarms:
            return word
    return "unacceptable"


def _balanced(kind: list[Candidate], count: int, random: np.random.Generator) -> list[Candidate]:
    """As many that leak as that do not, as far as there are both."""
    shuffled = [kind[at] for at in random.permutation(len(kind))]
    leaks = [one for one in shuffled if one.truth == "leak"]
    goods = [one for one in shuffled if one.truth == "ok"]
    from_leaks = min(len(leaks), max(count // 2, count - len(goods)))
    return leaks[:from_leaks] + goods[: count - from_leaks]


def _share(trials: Sequence[Trial], happened) -> Share:
    parts = {trial.part for trial in trials}
    hit = {trial.part for trial in trials if happened(trial)}
    events = sum(happened(trial) for trial in trials)
    return Share(events, len(trials), len(hit), len(parts), bounds.upper(len(hit), len(parts), CONFIDENCE))


def _repeatability(trials: Sequence[Trial]) -> Figure:
    words: dict[int, set[Word]] = {}
    for trial in trials:
        words.setdefault(trial.part, set()).add(trial.judgement)
    if len({trial.trial for trial in trials}) < 2:
        return Figure(None, None, None, len(words))
    return _by_parts(sum(len(said) == 1 for said in words.values()), len(words))


def _by_parts(alike: int, parts: int) -> Figure:
    return Figure(alike / parts, *concord.proportion(alike, parts), parts) if parts else Figure(None, None, None, 0)


def _kappa_by_parts(looks: Sequence[tuple[int, str, str]]) -> Figure:
    """Cohen's kappa of part, first word, second word. Its interval takes all looks at a part for one: as wide as it is
    where a part is always judged alike, too wide where it is not."""
    parts = len({part for part, *_ in looks})
    words = tuple(word for word in WORDS if any(word in said for _, *said in looks))
    if len(words) < 2:
        return Figure(None, None, None, parts)
    counts = concord.table([(first, second, 1, 1.0) for _, first, second in looks], words).counts
    share = parts / len(looks)
    found = concord.kappa(concord.Table(words, counts, counts * share, counts * share), fewest=0)
    return Figure(found.value, found.low, found.high, parts)
