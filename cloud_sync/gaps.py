"""A station's case numbers have no gaps. Numbers as they arrive -> which are missing, remembered until they come.

A broker that drops messages tells nobody; the gap in the numbers does.
"""

import logging
from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from cloud_sync.tables import cases, gaps

log = logging.getLogger(__name__)


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


def without(gap: Gap, number: int) -> list[Gap]:
    """What is left of a gap when one of its numbers arrives late."""
    halves = (Gap(gap.first, number - 1), Gap(number + 1, gap.last))
    return [half for half in halves if half.first <= half.last]


def highest_of(connection: sa.Connection, site: str, station: str) -> int:
    """The highest number held; 0 where the station is new: it counts from 1."""
    mine = (cases.c.site == site) & (cases.c.station == station)
    highest = connection.scalar(sa.select(sa.func.max(cases.c.sequence)).where(mine))
    return highest or 0


def note(
    connection: sa.Connection, station: tuple[str, str], highest: int, arrived: Iterable[int], *, now: float
) -> None:
    """Remembers new gaps and closes those that are filled; `highest` is what was held before."""
    numbers = set(arrived)
    for gap in opened(highest, numbers):
        log.warning("gap station=%s/%s first=%d last=%d: cases are missing", *station, gap.first, gap.last)
        connection.execute(sa.insert(gaps).values(_row(station, gap, now)))
    for number in sorted(number for number in numbers if number <= highest):
        _close(connection, station, number, now)


def _close(connection: sa.Connection, station: tuple[str, str], number: int, now: float) -> None:
    mine = (gaps.c.site == station[0]) & (gaps.c.station == station[1]) & gaps.c.closed_at.is_(None)
    row = connection.execute(sa.select(gaps).where(mine, gaps.c.first <= number, gaps.c.last >= number)).first()
    if row is None:
        log.warning("number station=%s/%s sequence=%d came again under another case id", *station, number)
        return
    connection.execute(sa.update(gaps).where(gaps.c.id == row.id).values(first=number, last=number, closed_at=now))
    for left in without(Gap(row.first, row.last), number):
        connection.execute(sa.insert(gaps).values(_row(station, left, row.noticed_at)))


def _row(station: tuple[str, str], gap: Gap, noticed_at: float) -> dict[str, str | int | float]:
    return {"site": station[0], "station": station[1], "first": gap.first, "last": gap.last, "noticed_at": noticed_at}
