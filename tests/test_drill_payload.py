"""A small flood through every part of the drill, and what would show if one of them were broken."""

import random

import pytest

from benchmarks import drill_payload, payload_cloud, payload_device, payload_seeds
from benchmarks.drill_payload import FAULTS, Plan
from benchmarks.mutations import mutated, odd_topic
from cloud_sync import dead_letters, device_health, intake
from edge_agent import outbox_table, uplink_state, wire


def test_a_flood_of_malformed_messages_crashes_nothing_and_every_one_of_them_is_told(tmp_path):
    ledger = drill_payload.drill(Plan(cloud=300, device=60, broker=60, seed=3), tmp_path)
    assert drill_payload.is_good(ledger), ledger
    assert ledger["malformed"] >= 400 and ledger["messages"] > ledger["malformed"] and ledger["good"] >= 6


def test_the_seeds_are_messages_and_most_of_what_becomes_of_them_is_none():
    chance, seeds = random.Random(1), payload_seeds.from_station("TANK1", 7)
    seeds += payload_seeds.from_cloud(wire.Topics("plant", "TANK1"), 7)
    for message in seeds:
        kind = wire.parse_topic(message.topic).kind
        assert kind == "clip_part" or wire.decode(message.payload, wire.MESSAGES[kind])
        assert len({mutated(chance, message.payload) for _ in range(50)}) > 25
        assert len({odd_topic(chance, message.topic) for _ in range(50)}) > 25


def flooded(folder) -> dict:
    return payload_cloud.drilled(payload_cloud.config_in(folder), 100, 5).faults


def spoken(folder) -> dict:
    return payload_device.drilled(folder, 60, 5).faults


@pytest.mark.full
@pytest.mark.parametrize(
    ("part", "name", "broken", "key"),
    [
        (dead_letters, "bury", lambda *_: None, "silent"),
        (device_health, "checked_metrics", lambda payload: payload.decode("ascii") + 1, "crashes"),
        (intake.gaps, "note", lambda *_, **__: 1 / 0, "good_lost"),
        (payload_cloud, "STALL_S", 0.0, "stalls"),
        (payload_cloud.fleet, "now", lambda *_: 1 / 0, "pages_broken"),
        (wire, "_short", lambda *_: 1 / 0, "crashes"),
    ],
)
def test_a_cloud_that_breaks_would_show(tmp_path, monkeypatch, part, name, broken, key):
    monkeypatch.setattr(part, name, broken)
    assert flooded(tmp_path)[key] > 0


def _whatever_the_hash(rows, cases, _clips, now):
    return sum(
        rows.execute("UPDATE cases SET receipted_at = ? WHERE case_id = ?", (now, case_id)).rowcount
        for case_id, _ in cases
    )


@pytest.mark.parametrize(
    ("part", "name", "broken", "key"),
    [
        (outbox_table, "receipted", _whatever_the_hash, "deleted_wrongly"),
        (uplink_state.log, "warning", lambda *_: None, "silent"),
        (uplink_state.orders, "carry_out", lambda *_: 1 / 0, "crashes"),
        (payload_device, "STALL_S", -1.0, "stalls"),
    ],
)
def test_a_device_that_breaks_would_show(tmp_path, monkeypatch, part, name, broken, key):
    monkeypatch.setattr(part, name, broken)
    assert spoken(tmp_path)[key] > 0


def test_a_ledger_with_any_fault_is_not_good():
    good = dict.fromkeys(FAULTS, 0) | {"good": 5, "by_part": {"cloud": 3, "device": 2, "broker": 1}}
    assert drill_payload.is_good(good)
    assert not any(drill_payload.is_good(good | {name: 1}) for name in FAULTS)
    assert not drill_payload.is_good(good | {"by_part": {"cloud": 3, "device": 2, "broker": 0}})
