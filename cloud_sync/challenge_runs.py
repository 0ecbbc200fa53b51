"""New cases -> runs of challenge parts: each is set apart from all units and noted once; a miss steps its station down.

`intake` calls it within the batch's transaction. A case is known by its serial, whatever the station itself calls it:
a device may not have heard yet which parts are registered.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from cloud_sync import audit_log, case_groups, challenge, challenge_parts, desire
from cloud_sync.challenge import Part, Result
from cloud_sync.challenge_parts import WHO
from cloud_sync.tables import challenge_runs, stations
from edge_agent.records import Mode

log = logging.getLogger(__name__)
Row = MutableMapping[str, Any]
"""As it goes into the table of cases."""
DECIDES_NOTHING: tuple[Mode | None, ...] = ("human_only", "shadow")
"""Here nobody relies on the machine: a miss takes nothing from it."""


class _Told(msgspec.Struct, frozen=True):
    """What only the case's message holds, or the station's status. A mode from a newer device is none that we know,
    and so none that decides nothing."""

    mode: str | None = None
    disposition: str | None = None


class Shown(msgspec.Struct, frozen=True):
    """A case that showed a part, and what the machine's words on it are worth."""

    part: Part
    told: _Told
    result: Result


def recognised(connection: sa.Connection, rows: Iterable[Row]) -> dict[str, Shown]:
    """By case id. The rows become challenges, apart from all that is counted of units."""
    by_site: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["serial"] is not None:
            by_site[row["site"]].append(row)
    found: dict[str, Shown] = {}
    for site, mine in by_site.items():
        parts = challenge_parts.known(connection, site, {row["serial"] for row in mine})
        for row in mine if parts else ():
            called = row["sampled_for"] == "challenge"
            part = challenge.part_of(parts, row["serial"], row["started_at"], called=called)
            if part is not None:
                found[row["case_id"]] = _shown(row, part)
                _set_apart(row)
    if any(shown.result == "missed" for shown in found.values()):
        # Before the sums at the top of the page, as whoever judges takes the two.
        audit_log.take_turn(connection)
    return found


def note(connection: sa.Connection, rows: Sequence[Row], found: Mapping[str, Shown], now: float) -> None:
    """Those of these new rows that showed a part become runs; the caller commits."""
    runs = [_run(row, found[row["case_id"]], now) for row in rows if row["case_id"] in found]
    if not runs:
        return
    connection.execute(sa.insert(challenge_runs), runs)
    for run in runs:
        log.info("challenge case=%s serial=%s truth=%s result=%s", *_words(run))
        if run["result"] == "missed":
            _step_down(connection, run, found[run["case_id"]].told.mode, now)


def _shown(row: Row, part: Part) -> Shown:
    told = _told(row["payload"])
    return Shown(part, told, challenge.result(part.truth, row["verdict"], told.disposition or ""))


def _set_apart(row: Row) -> None:
    """The message keeps the station's own word."""
    row["sampled_for"], row["sampled_probability"] = "challenge", 1.0
    row["group_id"] = case_groups.group_id(row)


def _run(row: Row, shown: Shown, now: float) -> dict[str, Any]:
    part = shown.part
    names = ("case_id", "site", "station", "serial", "boot_id", "sequence", "started_at", "verdict")
    return {name: row[name] for name in names} | {
        "part_id": part.id,
        "truth": part.truth,
        "leak_std_cm3_s": part.leak_std_cm3_s,
        "decision": row["decision"] if row["decided_by"] == "human" else "none",
        "disposition": shown.told.disposition,
        "result": shown.result,
        "noted_at": now,
    }


def _step_down(connection: sa.Connection, run: Mapping[str, Any], mode_then: str | None, now: float) -> None:
    """To shadow, where the machine decided then or does now. What asks for less still stands; a part that is found
    later raises nothing: that takes a new certificate."""
    place = run["site"], run["station"]
    modes = {mode for mode in (mode_then, _present_mode(connection, place)) if mode is not None}
    if modes and modes <= set(DECIDES_NOTHING):
        return
    if desire.wanted(connection, place).mode in DECIDES_NOTHING:
        return
    reason = f"challenge part {run['serial']} leaks and was called ok in case {run['case_id']}"
    desire.want(connection, place, who=WHO, reason=reason, now=now, mode="shadow")


def _present_mode(connection: sa.Connection, place: tuple[str, str]) -> str | None:
    here = (stations.c.site == place[0]) & (stations.c.station == place[1])
    status = connection.scalar(sa.select(stations.c.status).where(here))
    return _told(status).mode if status else None


def _told(message: bytes | str) -> _Told:
    return msgspec.json.decode(message, type=_Told)


def _words(run: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(run[name] for name in ("case_id", "serial", "truth", "result"))
