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
from cloud_sync.challenge import Part
from cloud_sync.challenge_parts import WHO
from cloud_sync.tables import challenge_runs, stations
from edge_agent.records import Mode

log = logging.getLogger(__name__)
Row = MutableMapping[str, Any]
"""As it goes into the table of cases."""
DECIDES_NOTHING: tuple[Mode | None, ...] = ("human_only", "shadow")
"""Here nobody relies on the machine: a miss takes nothing from it."""


class _Told(msgspec.Struct):
    """What a case's message and a station's status say of the mode. A word from a newer device is none that we know,
    and so none that decides nothing."""

    mode: str | None = None


def recognised(connection: sa.Connection, rows: Iterable[Row]) -> dict[str, Part]:
    """Case id -> the part that it showed. These rows become challenges, apart from all that is counted of units."""
    by_site: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["serial"] is not None:
            by_site[row["site"]].append(row)
    found: dict[str, Part] = {}
    for site, mine in by_site.items():
        parts = challenge_parts.known(connection, site, {row["serial"] for row in mine})
        for row in mine if parts else ():
            called = row["sampled_for"] == "challenge"
            part = challenge.part_of(parts, row["serial"], row["started_at"], called=called)
            if part is not None:
                found[row["case_id"]] = part
                _set_apart(row)
    if any(challenge.result(part.truth, row["verdict"]) == "missed" for part, row in _paired(found, by_site)):
        # Before the sums at the top of the page, as whoever judges takes the two.
        audit_log.take_turn(connection)
    return found


def note(connection: sa.Connection, rows: Sequence[Row], parts: Mapping[str, Part], now: float) -> None:
    """Those of these new rows that showed a part become runs; the caller commits."""
    runs = [_run(row, parts[row["case_id"]], now) for row in rows if row["case_id"] in parts]
    if not runs:
        return
    connection.execute(sa.insert(challenge_runs), runs)
    payloads = {row["case_id"]: row["payload"] for row in rows}
    for run in runs:
        log.info("challenge case=%s serial=%s truth=%s result=%s", *_words(run))
        if run["result"] == "missed":
            _step_down(connection, run, _mode_in(payloads[run["case_id"]]), now)


def _paired(found: Mapping[str, Part], by_site: Mapping[str, list[Row]]) -> list[tuple[Part, Row]]:
    return [(found[row["case_id"]], row) for mine in by_site.values() for row in mine if row["case_id"] in found]


def _set_apart(row: Row) -> None:
    """The message keeps the station's own word."""
    row["sampled_for"], row["sampled_probability"] = "challenge", 1.0
    row["group_id"] = case_groups.group_id(row)


def _run(row: Row, part: Part, now: float) -> dict[str, Any]:
    names = ("case_id", "site", "station", "serial", "boot_id", "sequence", "started_at", "verdict")
    return {name: row[name] for name in names} | {
        "part_id": part.id,
        "truth": part.truth,
        "leak_std_cm3_s": part.leak_std_cm3_s,
        "decision": row["decision"] if row["decided_by"] == "human" else "none",
        "result": challenge.result(part.truth, row["verdict"]),
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
    return _mode_in(status) if status else None


def _mode_in(message: bytes | str) -> str | None:
    return msgspec.json.decode(message, type=_Told).mode


def _words(run: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(run[name] for name in ("case_id", "serial", "truth", "result"))
