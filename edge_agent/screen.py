"""What the device's processes say of themselves -> what the operator's screen shows, in one language. PURE.

Whatever is unknown or older than 3 s is said to be so; nothing of before stands in its place.
"""

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Literal

import msgspec

from edge_agent import utc
from edge_agent.alarms import rank
from edge_agent.languages import Language
from edge_agent.messages import Alarm
from edge_agent.records import Mode, VerdictWord
from edge_agent.shifts import Counts, clock
from edge_agent.state import Aim, DeviceState, LastCase, UplinkReport, Watched

FRESH_S = 3.0
"""The inspection says four times a second what it knows, the uplink once."""
LAST_BIG_S = 20.0
"""So long the word on a unit stays big after it has left: the next one is not in the water yet."""
TOLD: tuple[Mode, ...] = ("assist", "partial", "full")
"""Modes in which the machine's word is shown."""
Tone = Literal["calm", "watch", "good", "leak", "doubt", "trouble"]
TONES: dict[VerdictWord, Tone] = {"ok": "good", "leak": "leak", "uncertain": "doubt", "not_tested": "doubt"}
SYMBOLS = {"calm": "ready", "watch": "eye", "good": "check", "leak": "drop", "doubt": "question", "trouble": "warning"}


@dataclass(frozen=True, slots=True)
class Seen:
    """All that the screen depends on. `now`: UTC, seconds since 1970; None = not there, or not to be read."""

    now: float
    zone: tzinfo
    state: DeviceState | None
    uplink: UplinkReport | None
    counts: Counts | None
    has_picture: bool
    """Whether the live picture is one of now."""


class Ring(msgspec.Struct, frozen=True):
    """Usable seconds against the required ones."""

    share: float
    """0..1; 0 where it is not known what is required."""
    big: str
    small: str


class Trouble(msgspec.Struct, frozen=True):
    """What is wrong, in a line, and what to do, in another."""

    priority: Literal["high", "medium", "low", "none"]
    priority_words: str
    cause: str
    cure: str
    more: str
    """How many others there are; empty for none."""


class Outline(msgspec.Struct, frozen=True):
    """The tank in the camera's picture."""

    width: int
    height: int
    points: str
    """Of an SVG polygon."""
    is_well: bool


class Screen(msgspec.Struct, frozen=True, kw_only=True):
    """Everything on it, ready to be shown."""

    station: str
    time: str
    is_fresh: bool
    tone: Tone
    symbol: str
    headline: str
    detail: str
    ring: Ring | None
    last: str
    """The unit before, in a line; empty where there was none, or where it is the headline."""
    trouble: Trouble
    mode: str
    mode_words: str
    bundle: str
    link: str
    is_linked: bool
    backlog: str
    shift: str
    units: str
    good: str
    leak: str
    undecided: str
    not_tested: str
    outline: Outline | None
    picture: str
    """Why there is no live picture; empty while there is one."""


class _Main(msgspec.Struct, frozen=True):
    """The middle of the screen."""

    tone: Tone
    headline: str
    detail: str = ""
    case_id: str | None = None
    """The unit whose word this is."""


def screen(seen: Seen, language: Language) -> Screen:
    """What to show now."""
    state = seen.state if seen.state and is_fresh(seen.state.at, seen.now) else None
    uplink = seen.uplink if seen.uplink and is_fresh(seen.uplink.at, seen.now) else None
    main = _main(state, seen, language)
    return Screen(
        station=(seen.state.station if seen.state else "") or "Tankwatch",
        time=clock(seen.now, seen.zone),
        is_fresh=state is not None,
        tone=main.tone,
        symbol=SYMBOLS[main.tone],
        headline=main.headline,
        detail=main.detail,
        ring=_ring(state.watched, language) if state and state.watched else None,
        last=_before(state, main, seen, language) if state else "",
        trouble=_trouble(state, uplink, language),
        mode=language.word(f"mode.{state.mode}") if state else language.word("unknown"),
        mode_words=_sentence(state.mode_words, language) if state else "",
        bundle=_bundle(state, language),
        **_link(uplink, seen, language),
        **_counts(seen.counts, language),
        outline=_outline(state.aim) if state and state.aim else None,
        picture=_picture(state, seen, language),
    )


