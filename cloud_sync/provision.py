"""`provision STATION`: who may speak to the broker -> certificates, Mosquitto's files, and a folder for the device.

Each call first writes into the book (issued.json) and then makes the broker's files from it, so one that was cut off is
mended by the next. The private key of the authority is asked for only when something is signed.
"""

import argparse
import os
import shutil
import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID

from cloud_sync import authority, broker_rules, issued, station_folder
from cloud_sync.alone import alone
from cloud_sync.authority import Authority
from cloud_sync.issued import Certificate, Issued
from edge_agent.errors import ConfigError, StoreError

RENEWED_BEFORE = timedelta(days=60)
"""Certificates of broker and cloud are made anew by any call within so long before their end."""
BROKER, CLOUD, STATIONS, OFFLINE = "broker", "cloud", "stations", "offline"
SERVER = "tankwatch-broker"
"""Name in the broker's certificate; what clients check are its hosts."""
DEFAULT_OUT = Path("/etc/tankwatch/provision")
DEFAULT_ROOT = Path("/var/lib/tankwatch-cloud/updates/metadata/1.root.json")
"""As `cloud updates init` leaves it on an installed cloud."""


class Desk(msgspec.Struct, frozen=True):
    """One authority's folder: offline/ca.key, broker/, cloud/, stations/, issued.json."""

    folder: Path
    key: Path

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.crt"

    def open(self) -> Authority:
        return authority.open_authority(self.key, self.certificate)


def provision(argv: list[str]) -> int:
    """The command."""
    options = _parser().parse_args(argv)
    # Two at once would each write its own book, and a certificate that is in neither can never be revoked.
    words = f"another 'tankwatch provision' works in {options.out}: wait until it has ended"
    try:
        _open_folder(options.out)
        with alone(options.out / "provision.lock", words):
            return _provision(options)
    except OSError as error:
        raise StoreError(
            f"{options.out} cannot be written ({error}): run this as root, or name another --out"
        ) from error


def _provision(options: argparse.Namespace) -> int:
    desk = Desk(options.out.absolute(), (options.ca_key or options.out / OFFLINE / "ca.key").absolute())
    now = datetime.now(UTC)
    if options.revoke and options.station:
        raise ConfigError(
            f"--revoke {options.revoke} stands alone: give {options.station} a certificate in another call"
        )
    if options.revoke:
        _revoke(desk, options.revoke, options.site, now)
        return 0
    begin(desk, options.site, tuple(options.broker), now, cloud_bind=options.cloud_bind)
    is_new = renew_own(desk, now)
    if options.station:
        archive = give(desk, options.station, now, site=options.site, root=options.updates_root or _root_here())
        _say(f"{archive} is for the device; its README.txt says what to do with it")
    write_broker_files(desk, now)
    _say(f"broker: {desk.folder / BROKER / 'tankwatch.conf'}; cloud: {desk.folder / CLOUD / 'cloud-lines.toml'}")
    if is_new:
        _say("the cloud's certificate is a new one: systemctl restart mosquitto, then the cloud's services (tankwatch-")
        _say("cloud-ingest and the others): until both are done it gets nothing, and every device keeps what it has")
    _say(f"the authority's key is {desk.key}: keep it (and a copy) off this machine between two calls")
    _say_reload(desk)
    return 0


def begin(
    desk: Desk, site: str | None, hosts: tuple[str, ...], now: datetime, *, cloud_bind: str | None = None
) -> Issued:
    """The book, begun where there is none; other hosts of the broker than before are taken over."""
    for host in hosts:
        issued.check_host(host)
    _open_folder(desk.folder)
    book = issued.read(desk.folder)
    if book is None:
        if site is None:
            raise ConfigError("the first call names the site: add --site, such as --site plant-1")
        book = Issued(site=site, hosts=hosts or (socket.getfqdn(),))
        issued.client_name(site, "A", book)
    elif hosts and hosts != book.hosts:
        book = msgspec.structs.replace(book, hosts=hosts).revoke(SERVER, now.timestamp())
    if cloud_bind is not None:
        book = msgspec.structs.replace(book, cloud_bind=cloud_bind)
    if not desk.certificate.exists():
        if book.certificates:
            raise ConfigError(f"{desk.certificate} is gone, and certificates made with it are in use: bring the backup")
        if desk.key.exists() and not desk.key.is_relative_to(desk.folder):
            raise ConfigError(
                f"{desk.key} is an authority's key already, and {desk.folder} holds none of its certificates: name its "
                "folder with --out, or another --ca-key for a new authority"
            )
        authority.begin(desk.key, desk.certificate, f"Tankwatch {book.site}", now)
    issued.write(desk.folder, book)
    return book


