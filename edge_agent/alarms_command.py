"""`agent alarms`: what stands, and what people order of it, from the command line."""

import argparse
import sys
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TypeVar, get_args

import msgspec

from edge_agent import alarm_catalogue, alarm_files, alarm_report, config, sudo
from edge_agent.alarm_catalogue import Setting
from edge_agent.alarm_figures import Figures
from edge_agent.alarm_proposals import Proposal
from edge_agent.alarm_settings import Changed, Wish
from edge_agent.alarms import Event, Order
from edge_agent.config import DeviceConfig
from edge_agent.messages import Alarm

MINUTE_S = 60.0
T = TypeVar("T", bound=msgspec.Struct)


def agent_alarms(argv: list[str]) -> int:
    """`tankwatch agent alarms list|acknowledge|shelve|unshelve|set|history|propose --config device.toml`."""
    options = _parser().parse_args(argv)
    device = config.load(options.config)
    _COMMANDS[options.command](device, options)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("tankwatch agent alarms", description="What stands, and what is ordered of it.")
    commands = parser.add_subparsers(dest="command", required=True)
    found = {name: commands.add_parser(name, help=words) for name, words in _WORDS.items()}
    for one in found.values():
        one.add_argument("--config", type=Path, required=True, metavar="FILE", help="device.toml")
    for name in ("list", "history", "propose"):
        found[name].add_argument("--json", action="store_true", help="JSON lines")
    found["history"].add_argument("--days", type=float, default=1.0, help="of the last days (default 1)")
    found["history"].add_argument("--changes", action="store_true", help="the trail of settings instead")
    found["acknowledge"].add_argument("id", nargs="*", help="alarms; none = all that stand")
    for name in ("shelve", "unshelve", "set"):
        found[name].add_argument("id", help="the alarm")
    found["shelve"].add_argument("--minutes", type=float, required=True)
    found["set"].add_argument("setting", choices=get_args(Setting))
    found["set"].add_argument("value", help="'default' = as it comes")
    for name in ("shelve", "set"):
        found[name].add_argument("--reason", required=True)
    return parser


def _list(device: DeviceConfig, options: argparse.Namespace) -> None:
    found = alarm_report.report(device, time.time())
    if found.settings_fault:
        print(f"as they come: {found.settings_fault}", file=sys.stderr)
    alarms = (*found.board.active, *found.board.aside)
    _print(alarms, options, _line)
    if not alarms:
        print("no alarm stands", file=sys.stderr)


def _acknowledge(device: DeviceConfig, options: argparse.Namespace) -> None:
    found = alarm_report.report(device, time.time())
    for id in options.id:
        alarm_files.known(found.catalogue, id)
    waiting = [
        alarm
        for alarm in (*found.board.active, *found.board.aside)
        if alarm.state in ("unacknowledged", "returned") and (not options.id or alarm.id in options.id)
    ]
    for alarm in waiting:
        _give(device, Order(id=alarm.id, order="acknowledge", by=who(), at_s=time.time(), occurrence=alarm.since))
        print(f"acknowledged: {alarm.id}")
    if not waiting:
        print("nothing waits to be acknowledged", file=sys.stderr)


def _shelve(device: DeviceConfig, options: argparse.Namespace) -> None:
    order = Order(
        id=options.id,
        order="shelve",
        by=who(),
        at_s=time.time(),
        for_s=options.minutes * MINUTE_S,
        reason=options.reason,
    )
    _give(device, order)
    print(f"shelved for {options.minutes:g} minutes: {options.id}")


def _unshelve(device: DeviceConfig, options: argparse.Namespace) -> None:
    _give(device, Order(id=options.id, order="unshelve", by=who(), at_s=time.time()))
    print(f"back in sight: {options.id}")


def _set(device: DeviceConfig, options: argparse.Namespace) -> None:
    settings = alarm_report.settings_of(device)
    wish = Wish(
        id=options.id,
        setting=options.setting,
        value=alarm_catalogue.value(options.setting, options.value),
        by=who(),
        reason=options.reason,
    )
    changed = settings.change(wish, time.time())
    print(f"{changed.setting} of {changed.id} was {_said(changed.old)}, is {_said(changed.new)}")


