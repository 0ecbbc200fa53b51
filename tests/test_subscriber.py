"""A plain subscriber on `tankwatch/v1/#` through a demo: every payload is what docs/asyncapi.yaml says."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import jsonschema
import paho.mqtt.client as mqtt
import pytest
import yaml
from in_full import in_full
from running_demo import ROOT, running_demo, until

from benchmarks import plant
from cloud_sync.broker import mosquitto
from edge_agent.errors import ConfigError

LARGEST_PART = 256 * 1024
ROOT_TOPIC = "tankwatch/v1/demo/TANK1"
CASES = 5
needs_mosquitto = pytest.mark.skipif(mosquitto() is None, reason="mosquitto is not installed")


@dataclass(frozen=True)
class Heard:
    topic: str
    payload: bytes
    retained: bool


@dataclass
class Subscriber:
    """What was heard, in order."""

    heard: list[Heard] = field(default_factory=list)
    subscribed: threading.Event = field(default_factory=threading.Event)

    def on(self, pattern: str) -> list[Heard]:
        return [one for one in self.heard if re.fullmatch(f"{ROOT_TOPIC}/{pattern}", one.topic)]


@contextmanager
def subscriber(facts: dict[str, str]) -> Iterator[Subscriber]:
    """Listens as the user `guest`."""
    listening = Subscriber()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
    client.username_pw_set("guest", facts["guest"])
    client.on_connect = lambda *_: client.subscribe("tankwatch/v1/#", qos=1)
    client.on_subscribe = lambda *_: listening.subscribed.set()
    client.on_message = lambda _client, _data, message: listening.heard.append(
        Heard(message.topic, message.payload, bool(message.retain))
    )
    client.connect("127.0.0.1", int(facts["mqtt"]))
    client.loop_start()
    try:
        assert listening.subscribed.wait(20), "the broker lets a guest listen"
        yield listening
    finally:
        client.disconnect()
        client.loop_stop()


@dataclass(frozen=True)
class Show:
    """A demo in which the camera moves in the second case, as two subscribers saw it.

    Its cases are played as fast as the machine can, the alarm waits for two seconds of the clock: so several follow.
    """

    summary: dict
    first: Subscriber
    late: Subscriber


@pytest.fixture(
    scope="module",
    params=[pytest.param("mosquitto", marks=needs_mosquitto), in_full("amqtt")],
)
def show(request) -> Show:
    arguments = ("--headless", "--json", "--cases", str(CASES), "--audit", "1", "--fault", "shift@10:12")
    with running_demo(*arguments, "--broker", request.param) as demo:
        facts = demo.facts()
        assert facts["broker"] == request.param
        with subscriber(facts) as first:
            assert until(lambda: first.on("alarm/framing") or demo.process.poll() is not None), demo.said
            assert demo.process.poll() is None, demo.said
            with subscriber(facts) as late:
                summary = demo.summary()
    return Show(summary, first, late)


def test_the_demo_holds_with_this_broker(show):
    assert (show.summary["cases"], show.summary["lost"], show.summary["duplicated"]) == (CASES, 0, 0)
    assert show.summary["queued"] == CASES and show.summary["verdicts"].get("not_tested") == CASES - 1


def test_every_payload_is_what_the_published_schema_says(show):
    document = yaml.safe_load((ROOT / "docs" / "asyncapi.yaml").read_text())
    seen = set()
    for one in show.first.heard + show.late.heard:
        name = _channel(document, one.topic)
        seen.add(name)
        if name != "clip_part" and not (name == "alarm" and one.payload == b""):
            _check(document, name, json.loads(one.payload))
        assert not one.retained or document["channels"][name]["x-retained"]
    assert {"status", "case", "clip_manifest", "clip_part", "alarm", "receipt"} <= seen


def test_a_clip_comes_as_parts_after_its_manifest(show):
    cases = {case["case_id"]: case for case in map(_said, show.first.on("case"))}
    manifests = [_said(one) for one in show.first.on("clip/[0-9a-f]{64}/manifest")]
    assert {manifest["case_id"] for manifest in manifests} == set(cases)
    topics = [one.topic for one in show.first.heard]
    for manifest in manifests:
        clip = f"{ROOT_TOPIC}/clip/{manifest['sha256']}"
        parts = {one.topic: one.payload for one in show.first.heard if re.fullmatch(rf"{clip}/\d+", one.topic)}
        assert set(parts) == {f"{clip}/{number}" for number in range(manifest["parts"])}
        assert max(map(len, parts.values())) <= LARGEST_PART
        assert sum(map(len, parts.values())) == manifest["bytes"]
        assert topics.index(f"{clip}/manifest") < min(map(topics.index, parts))
        assert cases[manifest["case_id"]]["clip"] == {"sha256": manifest["sha256"], "bytes": manifest["bytes"]}


def test_what_the_cloud_holds_is_receipted_by_hash(show):
    receipts = [_said(one) for one in show.first.on("receipt")]
    cases = {case["case_id"] for case in map(_said, show.first.on("case"))}
    assert cases <= {case_id for receipt in receipts for case_id, _ in receipt["cases"]}


def test_one_who_joins_late_sees_status_and_alarms(show):
    # amqtt marks as retained what it passes on live, too: the first of each is what it had kept.
    status = next(_said(one) for one in show.late.on("status") if one.retained)
    assert status["status"] == "online" and status["bundle"]["sha256"] and status["mode"] == "shadow"
    alarm = next(_said(one) for one in show.late.on("alarm/framing") if one.retained)
    assert (alarm["id"], alarm["priority"]) == ("framing", "high") and "camera" in alarm["action"]


def test_the_last_word_of_a_device_is_that_it_is_gone(show):
    assert _said(show.first.on("status")[-1])["status"] == "offline"


def test_without_mosquitto_a_demo_that_wants_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(plant, "mosquitto", lambda: None)
    with (
        pytest.raises(ConfigError, match="mosquitto is not installed: "),
        plant.Plant(plant.Plan(tmp_path, cases=1, broker="mosquitto")),
    ):
        raise AssertionError("it must not come up")


def _said(one: Heard) -> dict:
    return json.loads(one.payload)


def _channel(document: dict, topic: str) -> str:
    """The one channel whose address fits; a clip's manifest is no part of it."""
    fits = [
        name
        for name, channel in document["channels"].items()
        if re.fullmatch(re.sub(r"\\?\{part\\?\}", "[0-9]+", _pattern(channel["address"])), topic)
    ]
    assert len(fits) == 1, f"{topic} fits {fits}"
    return fits[0]


def _pattern(address: str) -> str:
    return re.sub(r"\{(?!part)\w+\}", "[^/]+", address)


def _check(document: dict, name: str, message: dict) -> None:
    reference = document["components"]["messages"][name]["payload"]["$ref"]
    schema = {"$ref": reference, "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(message)
