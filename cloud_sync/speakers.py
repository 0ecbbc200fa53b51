"""Statuses as they arrive -> stations in whose name two devices speak: a copied disk, or a copied certificate.

Each start of an uplink has an id of its own. One that comes back after another has spoken lives beside it; a restart,
a new disk and a broken cable never look like that. Every ingest process hears every status, so memory does: after a
restart of ours the next change of turns tells it again.
"""

from collections.abc import Iterable, Mapping

import msgspec

from edge_agent import utc
from edge_agent.messages import Alarm, Status

ALARM = "two-devices"
"""Beside the station's own alarms in `device_alarms`."""
LASTING_S = 300.0
"""Two that throw each other off take turns at least twice a minute."""
MOST_IDS = 8
"""Of one station; the one that has been silent longest goes."""
Station = tuple[str, str]


class Turns(msgspec.Struct, frozen=True):
    """How often one came back, since when, and when last; UTC, seconds since 1970."""

    count: int
    began_at: float
    last_at: float


class Speakers:
    """What one ingest process has heard. `began_at`: of its own start, UTC, seconds since 1970."""

    def __init__(self, began_at: float) -> None:
        self._began_at = began_at
        self._spoke: dict[Station, dict[str, str]] = {}
        """Ids of each station -> when that connection began, as its device says; the one that spoke last is last."""
        self._turns: dict[Station, Turns] = {}
        self._cleared: set[Station] = set()
        """Those whose alarm was taken out."""

    def hear(self, station: Station, status: Status, now: float) -> None:
        """May hear the same again: only what is newer than all that this id has said counts."""
        own = status.uplink_id
        if own is None or status.status != "online":
            return
        spoke = self._spoke.setdefault(station, {})
        before = spoke.get(own)
        if before is not None and status.since <= before:
            return
        if before is not None and next(reversed(spoke)) != own:
            turns = self._turns.get(station)
            if turns is None or now - turns.last_at > LASTING_S:
                turns = Turns(0, now, now)
            self._turns[station] = Turns(turns.count + 1, turns.began_at, now)
            self._cleared.discard(station)
        spoke.pop(own, None)
        spoke[own] = status.since
        if len(spoke) > MOST_IDS:
            del spoke[next(iter(spoke))]

    def alarms(self, stations: Iterable[Station], now: float) -> Mapping[tuple[str, str, str], Alarm | None]:
        """Of those that were just heard: what is to stand, None where it is to go; nothing where nothing changes."""
        found: dict[tuple[str, str, str], Alarm | None] = {}
        for station in stations:
            turns = self._turns.get(station)
            if turns is not None and now - turns.last_at <= LASTING_S:
                found[*station, ALARM] = _alarm(station, turns)
            elif station not in self._cleared and now - self._began_at > LASTING_S:
                found[*station, ALARM] = None
        return found

    def kept(self, told: Mapping[tuple[str, str, str], Alarm | None]) -> None:
        """What `alarms` gave is committed."""
        self._cleared |= {(site, station) for (site, station, _), alarm in told.items() if alarm is None}


def _alarm(station: Station, turns: Turns) -> Alarm:
    return Alarm(
        id=ALARM,
        priority="high",
        text=f"two devices speak as {'/'.join(station)} by turns ({turns.count} times): one is a copy of the other",
        since=utc.text(turns.began_at),
        cause="a disk or a certificate was copied: two devices have one name and throw each other off",
        consequence="what both say stands under one station; nothing that was confirmed is lost",
        action="take the copy off the network; revoke the certificate (provision --revoke) where nobody made the copy",
    )
