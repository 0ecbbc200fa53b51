"""Who comes to the broker's two doors, and with what: certificates of every kind of wrong -> who was let in."""

import shutil
import socket
import ssl
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.secured import ANSWER_S, HOST, SITE, Broker, make_desk
from cloud_sync import authority, provision

CONNACK = b"\x20\x02"


@dataclass(frozen=True, slots=True)
class Door:
    """One try: its name, who comes through which port, and whether he should."""

    name: str
    context: ssl.SSLContext | None
    """None: without TLS."""
    port: int
    opens: bool
    client_id: str = "x"


def tried(broker: Broker, folder: Path, own: str) -> dict[str, tuple[bool, bool]]:
    """Name of each try -> (should it open, did it). `own`: the station whose certificate is tried and bent."""
    return {door.name: (door.opens, _opens(door)) for door in _doors(broker, folder, own)}


def revoked(broker: Broker, folder: Path, name: str) -> dict[str, tuple[bool, bool]]:
    """The same for a station that was stolen, before and after it got a new certificate. The broker is reloaded."""
    stolen, port = folder / f"stolen-{name}", broker.ports[0]
    shutil.copytree(broker.station(name), stolen)
    before = _opens(Door("", _context(broker, stolen), port, True))
    provision.revoke(broker.desk, name, None, datetime.now(UTC))
    provision.write_broker_files(broker.desk, datetime.now(UTC))
    broker.reload()
    shut = _soon(lambda: not _opens(Door("", _context(broker, stolen), port, False)))
    provision.give(broker.desk, name, datetime.now(UTC))
    after = _opens(Door("", _context(broker, broker.station(name)), port, True))
    return {
        "a station before it is revoked": (True, before),
        "a revoked certificate": (False, not shut),
        "the certificate that follows a revoked one": (True, after),
    }


def _doors(broker: Broker, folder: Path, own: str) -> list[Door]:
    stations, cloud = broker.ports
    station, nobody = _context(broker, broker.station(own)), _context(broker)
    server = _context(broker, broker.desk.folder / provision.BROKER, "server")
    foreign = make_desk(folder / "foreign", own)
    another = foreign.folder / provision.STATIONS / f"{SITE}-{own}"
    doors = [
        Door("a station at the stations' port", station, stations, True),
        Door("the cloud at the cloud's port", _context(broker, broker.cloud, "cloud"), cloud, True),
        Door("the cloud at the stations' port", _context(broker, broker.cloud, "cloud"), stations, False),
        Door("a station at the cloud's port", station, cloud, False),
        Door("a station at the cloud's port as ingest", station, cloud, False, "tankwatch-ingest"),
        Door("the broker's own certificate", server, stations, False),
        Door("a certificate that has ended", _bent(broker, folder, own, days=-3), stations, False),
        Door("a certificate that has not begun", _bent(broker, folder, own, days=3), stations, False),
        Door("TLS 1.1", _old(_context(broker, broker.station(own))), stations, False),
    ]
    for port, which in ((stations, "stations'"), (cloud, "cloud's")):
        doors += [
            Door(f"no certificate at the {which} port", nobody, port, False),
            Door(f"no TLS at the {which} port", None, port, False),
            Door(f"another authority's certificate at the {which} port", _context(broker, another), port, False),
        ]
    return doors


def _bent(broker: Broker, folder: Path, own: str, *, days: int) -> ssl.SSLContext:
    """A certificate of the right authority and name, for one day so many days from now."""
    name = f"{SITE}-{own}"
    place = folder / f"days{days}"
    place.mkdir()
    certificate, key, _ = broker.desk.open().issue(name, datetime.now(UTC) + timedelta(days=days), days=1)
    (place / "device.crt").write_bytes(certificate)
    authority.write_private(place / "device.key", key)
    return _context(broker, place)


def _context(broker: Broker, folder: Path | None = None, stem: str = "device") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(broker.desk.certificate))
    if folder is not None:
        context.load_cert_chain(folder / f"{stem}.crt", folder / f"{stem}.key")
    return context


def _old(context: ssl.SSLContext) -> ssl.SSLContext:
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def _opens(door: Door) -> bool:
    """Whether the broker speaks MQTT to whoever comes so."""
    name = door.client_id.encode()
    connect = b"\x10" + bytes([12 + len(name)]) + b"\x00\x04MQTT\x04\x02\x00\x3c" + len(name).to_bytes(2, "big") + name
    try:
        with socket.create_connection((HOST, door.port), ANSWER_S) as raw:
            if door.context is None:
                raw.sendall(connect)
                return raw.recv(4)[:2] == CONNACK
            with door.context.wrap_socket(raw, server_hostname=HOST) as tls:
                tls.sendall(connect)
                answer = tls.recv(4)
                return answer[:2] == CONNACK and answer[3] == 0
    except OSError:
        return False


def _soon(true: Callable[[], bool], tries: int = 200) -> bool:
    """A signal is heard when the broker comes round to it."""
    return any(true() for _ in range(tries))
