"""Messages and topics of `wire` -> docs/asyncapi.yaml: `python -m edge_agent.asyncapi` writes it, a test compares."""

import sys
from pathlib import Path

import yaml

from edge_agent import wire
from edge_agent.wire import MESSAGES, ROOT, Topics

PATH = Path(__file__).parent.parent / "docs" / "asyncapi.yaml"
_TOPICS = Topics("{site}", "{station}")
_CHANNELS: dict[str, tuple[str, str, bool, str]] = {
    "status": (_TOPICS.status, "device", True, "Whether the device is there and what it runs; also its last will."),
    "case": (_TOPICS.case, "device", False, "One case. `sequence` has no gaps, `case_id` is unique for ever."),
    "clip_manifest": (_TOPICS.clip_manifest("{sha256}"), "device", False, "Announces a clip before its parts."),
    "clip_part": (
        _TOPICS.clip_manifest("{sha256}").replace("manifest", "{part}"),
        "device",
        False,
        "Part n of a clip, from 0, binary.",
    ),
    "metrics": (_TOPICS.metrics, "device", False, "Every 10 s."),
    "alarm": (_TOPICS.alarm("{id}"), "device", True, "Retained while active; an empty payload ends it."),
    "disposition": (_TOPICS.disposition, "device", False, "A copy of the device's word to the line."),
    "receipt": (_TOPICS.receipt, "cloud", False, "What the cloud's store holds now."),
    "desired": (_TOPICS.desired, "cloud", True, "What the cloud wants of the device."),
    "command": (_TOPICS.command("{id}"), "cloud", False, "A one-off order."),
    "reply": (_TOPICS.reply("{id}"), "device", False, "The answer to an order."),
}


def document() -> dict:
    """The AsyncAPI 3.0 document, seen from the device: it sends and receives."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tankwatch",
            "version": ROOT.rsplit("/", 1)[1],
            "description": (
                "MQTT 3.1.1 or 5, QoS 1, UTF-8 JSON unless said otherwise. Every message has `schema`; fields that are "
                "not listed here may be added at any time. A case counts as delivered when a receipt names its id and "
                "the SHA-256 of its payload. Generated from the records: do not edit."
            ),
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(name) for name in _CHANNELS},
        "operations": {name: _operation(name) for name in _CHANNELS},
        "components": {
            "messages": {name: _message(name) for name in _CHANNELS},
            "schemas": dict(sorted(wire.schemas().items())),
        },
    }


def text() -> str:
    """The document as YAML."""
    return yaml.safe_dump(document(), sort_keys=False, allow_unicode=True, width=120)


def _channel(name: str) -> dict:
    topic, _, retained, words = _CHANNELS[name]
    parameters = [level.strip("{}") for level in topic.split("/") if level.startswith("{")]
    return {
        "address": topic,
        "description": words,
        "parameters": {parameter: {} for parameter in parameters},
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "x-retained": retained,
    }


def _operation(name: str) -> dict:
    action = "send" if _CHANNELS[name][1] == "device" else "receive"
    return {"action": action, "channel": {"$ref": f"#/channels/{name}"}, "bindings": {"mqtt": {"qos": 1}}}


def _message(name: str) -> dict:
    if name not in MESSAGES:
        return {"contentType": "application/octet-stream", "payload": {"type": "string", "format": "binary"}}
    return {"payload": {"$ref": f"#/components/schemas/{MESSAGES[name].__name__}"}}


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
    print(f"{PATH} written", file=sys.stderr)
