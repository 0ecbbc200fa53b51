"""`cloud audit`: verifies the chain of the audit log and what was published of it, and publishes its end.

A published end is a row in the database, a line in a file beside it and a retained message at the broker: whoever
shortens the log would have to change all three, and every copy that somebody has kept.
"""

import argparse
import ssl
import sys
from pathlib import Path
from typing import Any, Literal

import msgspec
import paho.mqtt.publish as mqtt_publish
from paho.mqtt import MQTTException

from cloud_sync import audit_log, db
from cloud_sync import config as cloud_config
from cloud_sync.audit_chain import Checked, Head
from cloud_sync.config import BrokerConfig, CloudConfig
from edge_agent.wire import ROOT

TOPIC = f"{ROOT}/cloud/audit/head"
"""No station can have it: their ids have no small letters."""
CLIENT_ID = "tankwatch-audit"


class AuditHead(msgspec.Struct, frozen=True, kw_only=True):
    """Retained at the broker: how far the audit log had come, and its hash."""

    schema: Literal["tankwatch/audit-head/1"] = "tankwatch/audit-head/1"
    at: float
    """UTC, seconds since 1970."""
    last_id: int
    hash: str


def audit(argv: list[str]) -> int:
    """`tankwatch cloud audit verify|publish --config cloud.toml [--heads FILE] [--json]`"""
    options = _parser().parse_args(argv)
    config = cloud_config.load(options.config)
    kept = options.heads or config.folder / audit_log.HEADS_FILE
    if options.action == "publish":
        return _publish(config, kept, as_json=options.json)
    if not (there := kept.is_file()):
        print(f"there is no {kept}: what was published there cannot be compared", file=sys.stderr)
    checked = audit_log.verified(db.open_database(config), kept if options.heads or there else None)
    return _tell(checked, as_json=options.json)


def broadcast(broker: BrokerConfig, head: Head) -> str | None:
    """Leaves the head at the broker; what hindered it, for a person, or None."""
    payload = msgspec.json.encode(AuditHead(at=head.at, last_id=head.last_id, hash=head.hash))
    try:
        mqtt_publish.single(TOPIC, payload, qos=1, retain=True, client_id=CLIENT_ID, **_connection(broker))
    except (OSError, ssl.SSLError, MQTTException, ValueError) as error:
        return f"broker {broker.host}:{broker.port} did not take it ({error}): the file and the database hold it"
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tankwatch cloud audit", description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["verify", "publish"], help="publish: once a day, by the systemd timer")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="cloud.toml")
    words = f"published heads, perhaps a copy kept elsewhere; default: {audit_log.HEADS_FILE} in data_dir"
    parser.add_argument("--heads", type=Path, metavar="FILE", help=words)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    return parser


def _publish(config: CloudConfig, kept: Path, *, as_json: bool) -> int:
    head = audit_log.publish(db.open_database(config), kept, db.now())
    print(f"audit log published up to line {head.last_id}: {head.hash or 'empty'}", file=sys.stderr)
    if fault := broadcast(config.broker, head):
        print(fault, file=sys.stderr)
    if as_json:
        print(msgspec.json.encode(head).decode())
    return 0


def _tell(checked: Checked, *, as_json: bool) -> int:
    if as_json:
        print(msgspec.json.encode(checked).decode())
    if checked.fault:
        print(f"audit log broken: {checked.fault.words}", file=sys.stderr)
        return 1
    heads = f"{checked.heads} published head{'' if checked.heads == 1 else 's'}"
    print(f"audit log holds: {checked.lines} lines, {heads}, end {checked.hash or 'empty'}", file=sys.stderr)
    return 0


def _connection(broker: BrokerConfig) -> dict[str, Any]:
    found: dict[str, Any] = {"hostname": broker.host, "port": broker.port}
    if broker.username is not None:
        found["auth"] = {"username": broker.username, "password": cloud_config.secret(broker.password_env)}
    if broker.ca is not None:
        found["tls"] = {"ca_certs": broker.ca, "certfile": broker.cert, "keyfile": broker.key}
    return found