def is_fresh(at: str, now: float) -> bool:
    """Whether what was said `at` (UTC) may be shown; nor may what was said by a clock that was set back since."""
    said = utc.seconds(at)
    return said is not None and abs(now - said) <= FRESH_S


def _main(state: DeviceState | None, seen: Seen, language: Language) -> _Main:
    if state is None:
        return _Main("trouble", language.word("main.silent"), _since(seen, language))
    if state.profile_sha256 is None:
        return _Main("calm", language.word("main.not_set_up"), language.word("main.not_set_up_how"))
    if state.watched is None:
        return _Main("calm", language.word("main.first_frame"), language.word("main.first_frame_how"))
    return _of_unit(state, state.watched, seen.now, language)


def _of_unit(state: DeviceState, watched: Watched, now: float, language: Language) -> _Main:
    if state.shown and state.shown.case_id == watched.case_id and state.mode in TOLD:
        return _verdict(state.shown.word.verdict, "", watched.case_id, language)
    last = state.last_case
    is_last = last is not None and last.case_id == watched.case_id
    rests = watched.phase == "empty" and last is not None and _age_s(last.ended_at, now) <= LAST_BIG_S
    if last and (is_last or rests):
        return _told(last, state.mode, language)
    if watched.phase == "empty":
        return _Main("calm", language.word("main.empty"), language.word("main.empty_how"))
    if watched.phase == "watching":
        key = "main.long_enough" if _is_long_enough(watched) else "main.watching_how"
        return _Main("watch", language.word("main.watching"), _sentence(watched.words, language) or language.word(key))
    # On its way in or out a unit moves: nothing has to be said of that.
    return _Main("watch", language.word(f"main.{watched.phase}"))


def _told(last: LastCase, mode: Mode, language: Language) -> _Main:
    """The unit that was watched last, as far as the screen may tell."""
    if last.verdict and _may_tell(last, mode):
        reason = last.reason if last.verdict in ("not_tested", "uncertain") else ""
        return _verdict(last.verdict, reason, last.case_id, language)
    return _Main("calm", language.word("main.seen"), _lamp(last, language), last.case_id)


def _may_tell(last: LastCase, mode: Mode) -> bool:
    """The inspection tells no more than the mode allows; this holds also where it once should."""
    return last.verdict == "not_tested" or mode in TOLD


def _verdict(word: VerdictWord, reason: str, case_id: str | None, language: Language) -> _Main:
    detail = _sentence(reason, language) if reason else language.word(f"verdict.{word}.how")
    return _Main(TONES[word], language.word(f"verdict.{word}"), detail, case_id)


def _lamp(last: LastCase, language: Language) -> str:
    return language.word(f"lamp.{last.decision}")


def _before(state: DeviceState, main: _Main, seen: Seen, language: Language) -> str:
    """The unit before, unless it is what the big words are about."""
    last = state.last_case
    return "" if last is None or last.case_id == main.case_id else _last(last, state.mode, seen, language)


def _last(last: LastCase, mode: Mode, seen: Seen, language: Language) -> str:
    is_told = last.verdict is not None and _may_tell(last, mode)
    said = language.word(f"verdict.{last.verdict}" if is_told else "main.seen")
    return language.word("last", time=_when(last.ended_at, seen), verdict=said, lamp=_lamp(last, language))


def _ring(watched: Watched, language: Language) -> Ring | None:
    if watched.phase not in ("watching", "decided"):
        return None
    usable = language.number(f"{watched.usable_s:.1f}")
    if not watched.required_s:
        return Ring(0.0, usable, language.word("ring.unknown"))
    share = min(1.0, watched.usable_s / watched.required_s)
    required = language.number(f"{watched.required_s:g}")
    return Ring(round(share, 3), usable, language.word("ring.required", required=required))


