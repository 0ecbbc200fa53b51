"""The fleet: who is there, what wants somebody, and what a day was like."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from cloud_fakes import a_case, case_message
from desk_site import Site

from cloud_sync import db, fleet, fleet_reports
from cloud_sync.dead_letters import Message
from cloud_sync.tables import stations
from edge_agent import utc, wire
from edge_agent.messages import Alarm, Metrics, SoftwareMetrics, Status
from edge_agent.records import BundleRef

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC).timestamp()
KINDS = (
    {"verdict": "ok", "decision": "ok"},
    {"verdict": "leak", "decision": "ok"},
    {"verdict": "uncertain", "decision": "ok"},
    {"verdict": "leak", "decision": "leak"},
)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def root(station: str) -> wire.Topics:
    return wire.Topics("plant", station)


def says(site: Site, station: str, *, at: float = NOW, online: bool = True, alarms: tuple[Alarm, ...] = ()) -> None:
    status = Status(status="online" if online else "offline", mode="shadow", bundle=BundleRef(3, "a" * 64),
                    software="1", since="2026-11-29T00:00:00Z")  # fmt: skip
    metrics = Metrics(
        at="2026-11-29T11:59:50Z", boot_id="b", software=SoftwareMetrics(version="1", uptime_s=1.0, disk_free_mb=1.0,
                                                                         waiting_cases=0, waiting_clips=0))  # fmt: skip
    topics = root(station)
    messages = [(topics.status, status), (topics.metrics, metrics), *((topics.alarm(one.id), one) for one in alarms)]
    site.intake.handle([Message(topic, wire.encode(message)) for topic, message in messages], at)


def test_two_devices_that_speak_by_turns_in_one_name_are_an_alarm_on_the_page_and_in_the_metrics(site: Site) -> None:
    for turn, uplink_id in enumerate(("a", "b", "a")):
        status = Status(status="online", software="1", since=utc.text(NOW + turn), uplink_id=uplink_id)
        site.intake.handle([Message(root("TANK1").status, wire.encode(status))], NOW + turn)
    says(site, "TANK2")
    page = site.browser("quinn").text("/stations")
    assert page.count("two devices speak as plant/TANK1") == 1
    metrics = site.app.test_client().get("/metrics", headers=site.token("viewer")).text
    assert 'tankwatch_cloud_station_name_shared{site="plant",station="TANK1"} 1' in metrics
    assert 'tankwatch_cloud_station_name_shared{site="plant",station="TANK2"} 0' in metrics


def alarm(priority: str) -> Alarm:
    about = {"cause": "a thing", "consequence": "something", "action": "mend it", "since": "2026-11-29T11:00:00Z"}
    return Alarm(id=f"a-{priority}", priority=priority, text=f"a {priority} thing: mend it", **about)


def watched(site: Site, count: int, *, station: str = "TANK1", at: float = NOW - 3600) -> list[str]:
    found = [
        a_case(
            number,
            station=station,
            case_id=f"{station}-{at:.0f}-{number}",
            started_at=utc.text(at + 60 * number),
            **KINDS[number % 4],
        )
        for number in range(1, count + 1)
    ]
    site.intake.handle([case_message(one) for one in found], NOW)
    return [one.case_id for one in found]


def listed(site: Site, at: float = NOW) -> list[fleet.StationNow]:
    with site.engine.connect() as connection:
        return fleet.now(connection, at)


def test_those_that_want_somebody_come_first_and_the_rest_by_name(site: Site) -> None:
    says(site, "TANK3")
    says(site, "TANK1")
    says(site, "TANK2", alarms=(alarm("low"), alarm("medium")))
    says(site, "TANK5", online=False)
    says(site, "TANK4", alarms=(alarm("low"), alarm("high")))
    assert [one.place[1] for one in listed(site)] == ["TANK4", "TANK5", "TANK1", "TANK2", "TANK3"]
    assert [one.priority for one in listed(site)[0].alarms] == ["high", "low"]


def test_a_station_that_says_online_and_is_silent_for_an_hour_is_offline(site: Site) -> None:
    says(site, "TANK1")
    assert listed(site)[0].is_online
    (late,) = listed(site, NOW + fleet.QUIET_S + 1)
    assert not late.is_online and late.wants_somebody and late.heard_at == NOW


def test_the_last_day_is_counted_and_the_latest_case_named(site: Site) -> None:
    says(site, "TANK1")
    watched(site, 4, at=NOW - 2 * fleet.DAY_S)
    case_ids = watched(site, 40)
    (one,) = listed(site)
    assert (one.day.cases, one.day.compared, one.day.agreed, one.day.uncertain) == (40, 30, 20, 10)
    share, low, high = one.day.agreement
    assert share == pytest.approx(2 / 3) and low < 0.5 < share < high
    assert one.last_case_id == case_ids[-1] and one.last_verdict == KINDS[40 % 4]["verdict"]


def test_a_day_lies_in_its_hours_and_midnight_belongs_to_the_day_that_begins(site: Site) -> None:
    midnight = fleet.midnight(NOW)
    ends = [a_case(number, started_at=utc.text(midnight + s)) for number, s in enumerate((0, -1, 86_399), 1)]
    site.intake.handle([case_message(one) for one in ends], NOW)
    with site.engine.connect() as connection:
        day = fleet.day(connection, ("plant", "TANK1"), midnight)
    assert [len(hour) for hour in day.hours] == [1, *[0] * 22, 1] and day.counts.cases == 2


def test_the_page_of_a_day_links_what_is_worth_a_look_and_nothing_else(site: Site, monkeypatch) -> None:
    monkeypatch.setattr(db, "now", lambda: NOW)
    says(site, "TANK1", alarms=(alarm("high"),))
    case_ids = watched(site, 8)
    viewer = site.browser("quinn")
    page = viewer.text("/stations/plant/TANK1")
    assert "a high thing" in page and "2026-11-29" in page
    linked = {case_id for case_id in case_ids if f"/cases/{case_id}" in page}
    assert linked == {case_id for number, case_id in enumerate(case_ids, 1) if number % 4 in (1, 2)}
    assert "No case on this day" in viewer.text("/stations/plant/TANK1?day=2026-11-01")


@pytest.mark.parametrize("path", ["/stations/plant/TANK9", "/stations/plant/TANK1?day=2026-02-30",
                                  "/stations/plant/TANK1?day=2999-01-01", "/stations/plant/TANK1?day=now"])  # fmt: skip
def test_an_unknown_station_and_a_day_that_is_none_are_not_found(site: Site, path: str) -> None:
    says(site, "TANK1")
    assert site.browser("quinn").get(path).status_code == 404


def test_stations_are_compared_over_the_days_that_are_offered(site: Site, monkeypatch) -> None:
    monkeypatch.setattr(db, "now", lambda: NOW)
    watched(site, 8)
    watched(site, 4, station="TANK2", at=NOW - 3 * fleet.DAY_S)
    viewer = site.browser("quinn")
    assert "TANK2" in viewer.text("/stations/compare") and "TANK2" not in viewer.text("/stations/compare?days=1")
    assert "TANK2" in viewer.text("/stations/compare?days=oddly")


def test_a_status_of_another_version_is_no_status(site: Site) -> None:
    says(site, "TANK1")
    with site.engine.begin() as connection:
        connection.execute(sa.update(stations).values(status='{"schema": "tankwatch/status/9"}'))
    assert listed(site)[0].status is None and not listed(site)[0].is_online
    with site.engine.connect() as connection:
        assert fleet_reports.present_bundles(connection) == {}
    assert "unknown" in site.browser("quinn").text("/stations")


def test_the_page_of_one_station_reads_no_other_stations_cases(site: Site) -> None:
    for station in ("TANK1", "TANK2"):
        says(site, station)
        watched(site, 8, station=station)
    with site.engine.connect() as connection:
        (one,) = fleet.now(connection, NOW, ("plant", "TANK2"))
        assert one == next(each for each in fleet.now(connection, NOW) if each.place == one.place)
