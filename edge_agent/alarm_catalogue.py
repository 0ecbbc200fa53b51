"""alarms.toml that comes with the program, and the plant's own -> each alarm's rule, and the table for the documents.

The plant may change some settings within bounds; what it may not change, and keys that nobody knows, are refused.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from edge_agent.alarms import PRIORITIES, Process, Rule, Rules, Seconds
from edge_agent.errors import ConfigError
from edge_agent.messages import AlarmPriority

SHIPPED = Path(__file__).with_name("alarms.toml")
LIMIT_FACTOR = 2.0
"""A plant may make a limit twice as strict or as lax, and no more: beyond that it is another alarm."""
Setting = Literal["priority", "on_delay_s", "off_delay_s", "limit", "dead_band", "out_of_service"]
Value = AlarmPriority | float | bool
Positive = Annotated[float, msgspec.Meta(gt=0)]


class LongestShelf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In seconds."""

    high: Seconds
    medium: Seconds
    low: Seconds


class FigureRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By what the history is measured."""

    operators: Annotated[int, msgspec.Meta(ge=1, le=100)]
    aim_per_10_min: Positive
    flood_per_10_min: Annotated[int, msgspec.Meta(ge=1)]
    stale_h: Positive
    chatter_count: Annotated[int, msgspec.Meta(ge=2)]
    chatter_s: Positive


class Bounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far a plant may go."""

    most_on_delay_s: Seconds
    most_off_delay_s: Seconds


class Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All alarms of a device, by id."""

    longest_shelf_s: LongestShelf
    figures: FigureRules
    bounds: Bounds
    alarm: dict[str, Rule]

    def rules(self, process: Process) -> Rules:
        """What one process raises."""
        mine = {id: rule for id, rule in self.alarm.items() if rule.raised_by == process}
        longest = self.longest_shelf_s
        return Rules(mine, {"high": longest.high, "medium": longest.medium, "low": longest.low})


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a plant has set for one alarm; None = as it comes."""

    priority: AlarmPriority | None = None
    on_delay_s: Seconds | None = None
    off_delay_s: Seconds | None = None
    limit: float | None = None
    dead_band: Annotated[float, msgspec.Meta(ge=0)] | None = None
    out_of_service: bool | None = None


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The plant's own alarms.toml."""

    operators: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None
    """People who share the station's alarms."""
    alarm: dict[str, Change] = {}


@cache
def shipped() -> Catalogue:
    """As it comes with the program."""
    return msgspec.toml.decode(SHIPPED.read_bytes(), type=Catalogue)


def parse(data: bytes, name: str = "alarms.toml") -> Settings:
    """Bytes of the plant's file -> Settings. Raises ConfigError naming the key."""
    try:
        return msgspec.toml.decode(data, type=Settings)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name} is not usable: {error}: mend that line") from error


def dump(settings: Settings) -> bytes:
    """Settings -> TOML; `parse` gives it back."""
    found = {id: dict(as_pairs(change)) for id, change in settings.alarm.items()}
    alarms = {"alarm": {id: change for id, change in sorted(found.items()) if change}}
    return msgspec.toml.encode(({"operators": settings.operators} if settings.operators else {}) | alarms)


def as_pairs(change: Change) -> list[tuple[str, Value]]:
    """What is set, in the order of the record."""
    return [(name, value) for name in Change.__struct_fields__ if (value := getattr(change, name)) is not None]


def with_settings(catalogue: Catalogue, settings: Settings) -> Catalogue:
    """The catalogue as this plant has it. Raises ConfigError where a setting is out of its bounds."""
    alarms = dict(catalogue.alarm)
    for id, change in settings.alarm.items():
        if id not in alarms:
            raise ConfigError(f"there is no alarm {id!r}: {', '.join(sorted(alarms))} there are")
        alarms[id] = _changed(id, alarms[id], change, catalogue.bounds)
    figures = catalogue.figures
    if settings.operators:
        figures = msgspec.structs.replace(figures, operators=settings.operators)
    return msgspec.structs.replace(catalogue, alarm=alarms, figures=figures)


def value(setting: Setting, text: str) -> Value | None:
    """What somebody typed -> a setting; None = as it comes. Raises ConfigError."""
    if text == "default":
        return None
    if setting == "priority":
        return text  # type: ignore[return-value]  # checked with the rest of the file
    if setting == "out_of_service":
        if text not in ("yes", "no"):
            raise ConfigError(f"out_of_service is 'yes' or 'no', not {text!r}")
        return text == "yes"
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(f"{setting} is a number, not {text!r}") from error


def table(catalogue: Catalogue | None = None) -> str:
    """The catalogue as rows of Markdown, the gravest first."""
    alarms = (catalogue or shipped()).alarm
    head = "| alarm | priority | cause | consequence | what to do | limit | delays on/off | why |\n|" + "---|" * 8
    rows = [_row(id, alarms[id]) for id in sorted(alarms, key=lambda id: (PRIORITIES.index(alarms[id].priority), id))]
    return "\n".join([head, *rows]) + "\n"


def _changed(id: str, rule: Rule, change: Change, bounds: Bounds) -> Rule:
    _within(id, "on_delay_s", change.on_delay_s, (0.0, max(bounds.most_on_delay_s, rule.on_delay_s)))
    _within(id, "off_delay_s", change.off_delay_s, (0.0, max(bounds.most_off_delay_s, rule.off_delay_s)))
    if change.out_of_service and not rule.shelving:
        raise ConfigError(f"alarm {id!r} may not be put out of service: {rule.rationale}")
    if change.priority and abs(PRIORITIES.index(change.priority) - PRIORITIES.index(rule.priority)) > 1:
        raise ConfigError(
            f"alarm {id!r} is {rule.priority}, it may be one step higher or lower: {change.priority} is two"
        )
    values: dict[str, Value] = dict(as_pairs(change))
    return msgspec.structs.replace(rule, **_limited(id, rule, values))


def _limited(id: str, rule: Rule, values: Mapping[str, Value]) -> dict[str, Value]:
    changed = {key: value for key, value in values.items() if key != "limit"}
    if rule.limit is None:
        if "limit" in values or "dead_band" in values:
            raise ConfigError(f"alarm {id!r} has no limit of its own: set no limit and no dead_band for it")
        return changed
    _within(id, "limit", values.get("limit"), (rule.limit / LIMIT_FACTOR, rule.limit * LIMIT_FACTOR))
    _within(id, "dead_band", values.get("dead_band"), (0.0, rule.limit))
    if "limit" in values:
        changed["above" if rule.above is not None else "below"] = values["limit"]
    return changed


def _within(id: str, setting: str, value: object, span: tuple[float, float]) -> None:
    if isinstance(value, int | float) and not span[0] <= value <= span[1]:
        raise ConfigError(f"{setting} {value:g} of alarm {id!r} is out of bounds: give {span[0]:g} to {span[1]:g}")


def _row(id: str, rule: Rule) -> str:
    sign = "over" if rule.above is not None else "under"
    limit = "–" if rule.limit is None else f"{sign} {rule.limit:g} {rule.unit}, dead band {rule.dead_band:g}"
    early = f" ({rule.early_priority} while it only comes)" if rule.early_priority else ""
    cells = (
        f"`{id}`",
        rule.priority + early,
        rule.cause,
        rule.consequence,
        rule.action,
        limit,
        f"{rule.on_delay_s:g}/{rule.off_delay_s:g} s",
        rule.rationale,
    )
    return "| " + " | ".join(cells) + " |"