def give(desk: Desk, station: str, now: datetime, *, site: str | None = None, root: Path | None = None) -> Path:
    """A new certificate for the station, in its folder; an older one holds on. Gives the archive's path."""
    book = _book(desk)
    site = site or book.site
    name = issued.client_name(site, station, book)
    updates_root = _read_root(root)
    certificate, key, ends = _issue(desk, name, now, owner=(site, station))
    carried = station_folder.Carried(
        site=site,
        station=station,
        host=book.hosts[0],
        port=broker_rules.STATIONS_PORT,
        authority=desk.certificate.read_bytes(),
        certificate=certificate,
        key=key,
        ends=ends,
        updates_root=updates_root,
    )
    return station_folder.write(desk.folder / STATIONS / name, carried)


def renew_own(desk: Desk, now: datetime) -> bool:
    """Certificates of broker and cloud are there and hold for a while. Whether the cloud's is a new one."""
    book, is_new = _book(desk), False
    soon = (now + RENEWED_BEFORE).timestamp()
    for place in (BROKER, CLOUD):
        _open_folder(desk.folder / place)
    if not (book.holding(SERVER, soon) and (desk.folder / BROKER / "server.crt").exists()):
        certificate, key, _ = _issue(desk, SERVER, now, hosts=book.server_names)
        _put(desk, BROKER, "server", certificate, key)
    own, trusted = desk.folder / CLOUD / "cloud.crt", desk.folder / BROKER / broker_rules.CLOUD_AUTHORITY
    if not (book.holding(broker_rules.CLOUD, soon) and own.exists() and trusted.exists()):
        alone, certificate, key, made = authority.issue_alone(broker_rules.CLOUD, now)
        _note(desk, made, None)
        _put(desk, CLOUD, "cloud", certificate, key)
        # Last: while it is missing the next call does all of this again.
        authority.write_public(trusted, alone)
        is_new = True
    authority.write_public(desk.folder / CLOUD / "cloud-lines.toml", _cloud_lines(desk.folder / CLOUD, book).encode())
    return is_new


def revoke(desk: Desk, station: str, site: str | None, now: datetime) -> str:
    """No certificate of the station counts any more, in the book. Gives its name. Raises ConfigError."""
    book = _book(desk)
    name = issued.client_name(site or book.site, station, book)
    if book.owner(name) is None:
        known = ", ".join(sorted(one[0] for one in book.stations(now.timestamp()))) or "none"
        raise ConfigError(f"{name} has never had a certificate here; stations that have one: {known}")
    issued.write(desk.folder, book.revoke(name, now.timestamp()))
    shutil.rmtree(desk.folder / STATIONS / name, ignore_errors=True)
    (desk.folder / STATIONS / f"{name}.tar").unlink(missing_ok=True)
    return name


def write_broker_files(desk: Desk, now: datetime) -> None:
    """List of revoked ones, access list and configuration, as the book says."""
    book, folder = _book(desk), desk.folder / BROKER
    gone = [one for one in book.certificates if one.revoked_at is not None]
    # The list of who may what needs no key: who was revoked is out of it also while the authority's is in its safe.
    authority.write_private(folder / "acl", broker_rules.access_list(book.stations(now.timestamp())).encode())
    _give("mosquitto", folder / "acl")
    authority.write_public(folder / "crl.pem", desk.open().revoked(gone, now))
    configuration = broker_rules.configuration(str(folder), cloud_bind=book.cloud_bind)
    authority.write_public(folder / "tankwatch.conf", configuration.encode())
    _give("mosquitto", folder / "server.key")
    _give("tankwatch-cloud", desk.folder / CLOUD / "cloud.key")


