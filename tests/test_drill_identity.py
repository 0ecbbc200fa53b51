"""`drill identity`: what it tries is denied, what may be works; and each thing that it looks for, it finds."""

import pytest

from benchmarks import drill_identity, identity_clone, identity_doors, identity_speaking, identity_words
from benchmarks.identity_speaking import Matrix
from benchmarks.secured import SITE, Broker, make_desk
from cloud_sync import broker_rules, case_row, speakers
from cloud_sync.broker import mosquitto
from edge_agent import wire
from edge_agent.wire import Topics

PLACES = {name: Topics(SITE, name) for name in ("A", "B")}
needs_mosquitto = pytest.mark.skipif(not mosquitto(), reason="mosquitto is absent")


@pytest.mark.full
@needs_mosquitto
def test_nobody_speaks_hears_or_is_receipted_as_another_and_a_copy_is_told_of_within_a_minute(tmp_path):
    found = drill_identity.drill(drill_identity.plan(full=False, seed=0), tmp_path, print)
    assert drill_identity.is_good(found), found
    assert found["cells"] > 1500 and found["allowed"] > 130 and found["doors"] == 18


def a_sitting(folder, rules, monkeypatch):
    """With this access list in place of ours."""
    monkeypatch.setattr(broker_rules, "access_list", rules)
    matrix = Matrix()
    with Broker(make_desk(folder, "A", "B")) as broker:
        identity_speaking.sitting(broker, PLACES, "exact", matrix)
        identity_speaking.wills(broker, PLACES, matrix)
    return matrix


@pytest.mark.full
@needs_mosquitto
def test_the_drill_finds_a_station_that_may_write_everywhere(tmp_path, monkeypatch):
    ours = broker_rules.access_list

    def loose(stations):
        return ours(stations).replace(f"user {SITE}-A\n", f"user {SITE}-A\ntopic write {wire.ROOT}/#\n")

    found = a_sitting(tmp_path / "desk", loose, monkeypatch)
    assert f"A says {PLACES['B'].case}, cloud hears it (exact)" in found.let_in
    assert f"A says {PLACES['B'].receipt}, B hears it (exact)" in found.let_in
    assert f"A leaves a will on {PLACES['B'].status}" in found.let_in
    assert found.kept_out == []


@pytest.mark.full
@needs_mosquitto
def test_the_drill_finds_who_may_read_anothers_receipts_and_a_cloud_that_may_not_speak(tmp_path, monkeypatch):
    ours = broker_rules.access_list

    def wrong(stations):
        text = ours(stations).replace(f"topic write {wire.ROOT}/+/+/desired\n", "")
        return text.replace(f"user {SITE}-A\n", f"user {SITE}-A\ntopic read {PLACES['B'].receipt}\n")

    found = a_sitting(tmp_path / "desk", wrong, monkeypatch)
    assert found.let_in == [f"cloud says {PLACES['B'].receipt}, A hears it (exact)"]
    assert f"cloud says {PLACES['A'].desired}, A hears it (exact)" in found.kept_out


@needs_mosquitto
def test_the_drill_finds_a_port_of_the_cloud_that_lets_stations_in(tmp_path, monkeypatch):
    ours = broker_rules.configuration

    def trusting(*arguments, **named):
        return ours(*arguments, **named).replace("/cloud-ca.crt", "/ca.crt")

    monkeypatch.setattr(broker_rules, "configuration", trusting)
    with Broker(make_desk(tmp_path / "desk", "A")) as broker:
        doors = identity_doors.tried(broker, tmp_path, "A")
    assert "a station at the cloud's port as ingest" in drill_identity.make_ledger(Matrix(), doors)["doors_wrong"]


def test_the_drill_finds_an_intake_that_believes_what_a_case_says_of_itself(tmp_path, monkeypatch):
    ours = case_row.rows

    def gullible(topic, payload, now):
        case = wire.decode(payload, case_row.Case)
        return ours(wire.Topic(case.site, case.station, topic.kind), payload, now)

    monkeypatch.setattr(case_row, "rows", gullible)
    assert "a case with the other's station in it: a receipt went to the other" in identity_words.taken(
        tmp_path, *PLACES.values()
    )


@pytest.mark.full
@needs_mosquitto
def test_the_drill_finds_a_cloud_that_says_nothing_of_copies(tmp_path, monkeypatch):
    monkeypatch.setattr(speakers.Speakers, "hear", lambda *_: None)
    monkeypatch.setattr(identity_clone, "WITHIN_S", 10.0)
    with Broker(make_desk(tmp_path / "desk", "A", "B", *drill_identity.CLONES.values())) as broker:
        found = identity_clone.cloned(broker, tmp_path / "clones", **drill_identity.CLONES)
    assert found["disk_cloud_s"] is None and found["disk_device_s"] is not None
