"""A cloud of which every figure is known, for tests of its /metrics and of what is built on them."""

import sqlalchemy as sa
from cloud_fakes import SITE, STATION, TOPICS, a_case, case_message
from desk_site import Site
from device_files import ALARM, a_report, a_state

from benchmarks import made_fleet
from cloud_sync import db
from cloud_sync.dead_letters import Message
from cloud_sync.tables import mode_orders, parallel_runs, rollouts, runs
from edge_agent import wire
from edge_agent.messages import Metrics, ModeCertificate, ModeOrder, Status
from edge_agent.records import BundleRef

CERTIFICATE = ModeCertificate(
    miss_rate_upper=0.011,
    false_alarm_rate_upper=0.02,
    confidence=0.95,
    shown_by="units",
    leaky=300,
    good=700,
    coverage=0.97,
    measured_at="2026-11-20T14:00:00Z",
    expires_at="2026-12-20T14:00:00Z",
)


def work(site: Site) -> None:
    """One station: four cases and a gap of five, of which three wait, a clip to come, status, metrics, alarm, order."""
    site.case(1)
    site.intake.handle([case_message(a_case(n, verdict="ok", decision="ok")) for n in (2, 3, 9)], db.now())
    status = Status(
        status="online", mode="partial", bundle=BundleRef(3, "b" * 64), software="1", since="2026-11-20T14:00:00Z"
    )
    told = a_state()
    metrics = Metrics(at=told.at, boot_id="boot", software=a_report().software, input=told.input, output=told.output)
    site.intake.handle(
        [
            Message(TOPICS.status, wire.encode(status)),
            Message(TOPICS.metrics, wire.encode(metrics)),
            Message(TOPICS.alarm(ALARM.id), wire.encode(ALARM)),
            Message(TOPICS.case, b"no case"),
        ],
        db.now(),
    )
    with site.engine.begin() as connection:
        _order(connection)
        _work_of_others(connection)


def _order(connection: sa.Connection) -> None:
    order = ModeOrder(
        site=SITE,
        station=STATION,
        mode="partial",
        counter=1,
        bundle_sha256="b" * 64,
        profile_sha256="c" * 64,
        certificate=CERTIFICATE,
        reason="proven",
        ordered_by="quinn",
        ordered_at=CERTIFICATE.measured_at,
        expires_at=CERTIFICATE.expires_at,
    )
    about = {"mode": order.mode, "counter": 1, "reason": order.reason, "who": "quinn", "at": 1.0}
    connection.execute(sa.insert(mode_orders).values(site=SITE, station=STATION, payload=wire.encode(order), **about))


def _work_of_others(connection: sa.Connection) -> None:
    """A training run that failed, a rollout and a parallel run under way."""
    made_fleet.add_bundles(connection)
    run = {"scope": "general", "want": "", "recipes": "", "seed": 1, "settings": b"{}", "started_by": "x", "why": "x"}
    connection.execute(sa.insert(runs).values(state="failed", queued_at=1.0, progress="", share=0.0, **run))
    moved = {"plan": b"{}", "record": b"{}", "revision": 1, "begun_by": "x", "reason": "x", "begun_at": 1.0}
    new = made_fleet.NEW.sha256
    connection.execute(sa.insert(rollouts).values(bundle_sha256=new, state="canary", changed_at=1.0, **moved))
    beside = {"champion": made_fleet.OLD.sha256, "challenger": new, "year": 2026, "alpha": 0.01, "rules": b"{}"}
    connection.execute(
        sa.insert(parallel_runs).values(state="running", why="", started_by="x", started_at=1.0, **beside)
    )