def _issue(
    desk: Desk, name: str, now: datetime, *, hosts: tuple[str, ...] = (), owner: tuple[str, str] | None = None
) -> tuple[bytes, bytes, str]:
    """(certificate, key, its last day); it is in the book before anybody has it, so that it can be revoked."""
    certificate, key, made = desk.open().issue(name, now, hosts=hosts)
    _note(desk, made, owner)
    return certificate, key, f"{made.not_valid_after_utc:%Y-%m-%d}"


def _note(desk: Desk, made: x509.Certificate, owner: tuple[str, str] | None) -> None:
    """Into the book."""
    site, station = owner or (None, None)
    name = str(made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    entry = Certificate(name, f"{made.serial_number:x}", made.not_valid_after_utc.timestamp(), site, station)
    issued.write(desk.folder, _book(desk).add(entry))


def _put(desk: Desk, place: str, stem: str, certificate: bytes, key: bytes) -> None:
    folder = desk.folder / place
    authority.write_private(folder / f"{stem}.key", key)
    authority.write_public(folder / f"{stem}.crt", certificate)
    authority.write_public(folder / "ca.crt", desk.certificate.read_bytes())


def _open_folder(folder: Path) -> None:
    """Broker and cloud, which are users of their own, find their files in it."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)


def _book(desk: Desk) -> Issued:
    book = issued.read(desk.folder)
    if book is None:
        raise ConfigError(f"{desk.folder} holds no book of certificates: name the right folder with --out")
    return book


def _revoke(desk: Desk, station: str, site: str | None, now: datetime) -> None:
    name = revoke(desk, station, site, now)
    write_broker_files(desk, now)
    _say(f"{name} is revoked: no certificate of it counts any more. Now:")
    _say("1. systemctl reload mosquitto: nobody comes in with it, and what it may write or read is nothing")
    _say("2. systemctl restart mosquitto: a connection that stands is cut; the others come back by themselves")
    _say("3. take its token from the updates ('cloud token'), and its orders from the desk; look at its last cases")
    _say(f"4. a device in its place gets a certificate of its own: tankwatch provision {station}")
    _say_reload(desk)


def _say_reload(desk: Desk) -> None:
    conf = desk.folder / BROKER / "tankwatch.conf"
    _say(f"Mosquitto reads {conf} where /etc/mosquitto/conf.d/tankwatch.conf is a link to it; then: reload mosquitto")


def _give(user: str, *paths: Path) -> None:
    """Who reads these files has a user of his own; Mosquitto reads them after it has become it."""
    if os.geteuid() != 0:
        return
    try:
        for path in paths:
            shutil.chown(path, user=user, group=user)
    except LookupError:
        _say(f"there is no user {user} here: where it runs, it has to be able to read {', '.join(map(str, paths))}")


def _cloud_lines(folder: Path, book: Issued) -> str:
    return f"""# Into cloud.toml; the files have to be readable by the user tankwatch-cloud alone.
[broker]
host = "{book.cloud_host}"
port = {broker_rules.CLOUD_PORT}
ca = "{folder}/ca.crt"
cert = "{folder}/cloud.crt"
key = "{folder}/cloud.key"
"""


def _root_here() -> Path | None:
    return DEFAULT_ROOT if DEFAULT_ROOT.exists() else None


def _read_root(path: Path | None) -> bytes | None:
    try:
        return None if path is None else path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): name the repository's root.json") from error


def _say(words: str) -> None:
    print(words, file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("tankwatch provision", description="Certificates and the broker's files.")
    parser.add_argument("station", nargs="?", help="its id; without one broker and cloud alone are looked after")
    parser.add_argument("--site", help="the station's site; the first call's holds where none is named")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, metavar="DIR", help=f"default {DEFAULT_OUT}")
    parser.add_argument("--revoke", metavar="STATION", help="its certificates count no longer: stolen, lost, retired")
    words = "name or address of the broker, the one that stations dial first; may be given again"
    parser.add_argument("--broker", action="append", default=[], metavar="HOST", help=words)
    parser.add_argument("--ca-key", type=Path, metavar="FILE", help="the authority's key, default DIR/offline/ca.key")
    parser.add_argument("--cloud-bind", metavar="ADDRESS", help="the cloud's listener, default 127.0.0.1")
    parser.add_argument(
        "--updates-root", type=Path, metavar="FILE", help="root.json of the signed repository; default: this cloud's"
    )
    return parser