def _is_long_enough(watched: Watched) -> bool:
    return watched.required_s is not None and watched.usable_s >= watched.required_s


def _trouble(state: DeviceState | None, uplink: UplinkReport | None, language: Language) -> Trouble:
    """The highest alarm, of equal ones the one that has been there longest; a silent inspection is above all."""
    alarms = [*(state.alarms if state else ()), *(uplink.alarms if uplink else ())]
    alarms.sort(key=rank)
    more = language.word("trouble.more", count=len(alarms) - 1) if len(alarms) > 1 else ""
    if state is None:
        high = language.word("priority.high")
        return Trouble("high", high, language.word("silent.cause"), language.word("silent.cure"), more="")
    if not alarms:
        return Trouble("none", "", language.word("trouble.none"), "", more="")
    return _of_alarm(alarms[0], more, language)


def _of_alarm(alarm: Alarm, more: str, language: Language) -> Trouble:
    cause = _sentence(alarm.cause or alarm.text, language)
    cure = _sentence(alarm.action, language)
    said = language.word(f"priority.{alarm.priority}")
    return Trouble(alarm.priority, said, cause, "" if cure == cause else cure, more=more)


def _bundle(state: DeviceState | None, language: Language) -> str:
    if state is None or state.bundle is None:
        return language.word("bundle.unknown")
    words = language.word("bundle", version=state.bundle.version, sha256=state.bundle.sha256[:6])
    if state.challenger:
        words = f"{words} · {language.word('challenger', version=state.challenger.version)}"
    return words


def _link(uplink: UplinkReport | None, seen: Seen, language: Language) -> dict:
    if uplink is None:
        key = "link.never" if seen.uplink is None else "link.silent"
        return {"link": language.word(key), "is_linked": False, "backlog": language.word("backlog.unknown")}
    at = _when(uplink.since, seen)
    waiting = uplink.software.waiting_cases
    return {
        "link": language.word("link.on" if uplink.connected else "link.off", time=at),
        "is_linked": uplink.connected,
        "backlog": language.word("backlog.none" if not waiting else "backlog.waiting", cases=waiting),
    }


def _counts(counts: Counts | None, language: Language) -> dict:
    names = ("units", "good", "leak", "undecided", "not_tested")
    if counts is None:
        return {"shift": language.word("shift.unknown"), **dict.fromkeys(names, "–")}
    shown = {name: str(getattr(counts, name)) for name in names}
    return {"shift": language.word("shift", hours=counts.shift.words), **shown}


def _outline(aim: Aim) -> Outline:
    points = " ".join(f"{x:.0f},{y:.0f}" for x, y in aim.tank_px)
    return Outline(*aim.frame_size_px, points=points, is_well=aim.status == "ok")


def _picture(state: DeviceState | None, seen: Seen, language: Language) -> str:
    """Only a new one is shown; the first takes a moment, because pictures are made only while somebody looks."""
    if state is None:
        return language.word("picture.silent")
    return "" if seen.has_picture else language.word("picture.waiting")


def _since(seen: Seen, language: Language) -> str:
    said = utc.seconds(seen.state.at) if seen.state else None
    if said is None:
        return language.word("main.silent_never")
    local = datetime.fromtimestamp(said, seen.zone)
    return language.word("main.silent_since", time=local.strftime("%H:%M:%S"))


def _when(at: str, seen: Seen) -> str:
    """By the clock on the wall, with the day where it was another."""
    said = utc.seconds(at)
    if said is None:
        return "?"
    then, today = datetime.fromtimestamp(said, seen.zone), datetime.fromtimestamp(seen.now, seen.zone)
    return then.strftime("%H:%M" if then.date() == today.date() else "%Y-%m-%d %H:%M")


def _age_s(at: str, now: float) -> float:
    said = utc.seconds(at)
    return float("inf") if said is None or said > now + FRESH_S else now - said


def _sentence(words: str, language: Language) -> str:
    """What the device says begins small: it is part of its log's lines."""
    said = language.say(words)
    return said[:1].upper() + said[1:]