def _history(device: DeviceConfig, options: argparse.Namespace) -> None:
    if options.changes:
        _print(alarm_report.settings_of(device).trail(), options, _changed_line)
        return
    found = alarm_report.report(device, time.time(), options.days)
    _print(tuple(reversed(found.events)), options, _event_line)
    if options.json:
        print(msgspec.json.encode(found.figures).decode())
        return
    for words in figures_lines(found.figures):
        print(words)


def _propose(device: DeviceConfig, options: argparse.Namespace) -> None:
    found = alarm_report.propose(device, time.time())
    _print(found, options, proposal_line)
    if not found:
        print("the last 30 days give no reason to change anything", file=sys.stderr)


def figures_lines(figures: Figures) -> list[str]:
    """In words."""
    aim = "within" if figures.is_within_aim else "over"
    lines = [
        f"{figures.told} alarms were told: {figures.per_10_min:.2f} per 10 min and operator, {aim} the aim of "
        f"{figures.aim_per_10_min:g}; at most {figures.worst_10_min} in 10 min, {figures.worst_hour} in an hour"
        + (f" (from {_time(figures.worst_hour_at_s)})" if figures.worst_hour_at_s is not None else "")
        + f"; flooded {figures.flood_share:.1%} of the time"
    ]
    lines += [f"often: {one.id} {one.told} times ({one.share:.0%})" for one in figures.most_frequent]
    lines += [f"chatters: {one.id}, {one.told} times" for one in figures.chattering]
    return lines + [f"stands for {one.hours:g} h: {one.id}" for one in figures.stale]


def proposal_line(one: Proposal) -> str:
    """In words."""
    return (
        f"{one.id}: {one.setting} {one.old:g} -> {one.new:g}. {one.why[:1].upper()}{one.why[1:]}. "
        f"Changes: {one.changes}. Missed: {one.missed}."
    )


def who() -> str:
    """Whoever sits at the command line."""
    return f"{sudo.person()} (command line)"


def _give(device: DeviceConfig, order: Order) -> None:
    alarm_files.give(device.alarms_path, alarm_report.settings_of(device).catalogue, order)


def _print(records: Iterable[T], options: argparse.Namespace, line: Callable[[T], str]) -> None:
    for one in records:
        print(msgspec.json.encode(one).decode() if options.json else line(one))


def _line(alarm: Alarm) -> str:
    until = f" until {alarm.shelved_until}" if alarm.shelved_until else ""
    holds = "" if alarm.holds else ", its cause is gone"
    return (
        f"{alarm.priority:6} {alarm.id}: {alarm.state.replace('_', ' ')}{until}{holds}, since {alarm.since or '-'}\n"
        f"       {alarm.cause}. {alarm.consequence}. Do: {alarm.action}"
    )


def _event_line(event: Event) -> str:
    by = f" by {event.by}" if event.by else ""
    reason = f" ({event.reason})" if event.reason else ""
    return f"{_time(event.at_s)} {event.id} {event.event.replace('_', ' ')}{by}{reason}: {event.words}"


def _changed_line(changed: Changed) -> str:
    what = f"{changed.setting} of {changed.id or 'all'}: {_said(changed.old)} -> {_said(changed.new)}"
    return f"{_time(changed.at_s)} {what}, by {changed.by}: {changed.reason}"


def _said(value: object) -> str:
    return "as it comes" if value is None else str(value)


def _time(at_s: float) -> str:
    return datetime.fromtimestamp(at_s).astimezone().isoformat(sep=" ", timespec="seconds")


_WORDS = {
    "list": "what stands, is shelved, or went before anybody saw it",
    "acknowledge": "it was seen",
    "shelve": "out of sight for a while",
    "unshelve": "back into sight",
    "set": "change a setting; the trail says who and why",
    "history": "what happened, and how it measures up",
    "propose": "what the last 30 days suggest; nothing changes by itself",
}
_COMMANDS: dict[str, Callable[[DeviceConfig, argparse.Namespace], None]] = {
    "list": _list,
    "acknowledge": _acknowledge,
    "shelve": _shelve,
    "unshelve": _unshelve,
    "set": _set,
    "history": _history,
    "propose": _propose,
}
