"""Stations -> Mosquitto's configuration and access list. PURE.

A certificate's name is the user. A station writes below its own root and reads what the cloud tells it; the cloud reads
all and writes what it tells stations; nobody else comes in.
"""

from collections.abc import Iterable

from edge_agent import wire
from edge_agent.wire import Topics

CLOUD = "tankwatch-cloud"
"""The cloud's user: the name in its certificate."""
CLOUD_AUTHORITY = "cloud-ca.crt"
"""File with what signed the cloud's certificate, and nothing else."""
AUDIT_HEAD = f"{wire.ROOT}/cloud/audit/head"
STATIONS_PORT, CLOUD_PORT = 8883, 8884
QUEUED = 100_000
"""Mosquitto's own 1,000 is full in a minute of twenty stations, and what is dropped then nobody is told of."""
QUEUED_BYTES = 256 * 1024 * 1024
"""For one client that is away. Parts of clips, sent again and again over a weekend without ingest, would fill the
memory long before QUEUED is reached; what is dropped has no receipt, and comes again."""
INFLIGHT = 1000
AUTOSAVE_S = 60
"""Mosquitto's own half hour is lost with the power. What is lost all the same is sent again: it has no receipt."""
LARGEST_MESSAGE = 320 * 1024
"""A part of a clip and its topic fit in."""


def configuration(folder: str, *, cloud_bind: str, ports: tuple[int, int] = (STATIONS_PORT, CLOUD_PORT)) -> str:
    """Mosquitto's file; `folder` is where it finds the others. `ports`: the stations' and the cloud's."""
    tls = f"""certfile {folder}/server.crt
keyfile {folder}/server.key
tls_version tlsv1.2
# No certificate, no connection; its name is the user in the access list.
require_certificate true
use_identity_as_username true"""
    return f"""# Mosquitto for Tankwatch, made by `tankwatch provision`; changes here are lost with the next call.
allow_anonymous false
acl_file {folder}/acl

# Stations. (TLS 1.2 or later: the option below is a lower bound.)
listener {ports[0]}
cafile {folder}/ca.crt
# Who was revoked is refused. Read again at SIGHUP (systemctl reload mosquitto).
crlfile {folder}/crl.pem
{tls}
# The certificate's name is the client id as well: no station can throw another off by taking its id.
use_username_as_clientid true

# The cloud's processes share one certificate and have an id each, so this listener leaves ids alone; and so it lets in
# that certificate and no other: a station's would take the id of ingest here, and throw it off.
listener {ports[1]} {cloud_bind}
cafile {folder}/{CLOUD_AUTHORITY}
{tls}

persistence true
autosave_interval {AUTOSAVE_S}
max_inflight_messages {INFLIGHT}
max_queued_messages {QUEUED}
max_queued_bytes {QUEUED_BYTES}
message_size_limit {LARGEST_MESSAGE}
"""


def access_list(stations: Iterable[tuple[str, str, str]]) -> str:
    """(name, site, station) of each -> the access list."""
    blocks = [_block(CLOUD, _cloud_lines())]
    blocks += [_block(name, _station_lines(Topics(site, station))) for name, site, station in stations]
    return "# Made by `tankwatch provision`: who may read and write what; whoever is not named here may nothing.\n" + (
        "".join(blocks)
    )


def _cloud_lines() -> list[str]:
    told = Topics("+", "+")
    written = (told.receipt, told.desired, told.commands, AUDIT_HEAD)
    return [f"topic read {wire.ROOT}/#", *(f"topic write {topic}" for topic in written)]


def _station_lines(topics: Topics) -> list[str]:
    """`alarm/+` is read too: what a former run has left there, retained, the device takes back. And its own `status`,
    by which it finds out that another device has its name.
    """
    said = [
        one.replace(f"{wire.ROOT}/+/+/", f"{wire.ROOT}/{topics.site}/{topics.station}/", 1)
        for one in wire.device_filters()
    ]
    heard = (topics.receipt, topics.desired, topics.commands, topics.status, topics.alarm("+"))
    return [*(f"topic write {topic}" for topic in said), *(f"topic read {topic}" for topic in heard)]


def _block(user: str, lines: list[str]) -> str:
    return "\n".join(["", f"user {user}", *lines]) + "\n"
