"""PURE. A page's fields -> what is asked for, and back to the fewest fields that ask for it: the permanent link."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal, get_args

import msgspec

from edge_agent.records import DecisionWord, OutcomeWord, SampledFor, VerdictWord

Result = Literal["passed", "failed", "open"]
"""What became of the unit: by the inspector's word where a human decided, by the machine's where it did."""
Truth = Literal["leak", "ok", "cannot_tell", "conflict", "none"]
"""What experts say; `none`: nobody has judged."""
Text = Annotated[str, msgspec.Meta(max_length=200)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Amount = Annotated[float, msgspec.Meta(ge=0)]
Moment = Annotated[float, msgspec.Meta(ge=0, le=253_402_300_799)]
"""UTC, seconds since 1970; up to the year 9999."""


class Search(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is asked for; an empty text and None ask for nothing. Field names are those of the page's address."""

    site: Text = ""
    station: Text = ""
    since: Moment | None = msgspec.field(name="from", default=None)
    """Earliest start of the immersion, itself included."""
    until: Moment | None = None
    """Not included."""
    result: Result | None = None
    verdict: VerdictWord | None = None
    decision: DecisionWord | None = None
    outcome: OutcomeWord | None = None
    truth: Truth | None = None
    sampled: SampledFor | None = None
    bundle: Text = ""
    """A version, or how the hash begins (from 7 digits)."""
    profile: Text = ""
    """How the hash begins."""
    clarity_below: Share | None = None
    clarity_above: Share | None = None
    score_from: Share | None = None
    score_to: Share | None = None
    usable_below: Amount | None = None
    """Seconds."""
    smallest_leak_above: Amount | None = None
    """std cm3/s."""
    serial: Text = ""
    """How it begins."""
    case: Text = ""
    """How the id begins."""
    tag: Text = ""
    known: Moment | None = None
    """As the records were at this time: what came later is left out."""


CHOICES = {
    "result": get_args(Result),
    "verdict": get_args(VerdictWord),
    "decision": get_args(DecisionWord),
    "outcome": get_args(OutcomeWord),
    "truth": get_args(Truth),
    "sampled": get_args(SampledFor),
}
NUMBERS = ("clarity_below", "clarity_above", "score_from", "score_to", "usable_below", "smallest_leak_above")
TIMES = ("from", "until", "known")
NAMES = tuple(field.encode_name for field in msgspec.structs.fields(Search))
SHORTEST_HASH = 7


class Place(msgspec.Struct, frozen=True):
    """Between two cases in the order of time: a page goes on from here, to older cases or to newer ones."""

    started_at: float
    case_id: str
    newer: bool = False

    def __str__(self) -> str:
        return f"{self.started_at!r}~{self.case_id}"


def asked(fields: Mapping[str, str]) -> tuple[Search, str | None]:
    """What is asked for, and for a person what was not understood. Other fields are left alone."""
    given: dict[str, object] = {}
    for name in NAMES:
        if text := fields.get(name, "").strip():
            try:
                given[name] = _value(name, text)
            except (ValueError, OverflowError):
                return Search(), f"“{text[:40]}” is not understood as “{name.replace('_', ' ')}”: {_cure(name)}."
    try:
        search = msgspec.convert(given, type=Search)
    except msgspec.ValidationError as error:
        return Search(), f"This search is not understood: {error}."
    return search, _contradiction(search)


def place(fields: Mapping[str, str]) -> Place | None:
    """Where the page goes on; None = at the newest case. Raises ValueError for what no page of ours links to."""
    given = [name for name in ("older", "newer") if fields.get(name)]
    if not given:
        return None
    number, separator, case_id = fields[given[0]].partition("~")
    started_at = float(number)
    if len(given) > 1 or not separator or not 0 < len(case_id) <= 200 or not math.isfinite(started_at):
        raise ValueError("no place in the order of cases")
    return Place(started_at, case_id, newer=given[0] == "newer")


def as_fields(search: Search) -> dict[str, str]:
    """The fewest fields that ask for the same, always in one order."""
    given = msgspec.to_builtins(search)
    return {name: time_text(given[name]) if name in TIMES else _text(given[name]) for name in NAMES if name in given}


def fixed(search: Search, now: float) -> Search:
    """The same question, with an end and a state of knowledge that do not move on."""
    ended = now if search.until is None else search.until
    known = now if search.known is None else search.known
    return msgspec.structs.replace(search, until=math.ceil(ended), known=math.ceil(known))


def time_text(seconds: float) -> str:
    """UTC, as a field of a form takes it."""
    text = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    return text.removesuffix(".000").removesuffix(":00")


def bundle_version(search: Search) -> int | None:
    """The version asked for; None where it is a hash, or nothing."""
    return int(search.bundle) if search.bundle and len(search.bundle) < SHORTEST_HASH else None


def _value(name: str, text: str) -> object:
    if name in TIMES:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if name in NUMBERS:
        number = float(text.replace(",", "."))
        if not math.isfinite(number):
            raise ValueError(text)
        return number
    if name == "bundle" and len(text) < SHORTEST_HASH:
        return str(int(text))
    if name in ("bundle", "profile"):
        int(text, 16)
        return text.lower()
    if "\0" in text:
        raise ValueError(text)
    return text


def _cure(name: str) -> str:
    if name in TIMES:
        return "give a date and time such as 2026-11-20T14:00, in UTC"
    if name in NUMBERS:
        return "give a number such as 0.6"
    if name == "bundle":
        return f"give a version such as 7, or at least the first {SHORTEST_HASH} digits of its hash"
    return "give the first digits of a hash" if name == "profile" else "give plain text"


def _contradiction(search: Search) -> str | None:
    for low, high, words in (
        (search.since, search.until, "The time ends before it begins"),
        (search.score_from, search.score_to, "The score ends before it begins"),
        (search.clarity_above, search.clarity_below, "No clarity is above the one and below the other"),
    ):
        if low is not None and high is not None and low > high:
            return f"{words}: exchange the two."
    return None


def _text(value: object) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)
