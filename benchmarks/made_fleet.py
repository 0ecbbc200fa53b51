"""A number of devices -> a fleet that has worked for a while, as the cloud's rows: what `bench rollout` decides on."""

import random
from collections.abc import Iterator

import msgspec
import sqlalchemy as sa

from cloud_sync import case_groups
from cloud_sync.tables import bundles, device_health, stations
from cloud_sync.tables import case_groups as groups
from edge_agent import wire
from edge_agent.bundle import open_bundle
from edge_agent.inspection import shipped_bundle
from edge_agent.messages import Metrics, OutputMetrics, SoftwareMetrics, Status
from edge_agent.records import BundleRef

OLD, NEW = BundleRef(3, "a" * 64), BundleRef(4, "e" * 64)
SINCE = "2026-11-20T14:00:00Z"
TENTHS = (8, 9, 10)
SAID = (
    ("ok", "ok", "agree", "none", 900),
    ("ok", "ok", "agree", "audit", 30),
    ("leak", "leak", "agree", "none", 10),
    ("leak", "ok", "machine_leak", "disagreement", 3),
    ("ok", "leak", "human_leak", "disagreement", 3),
    ("uncertain", "ok", "unsure", "unsure", 20),
    ("not_tested", "ok", "not_tested", "not_tested", 10),
)
"""Verdict, decision, outcome, why it was sent, about how many cases in a tenth of clarity."""


def places(devices: int) -> list[tuple[str, str]]:
    return [(f"site{number % 7}", f"TANK{number:04d}") for number in range(devices)]


def add_bundles(connection: sa.Connection) -> None:
    """Both, the old one as champion."""
    manifest = msgspec.json.encode(open_bundle(shipped_bundle()).manifest)
    for bundle, state in ((OLD, "champion"), (NEW, "challenger")):
        about = {"version": bundle.version, "sha256": bundle.sha256, "name": "made", "scope": "general"}
        row = about | {"manifest": manifest, "state": state, "added_by": "made", "added_at": 1.0}
        connection.execute(sa.insert(bundles).values(row))


def add_devices(connection: sa.Connection, devices: int, now: float) -> None:
    """Each with status, metrics and weeks of cases of the old bundle."""
    draw = random.Random(devices)
    status = _status(OLD)
    site_station = [{"site": site, "station": station} for site, station in places(devices)]
    connection.execute(sa.insert(stations), [one | {"status": status, "seen_at": now} for one in site_station])
    health = [one | {"metrics": _metrics(draw.uniform(60, 140)), "at": now} for one in site_station]
    connection.execute(sa.insert(device_health), health)
    connection.execute(sa.insert(groups), list(_groups(draw, devices, OLD, 1.0)))


def all_took(connection: sa.Connection, devices: int, now: float) -> None:
    """Every device runs the new bundle and has worked with it for days, no worse."""
    connection.execute(sa.update(stations).values(status=_status(NEW), seen_at=now))
    connection.execute(sa.update(device_health).values(at=now))
    connection.execute(sa.insert(groups), list(_groups(random.Random(-devices), devices, NEW, 0.34)))


def nobody_took(connection: sa.Connection) -> None:
    """As it was before."""
    connection.execute(sa.update(stations).values(status=_status(OLD)))
    connection.execute(sa.delete(groups).where(groups.c.bundle_sha256 == NEW.sha256))


def _groups(draw: random.Random, devices: int, bundle: BundleRef, part: float) -> Iterator[dict]:
    for site, station in places(devices):
        for verdict, decision, outcome, sampled, count in SAID:
            for tenth in TENTHS:
                shared: dict[str, object] = {"site": site, "station": station, "verdict": verdict, "decision": decision}
                shared |= {"decided_by": "human", "outcome": outcome, "sampled_for": sampled, "profile_sha256": None}
                row = shared | {"bundle_version": bundle.version, "bundle_sha256": bundle.sha256}
                number = case_groups.group_id(row | {"clarity": tenth / 10})
                cases = max(1, round(part * count * draw.uniform(0.8, 1.2)))
                yield row | {"id": number, "clarity_tenths": tenth, "cases": cases, "first_at": 1.0, "last_at": 2.0}


def _status(bundle: BundleRef) -> str:
    return wire.encode(Status(status="online", mode="shadow", bundle=bundle, software="1.0", since=SINCE)).decode()


def _metrics(verdict_ms: float) -> bytes:
    software = SoftwareMetrics(
        version="1.0", uptime_s=9e5, disk_free_mb=9e4, waiting_cases=0, waiting_clips=0, inspect_starts=1
    )
    output = OutputMetrics(cases=900, step_ms=9.0, verdict_ms=round(verdict_ms, 1))
    return wire.encode(Metrics(at=SINCE, boot_id="boot-1", software=software, output=output))
