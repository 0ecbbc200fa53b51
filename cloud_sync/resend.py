"""`cloud resend`: a station is asked for its cases and clips since a time, of the 30 days that it keeps them.

Without a time it is asked for what the database lacks: everything since the case before the first missing number, and
since the oldest case whose clip is not here. What comes twice is held once.
"""

import argparse
import secrets
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from cloud_sync import audit_log, db, ordering
from cloud_sync import config as cloud_config
from cloud_sync.case_row import utc_seconds
from cloud_sync.ordering import Answer
from cloud_sync.tables import cases, clips, gaps, stations
from edge_agent import wire
from edge_agent.errors import ConfigError, LinkError
from edge_agent.messages import Command, Status

EXPIRES = timedelta(hours=24)
"""A station that is away for longer does not obey."""
WAIT_S = 30.0
KEPT_DAYS = 30
"""Devices keep receipted records as long, clips as their disk allows."""
MARGIN = timedelta(hours=1)
"""A station's clock is set now and then; what comes twice costs little."""


def resend(argv: list[str]) -> int:
    """`tankwatch cloud resend STATION [--since TIME] [--site SITE] [--wait SECONDS] --config cloud.toml`"""
    parser = argparse.ArgumentParser(prog="tankwatch cloud resend", description="Asks a station for its cases again.")
    parser.add_argument("station", metavar="STATION")
    parser.add_argument(
        "--since", metavar="TIME", help="UTC, ISO 8601; default: where the database's own cases break off"
    )
    parser.add_argument("--site", help="where several sites have a station of that name, or this database knows none")
    parser.add_argument("--wait", type=float, default=WAIT_S, metavar="SECONDS", help="for the answer; default 30")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="cloud.toml")
    options = parser.parse_args(argv)
    config = cloud_config.load(options.config)
    engine = db.open_database(config)
    with engine.connect() as connection:
        site = options.site or _site_of(connection, options.station)
        since = _moment(options.since) if options.since else missing_since(connection, site, options.station, db.now())
    topics, command = _topics(site, options.station), order(since, datetime.now(UTC))
    with engine.begin() as connection:
        about = f"{site}/{options.station} since {command.since}"
        audit_log.note(connection, who="command line", did="resend_ordered", about=about, now=db.now())
    engine.dispose()
    answer = ordering.give(config.broker, topics, command, options.wait)
    print(
        f"{site}/{options.station}: {said(answer, f'{site}/{options.station}', command, options.wait)}", file=sys.stderr
    )
    return 0


def order(since: datetime, now: datetime) -> Command:
    """A fresh order; each is carried out once."""
    return Command(
        id=f"resend-{secrets.token_hex(6)}", order="resend_since", since=_iso(since), expires_at=_iso(now + EXPIRES)
    )


def said(answer: Answer, name: str, command: Command, wait_s: float) -> str:
    """The station's own words. Raises LinkError with what to do where it did not obey."""
    if answer.reply is not None and answer.reply.done:
        return f"{answer.reply.text}, since {command.since}"
    if answer.reply is not None:
        raise LinkError(f"{name} does not obey: {answer.reply.text}")
    if answer.status is None:
        raise LinkError(f"{name} has never said anything at this broker: check the station's name and --site")
    raise LinkError(_silence(answer.status, name, command, wait_s))


def missing_since(connection: sa.Connection, site: str, station: str, now: float) -> datetime:
    """From when on the database lacks cases or clips of this station, of the days that a device keeps them."""
    mine = (cases.c.site == site) & (cases.c.station == station)
    oldest = now - KEPT_DAYS * 86_400
    hole = connection.scalar(
        sa.select(sa.func.min(gaps.c.first)).where(
            gaps.c.site == site, gaps.c.station == station, gaps.c.closed_at.is_(None)
        )
    )
    before_hole = mine if hole is None else mine & (cases.c.sequence < hole)
    last = sa.select(cases.c.ended_at).where(before_hole).order_by(cases.c.sequence.desc()).limit(1)
    stored = sa.exists().where(clips.c.sha256 == cases.c.clip_sha256, clips.c.state.in_(("stored", "retired")))
    bare = sa.select(sa.func.min(cases.c.ended_at)).where(
        mine, cases.c.clip_sha256.isnot(None), ~stored, cases.c.ended_at > oldest
    )
    found = connection.scalar(last), connection.scalar(bare)
    return datetime.fromtimestamp(min(oldest if found[0] is None else found[0], found[1] or now), UTC) - MARGIN


def _site_of(connection: sa.Connection, station: str) -> str:
    known = sa.union(
        sa.select(stations.c.site, stations.c.station), sa.select(cases.c.site, cases.c.station).distinct()
    )
    pairs = sorted({(row.site, row.station) for row in connection.execute(known)})
    sites = [site for site, name in pairs if name == station]
    if len(sites) == 1:
        return sites[0]
    if sites:
        raise ConfigError(f"station {station} is at {', '.join(sites)}: name one with --site")
    names = ", ".join("/".join(pair) for pair in pairs) or "none"
    raise ConfigError(
        f"station {station[:40]} is not known here, known are {names}: check the name, or give its --site"
    )


def _topics(site: str, station: str) -> wire.Topics:
    topics = wire.Topics(site, station)
    try:
        wire.parse_topic(topics.status)
    except LinkError as error:
        raise ConfigError(f"{site[:40]}/{station[:40]} names no station: {error}") from error
    return topics


def _moment(text: str) -> datetime:
    try:
        return datetime.fromtimestamp(utc_seconds(text), UTC)
    except LinkError as error:
        raise ConfigError(f"--since {text[:40]!r} is no ISO 8601 time: write 2026-11-29T14:00:00Z") from error


def _silence(status: Status, name: str, command: Command, wait_s: float) -> str:
    if status.status == "offline":
        return (
            f"{name} is offline since {status.since}: the order waits at the broker and is carried out if the station "
            f"is back before {command.expires_at}"
        )
    return f"{name} is online and has not answered within {wait_s:.0f} s: look at its uplink's log, or wait longer"


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
