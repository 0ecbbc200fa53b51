"""The database -> what every device of a rollout reports: status, wish, metrics, alarms, and counts of its cases.

A handful of queries, whatever the size of the fleet; case counts come from `case_groups`, not from cases.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable

import sqlalchemy as sa

from cloud_sync import desire, device_health, mode_orders
from cloud_sync.policy import Automation
from cloud_sync.rollout_records import Place, Report, Rollout
from cloud_sync.tables import case_groups, device_alarms
from cloud_sync.worsening import Tally
from edge_agent.messages import Status
from edge_agent.records import BundleRef

MaySwitch = Callable[[sa.Connection, Place, BundleRef], str]
"""Whether a device that is above shadow mode may run the bundle: words why not, empty where it may."""
COMPARED = ("agree", "machine_leak", "human_leak")


def nobody_may(_connection: sa.Connection, _place: Place, _bundle: BundleRef) -> str:
    """The answer where nobody keeps certificates."""
    return "it is above shadow mode, and nobody here knows of certificates: lower its mode, or wait for one"


def certified(automation: Automation) -> MaySwitch:
    """The answer by certificates: whoever holds that of the station's present mode may."""
    return lambda connection, place, bundle: mode_orders.may_switch(connection, place, bundle.sha256, automation)


def read(connection: sa.Connection, rollout: Rollout, may_switch: MaySwitch = nobody_may) -> dict[Place, Report]:
    """A report of each place of the rollout of which anything is known."""
    places = {seat.place for seat in rollout.seats}
    said = {place: status for place, status in _statuses(connection).items() if place in places}
    shas = {status.bundle.sha256 for status in said.values() if status.bundle} | {rollout.bundle.sha256}
    tallies = _tallies(connection, shas)
    wanted, alarms = desire.all_wanted(connection), _alarms(connection)
    health = device_health.reports(connection)
    ordered = set(mode_orders.ordered_places(connection))
    found = {}
    for place, status in said.items():
        metrics, at = health.get(place, (None, None))
        asked = wanted[place].bundle if place in wanted else None
        found[place] = Report(
            running=status.bundle,
            asked=asked,
            online=status.status == "online",
            mode=status.mode,
            why_not=may_switch(connection, place, rollout.bundle)
            if _is_in_question(rollout, status, ordered=place in ordered)
            else "",
            update=status.update,
            metrics_at=at,
            verdict_ms=metrics.output.verdict_ms if metrics else None,
            starts=metrics.software.inspect_starts if metrics else 0,
            alarms=tuple(alarms.get(place, ())),
            ran=tallies.get((place, status.bundle.sha256), Tally()) if status.bundle else Tally(),
            new=tallies.get((place, rollout.bundle.sha256), Tally()),
        )
    return found


def running_anywhere(connection: sa.Connection, sha256: str) -> bool:
    """Does a device run this bundle, or is one asked to?"""
    said = any(status.bundle and status.bundle.sha256 == sha256 for status in _statuses(connection).values())
    wanted = desire.all_wanted(connection).values()
    return said or any(one.bundle and one.bundle.sha256 == sha256 for one in wanted)


def present_bundles(connection: sa.Connection) -> dict[Place, str]:
    """Hash of what each known device is asked to run, or runs where it was never asked."""
    found = {place: status.bundle.sha256 for place, status in _statuses(connection).items() if status.bundle}
    return found | {place: one.bundle.sha256 for place, one in desire.all_wanted(connection).items() if one.bundle}


def _is_in_question(rollout: Rollout, status: Status, *, ordered: bool) -> bool:
    """A station that murky water has brought down for a while goes up again, and needs its certificate then."""
    runs_it = status.bundle is not None and status.bundle.sha256 == rollout.bundle.sha256
    return not runs_it and (ordered or status.mode in mode_orders.ABOVE_SHADOW)


def _statuses(connection: sa.Connection) -> dict[Place, Status]:
    """Of those whose last word can be read."""
    return {place: status for place, (status, _) in device_health.statuses(connection).items() if status}


def _alarms(connection: sa.Connection) -> dict[Place, list[tuple[str, float]]]:
    """Those of high priority."""
    query = sa.select(device_alarms.c.site, device_alarms.c.station, device_alarms.c.id, device_alarms.c.first_at)
    found: dict[Place, list[tuple[str, float]]] = defaultdict(list)
    for site, station, name, first_at in connection.execute(query.where(device_alarms.c.priority == "high")):
        found[site, station].append((name, first_at))
    return found


def _tallies(connection: sa.Connection, shas: Iterable[str]) -> dict[tuple[Place, str], Tally]:
    """(place, bundle) -> its cases."""
    group = case_groups.c
    query = (
        sa.select(
            group.site,
            group.station,
            group.bundle_sha256,
            sa.func.sum(group.cases),
            _sum_where(group.verdict == "uncertain"),
            _sum_where(group.verdict == "not_tested"),
            _sum_where(group.outcome.in_(COMPARED)),
            _sum_where(group.outcome.in_(COMPARED[1:])),
        )
        .where(group.bundle_sha256.in_(sorted(shas)))
        .group_by(group.site, group.station, group.bundle_sha256)
    )
    rows = connection.execute(query)
    return {((site, station), sha256): Tally(*map(int, counts)) for site, station, sha256, *counts in rows}


def _sum_where(condition: sa.ColumnElement[bool]) -> sa.ColumnElement:
    return sa.func.sum(sa.case((condition, case_groups.c.cases), else_=0))
