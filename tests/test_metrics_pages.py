"""What Prometheus is told of the cloud, and who may ask for it."""

import msgspec
import pytest
import sqlalchemy as sa
from cloud_fakes import TOPICS, a_case, case_message
from desk_site import ONE_OF_EACH_ROLE, Site
from device_files import ALARM
from metrics_site import work
from scraping import names, needs_promtool, promtool, samples, scrape, value

from cloud_sync import db, drift_course
from cloud_sync.cloud_metrics import CATALOGUE
from cloud_sync.dead_letters import Message
from cloud_sync.metrics_pages import Recent
from cloud_sync.roles import ROLES
from cloud_sync.tables import device_alarms, device_health, stations
from edge_agent import utc, wire

HERE = {"site": "plant", "station": "TANK1"}
pytestmark = pytest.mark.usefixtures("quick_passwords")


@pytest.fixture
def cloud(tmp_path, new_cloud):
    site = Site(tmp_path, new_cloud(tmp_path / "cloud"))
    work(site)
    yield site
    site.engine.dispose()


@pytest.fixture
def text(cloud):
    return scrape(cloud.app, cloud.token("viewer"))


@needs_promtool
def test_promtool_has_nothing_to_say_against_names_units_and_help(text):
    assert promtool("check", "metrics", given=text) == ""


def test_every_metric_of_the_catalogue_is_served_where_all_is_known(text):
    served = names(samples(text))
    assert [one.name for one in CATALOGUE if one.name not in served] == []


def test_cases_are_counted_by_what_machine_and_inspector_said(text):
    found = samples(text)
    name = "tankwatch_cloud_cases_total"
    assert value(found, name, **HERE, verdict="ok", decision="ok", outcome="agree") == 3
    assert value(found, name, **HERE, verdict="leak", decision="ok", outcome="machine_leak") == 1


def test_a_station_is_told_with_its_state_its_gaps_its_alarms_and_its_certificate(text):
    found = samples(text)
    assert value(found, "tankwatch_cloud_stations", status="online") == 1
    assert value(found, "tankwatch_cloud_station_up", **HERE) == 1
    assert value(found, "tankwatch_cloud_station_automation_level", **HERE) == 3
    assert value(found, "tankwatch_cloud_station_missing_cases", **HERE) == 2
    assert value(found, "tankwatch_cloud_station_alarms_active", **HERE, priority="medium") == 1
    assert value(found, "tankwatch_cloud_station_receipts_total", **HERE) == 450
    assert value(found, "tankwatch_cloud_station_outbox_oldest_age_seconds", **HERE) == 42
    assert value(found, "tankwatch_certificate_miss_rate_upper_ratio", **HERE) == 0.011
    assert value(found, "tankwatch_certificate_false_alarm_rate_upper_ratio", **HERE) == 0.02


def test_the_desk_is_told_with_its_queue_what_was_refused_and_how_late_cases_come(text):
    found = samples(text)
    assert value(found, "tankwatch_cloud_looks", state="waiting") == 1
    assert 0 <= value(found, "tankwatch_cloud_review_oldest_age_seconds") < 60
    assert value(found, "tankwatch_cloud_dead_letters") == value(found, "tankwatch_cloud_messages_refused_total") == 1
    assert value(found, "tankwatch_cloud_ingest_lag_seconds") > 0
    assert value(found, "tankwatch_cloud_clips", state="stored") == 1
    assert value(found, "tankwatch_cloud_clip_bytes", state="stored") > 1000
    assert value(found, "tankwatch_cloud_store_up") == 1
    assert value(found, "tankwatch_cloud_training_runs", state="failed") == 1
    assert value(found, "tankwatch_cloud_training_runs", state="queued") == 0
    assert value(found, "tankwatch_cloud_rollouts", state="canary") == 1


def test_no_label_is_an_id_a_serial_or_a_person(text):
    allowed = {"site", "station", "status", "state", "verdict", "decision", "outcome", "priority", "role", "version"}
    assert {name for _, labels in samples(text) for name, _ in labels} <= allowed
    assert "b" * 64 not in text and "quinn" not in text and "a1b2c3" not in text


