"""A station's case numbers have no gaps. Numbers as they arrive -> which are missing, remembered until they come.

A broker that drops messages tells nobody; the gap in the numbers does. After days without a network a station's newest
cases overtake the others: what it still has is on its way, and lacks nothing.
"""

import logging
from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from cloud_sync.device_health import kept
from cloud_sync.tables import cases, device_health, gaps
from edge_agent.messages import Metrics

log = logging.getLogger(__name__)
Station = tuple[str, str]
"""Site and station."""


class Gap(msgspec.Struct, frozen=True):
    """Missing numbers, both ends included."""

    first: int
    last: int


def opened(highest: int, arrived: Iterable[int]) -> list[Gap]:
    """Gaps that show once `arrived` are there and everything up to `highest` was accounted for before."""
    found = []
    for number in sorted(set(arrived)):
        if number > highest + 1:
            found.append(Gap(highest + 1, number - 1))
        highest = max(highest, number)
    return found


def runs(numbers: Iterable[int]) -> list[Gap]:
    """Numbers -> the stretches in which none is left out."""
    found: list[Gap] = []
    for number in sorted(set(numbers)):
        if found and found[-1].last == number - 1:
            found[-1] = Gap(found[-1].first, number)
        else:
            found.append(Gap(number, number))
    return found


def without(gap: Gap, come: Gap) -> list[Gap]:
    """What is left of a gap when some of its numbers arrive late."""
    halves = (Gap(gap.first, min(gap.last, come.first - 1)), Gap(max(gap.first, come.last + 1), gap.last))
    return [half for half in halves if half.first <= half.last]


def lacking(connection: sa.Connection) -> dict[Station, int]:
    """Numbers that are missing here and do not wait at their station, as it last said, by station; none with 0."""
    missing = sa.func.sum(gaps.c.last - gaps.c.first + 1)
    query = sa.select(gaps.c.site, gaps.c.station, missing).where(gaps.c.closed_at.is_(None))
    rows = connection.execute(query.group_by(gaps.c.site, gaps.c.station)).all()
    many = {(site, station): int(number) - _waiting(connection, (site, station)) for site, station, number in rows}
    return {station: number for station, number in many.items() if number > 0}


def not_to_come(connection: sa.Connection, limit: int) -> list[sa.Row]:
    """Rows of open gaps of the stations that lack something, the latest noticed first."""
    lack = lacking(connection)
    query = sa.select(gaps).where(gaps.c.closed_at.is_(None)).order_by(gaps.c.noticed_at.desc())
    return [row for row in connection.execute(query) if (row.site, row.station) in lack][:limit]


def highest_of(connection: sa.Connection, site: str, station: str) -> int:
    """The highest number held; 0 where the station is new: it counts from 1."""
    mine = (cases.c.site == site) & (cases.c.station == station)
    highest = connection.scalar(sa.select(sa.func.max(cases.c.sequence)).where(mine))
    return highest or 0


def note(connection: sa.Connection, station: Station, highest: int, arrived: Iterable[int], *, now: float) -> None:
    """Remembers new gaps and closes those that are filled; `highest` is what was held before."""
    numbers = set(arrived)
    for gap in opened(highest, numbers):
        connection.execute(sa.insert(gaps).values(_row(station, gap, now)))
        _say(connection, station, gap)
    for come in runs(number for number in numbers if number <= highest):
        _close(connection, station, come, now)


def _say(connection: sa.Connection, station: Station, gap: Gap) -> None:
    level, words = logging.INFO, "they wait at the station"
    if lack := lacking(connection).get(station):
        level, words = logging.WARNING, f"{lack} cases are missing"
    log.log(level, "gap station=%s/%s first=%d last=%d: %s", *station, gap.first, gap.last, words)


def _waiting(connection: sa.Connection, station: Station) -> int:
    """Cases without a receipt at the station, as it last said; 0 where it never did."""
    mine = (device_health.c.site == station[0]) & (device_health.c.station == station[1])
    told = kept(connection.scalar(sa.select(device_health.c.metrics).where(mine)), Metrics)
    return told.software.waiting_cases if told else 0


def _close(connection: sa.Connection, station: Station, come: Gap, now: float) -> None:
    """A gap's row shrinks to what is still missing; the last numbers that were stay in it when it is closed."""
    mine = (gaps.c.site == station[0]) & (gaps.c.station == station[1]) & gaps.c.closed_at.is_(None)
    touched = sa.select(gaps).where(mine, gaps.c.first <= come.last, gaps.c.last >= come.first)
    unknown = [come]
    for row in connection.execute(touched).all():
        gap = Gap(row.first, row.last)
        unknown = [left for part in unknown for left in without(part, gap)]
        left = without(gap, come)
        shrunk = {"first": left[0].first, "last": left[0].last} if left else {"closed_at": now}
        connection.execute(sa.update(gaps).where(gaps.c.id == row.id).values(shrunk))
        for other in left[1:]:
            connection.execute(sa.insert(gaps).values(_row(station, other, row.noticed_at)))
    for part in unknown:
        log.warning(
            "numbers station=%s/%s first=%d last=%d came again under other case ids", *station, part.first, part.last
        )


def _row(station: Station, gap: Gap, noticed_at: float) -> dict[str, str | int | float]:
    return {"site": station[0], "station": station[1], "first": gap.first, "last": gap.last, "noticed_at": noticed_at}
