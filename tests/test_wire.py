import json
from contextlib import suppress

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.made_cases import make_case
from edge_agent import messages, wire
from edge_agent.errors import LinkError
from edge_agent.records import BundleRef, Case, ClipRef

HASH = "a" * 64
TOPICS = wire.Topics(site="plant-1", station="TANK1")


EXAMPLES = {
    "status": wire.Status(
        status="online",
        mode="shadow",
        bundle=BundleRef(1, HASH),
        software="0.1",
        since="2026-11-20T12:00:00Z",
    ),
    "case": make_case(3, clip=ClipRef(HASH, 1000)),
    "clip_manifest": wire.ClipManifest(sha256=HASH, bytes=300_000, parts=2, case_id="c-1"),
    "metrics": wire.Metrics(
        at="2026-11-20T12:00:00Z",
        boot_id="b1",
        software=messages.SoftwareMetrics(
            version="0.1",
            uptime_s=1.0,
            disk_free_mb=5.0,
            waiting_cases=0,
            waiting_clips=0,
        ),
    ),
    "alarm": wire.Alarm(
        id="camera",
        priority="high",
        text="camera lost",
        since="x",
        cause="y",
        consequence="z",
        action="w",
    ),
    "disposition": wire.Disposition(case_id="c-1", disposition="wait", expires_at="2026-11-20T12:00:00Z"),
    "receipt": wire.Receipt(cases=(("c-1", HASH),), clips=(HASH,), parts=((HASH, 3),)),
    "desired": wire.Desired(counter=3, mode="shadow"),
    "command": wire.Command(id="1", order="send_clip", case_id="c-1"),
    "reply": wire.Reply(id="1", done=True, text="sent"),
}


def test_every_message_comes_back_as_it_was_sent_and_fits_its_schema():
    components = {"components": {"schemas": wire.schemas()}}
    for kind, message in EXAMPLES.items():
        payload = wire.encode(message)
        assert wire.decode(payload, wire.MESSAGES[kind]) == message
        name = type(message).__name__
        jsonschema.validate(json.loads(payload), components | {"$ref": f"#/components/schemas/{name}"})
        assert next(iter(json.loads(payload))) == "schema"
    assert EXAMPLES.keys() == wire.MESSAGES.keys()


def test_unknown_fields_are_ignored_because_stations_lag_behind():
    payload = json.dumps(
        {
            "schema": "tankwatch/reply/1",
            "id": "1",
            "done": True,
            "text": "",
            "new": {"a": [1]},
        }
    ).encode()
    assert wire.decode(payload, wire.Reply) == wire.Reply(id="1", done=True, text="")


@pytest.mark.parametrize(
    ("payload", "word"),
    [
        (b"", "not a"),
        (b"\xff\xfe", "not a"),
        (b"[" * 100_000, "not a"),
        (b'{"id": "1", "done": true, "text": ""}', "schema"),
        (
            b'{"schema": "tankwatch/reply/9", "id": "1", "done": true, "text": ""}',
            "version",
        ),
        (
            b'{"schema": "tankwatch/reply/1", "id": "../x", "done": true, "text": ""}',
            "not a",
        ),
        (
            b'{"schema": "tankwatch/reply/1", "id": "1", "done": "yes", "text": ""}',
            "done",
        ),
        (b" " * (wire.MESSAGE_BYTES + 1), "limit"),
        # What is in a field that this version does not know is kept and shown with the rest.
        (b'{"schema": "tankwatch/reply/1", "id": "1", "done": true, "text": "", "new": "\xff"}', "utf-8"),
    ],
)
def test_bytes_that_are_no_message_are_refused_with_the_reason(payload, word):
    with pytest.raises(LinkError, match=word):
        wire.decode(payload, wire.Reply)


def test_a_reason_quotes_a_little_of_what_was_said_and_names_the_place():
    with pytest.raises(LinkError) as caught:
        wire.decode(msgspec.json.encode(make_case(verdict="v" * 50_000)), Case)
    assert len(str(caught.value)) < 300 and "Invalid enum value 'vvv" in str(caught.value)
    assert str(caught.value).endswith("at `$.verdict`")


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_link_error(payload):
    with suppress(LinkError):
        wire.decode(payload, Case)


@pytest.mark.parametrize(
    "changes",
    [
        {"case_id": "../../etc/passwd"},
        {"case_id": "a\n"},
        {"station": "tank one"},
        {"sequence": -1},
        {"bundle": BundleRef(1, "zz")},
        {"clip": ClipRef("../" + "a" * 61, 10)},
        {"clip": ClipRef(HASH, 0)},
        {"reason": "x" * wire.CASE_BYTES},
    ],
)
def test_a_case_with_a_hostile_name_or_size_is_refused(changes):
    with pytest.raises(LinkError):
        wire.decode(msgspec.json.encode(make_case(**changes)), Case)


def test_topics_are_built_and_taken_apart_again():
    expected = {
        TOPICS.status: ("status", None, None),
        TOPICS.case: ("case", None, None),
        TOPICS.metrics: ("metrics", None, None),
        TOPICS.disposition: ("disposition", None, None),
        TOPICS.receipt: ("receipt", None, None),
        TOPICS.desired: ("desired", None, None),
        TOPICS.clip_manifest(HASH): ("clip_manifest", HASH, None),
        TOPICS.clip_part(HASH, 12): ("clip_part", HASH, 12),
        TOPICS.alarm("camera"): ("alarm", "camera", None),
        TOPICS.command("7"): ("command", "7", None),
        TOPICS.reply("7"): ("reply", "7", None),
    }
    for topic, (kind, id, part) in expected.items():
        assert wire.parse_topic(topic) == wire.Topic("plant-1", "TANK1", kind, id, part)
    assert TOPICS.case == "tankwatch/v1/plant-1/TANK1/case"


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "tankwatch/v1",
        "tankwatch/v2/plant/TANK1/case",
        "tankwatch/v1/plant/TANK1",
        "tankwatch/v1/plant/TANK1/",
        "tankwatch/v1/plant/tank1/case",
        "tankwatch/v1/../TANK1/case",
        "tankwatch/v1/plant/TANK1\n/case",
        "tankwatch/v1/plant/TANK1/case/",
        "tankwatch/v1/plant/TANK1/clip/abc/0",
        f"tankwatch/v1/plant/TANK1/clip/{HASH}/-1",
        f"tankwatch/v1/plant/TANK1/clip/{HASH}/01",
        "tankwatch/v1/plant/TANK1/alarm/..",
        "tankwatch/v1/plant/TANK1/nonsense",
    ],
)
def test_foreign_topics_are_refused(topic):
    with pytest.raises(LinkError):
        wire.parse_topic(topic)