def test_an_alarm_that_is_shelved_at_the_station_is_not_counted(tmp_path):
    site = Site(tmp_path)
    alarms = [ALARM, msgspec.structs.replace(ALARM, id="tank", state="shelved")]
    site.intake.handle([Message(TOPICS.alarm(one.id), wire.encode(one)) for one in alarms], db.now())
    found = samples(scrape(site.app, site.token("viewer")))
    assert value(found, "tankwatch_cloud_station_alarms_active", **HERE, priority="medium") == 1
    site.engine.dispose()


def test_what_devices_of_another_version_have_said_stops_no_scrape_and_no_page(cloud):
    with cloud.engine.begin() as connection:
        connection.execute(sa.update(stations).values(status='{"schema": "tankwatch/status/9"}'))
        connection.execute(sa.update(device_health).values(metrics=b'{"schema": "tankwatch/metrics/9"}'))
        connection.execute(sa.update(device_alarms).values(alarm=b'{"schema": "tankwatch/alarm/9"}', id="drift"))
    found = samples(scrape(cloud.app, cloud.token("viewer")))
    assert value(found, "tankwatch_cloud_stations", status="unknown") == 1
    assert value(found, "tankwatch_cloud_station_alarms_active", **HERE, priority="medium") == 1
    with cloud.engine.connect() as connection:
        assert drift_course.standing(connection, db.now()) == ()
    assert cloud.browser("quinn").get("/drift").status_code == 200


def test_a_cloud_that_has_heard_nothing_answers(tmp_path):
    site = Site(tmp_path)
    found = samples(scrape(site.app, site.token("viewer")))
    assert value(found, "tankwatch_cloud_stations", status="online") == 0
    assert value(found, "tankwatch_cloud_review_oldest_age_seconds") == 0
    assert "tankwatch_cloud_ingest_lag_seconds" not in names(found)
    site.engine.dispose()


@pytest.mark.parametrize("wrong_s", [86_400.0, -4000.0, 4000.0])
def test_one_device_whose_clock_is_wrong_does_not_make_the_cloud_late(tmp_path, wrong_s):
    site, now = Site(tmp_path), db.now()
    for number, station in enumerate(("TANK1", "TANK2", "TANK3", "TANK4")):
        ahead_s = wrong_s if number == 0 else 0.0
        for sequence in range(1, 61 if number == 0 else 6):
            began_s = now - 10 * sequence + ahead_s
            case = a_case(
                sequence,
                station=station,
                case_id=f"{station}-a1b2c3-{sequence:06d}",
                started_at=utc.text(began_s - 9),
                ended_at=utc.text(began_s),
            )
            site.intake.handle([case_message(case)], now - 10 * sequence + 2.0)
    found = samples(scrape(site.app, site.token("viewer")))
    assert value(found, "tankwatch_cloud_ingest_lag_seconds") == pytest.approx(2.0, abs=0.1)
    site.engine.dispose()


def test_only_a_valid_token_of_somebody_who_may_see_cases_gets_an_answer(tmp_path):
    site = Site(tmp_path, people=ONE_OF_EACH_ROLE)
    client = site.app.test_client()
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer tw_wrong"}).status_code == 401
    answers = {role: client.get("/metrics", headers=site.token(role)).status_code for role in ROLES}
    assert answers == {"viewer": 200, "expert": 403, "quality": 200, "admin": 200}
    site.engine.dispose()


def test_a_session_of_the_pages_does_not_count_as_a_token(tmp_path):
    site = Site(tmp_path, people=ONE_OF_EACH_ROLE)
    assert site.browser("viewer").get("/metrics").status_code == 401
    site.engine.dispose()


def test_an_answer_holds_for_some_seconds():
    now, asked = [0.0], []
    recent = Recent(5.0, clock=lambda: now[0])
    for moment in (0.0, 4.9, 5.0, 6.0):
        now[0] = moment
        recent.answer(lambda: asked.append(1))
    assert len(asked) == 2
