"""issued.json <-> Issued: who has got which certificate, and which of them count no longer.

One line for each certificate that was ever given; a revoked one stays, for the list of revoked ones is made of them.
"""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import msgspec

from edge_agent import durable
from edge_agent.errors import ConfigError
from edge_agent.station import STATION_ID
from edge_agent.wire import SITE

FILE = "issued.json"
LOCAL = ("localhost", "127.0.0.1")
HOST = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,252}"
"""Names and addresses; a certificate holds no other signs, and so no scheme and no umlaut."""
LONGEST_NAME = 64
"""What a certificate's common name may hold."""


class Certificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One certificate; `site` and `station` are a station's alone. Times are UTC, seconds since 1970."""

    name: str
    """Common name: the broker's user, and a station's client id."""
    serial: str
    """Hexadecimal: it has up to 160 bits."""
    ends_at: float
    site: str | None = None
    station: str | None = None
    revoked_at: float | None = None


class Issued(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One authority's book."""

    site: Annotated[str, msgspec.Meta(pattern=SITE)]
    """Of stations for which no other is named."""
    hosts: tuple[str, ...]
    """Names and addresses under which stations reach the broker; they dial the first."""
    cloud_bind: str = "127.0.0.1"
    """Address of the listener for the cloud's processes."""
    certificates: tuple[Certificate, ...] = ()

    @property
    def cloud_host(self) -> str:
        """What the cloud's processes dial."""
        return "127.0.0.1" if self.cloud_bind in LOCAL else self.hosts[0]

    @property
    def server_names(self) -> tuple[str, ...]:
        """In the broker's certificate."""
        return tuple(dict.fromkeys((*self.hosts, *LOCAL)))

    def add(self, certificate: Certificate) -> "Issued":
        return msgspec.structs.replace(self, certificates=(*self.certificates, certificate))

    def revoke(self, name: str, now: float) -> "Issued":
        """All certificates of that name count no longer from now on."""
        gone = tuple(
            msgspec.structs.replace(one, revoked_at=now) if one.name == name and one.revoked_at is None else one
            for one in self.certificates
        )
        return msgspec.structs.replace(self, certificates=gone)

    def holding(self, name: str, now: float) -> tuple[Certificate, ...]:
        """Those of that name that count."""
        return tuple(one for one in self.certificates if one.name == name and _counts(one, now))

    def stations(self, now: float) -> tuple[tuple[str, str, str], ...]:
        """(name, site, station) of each station that may come in."""
        return tuple(
            sorted(
                {
                    (one.name, one.site, one.station)
                    for one in self.certificates
                    if one.site is not None and one.station is not None and _counts(one, now)
                }
            )
        )

    def owner(self, name: str) -> tuple[str | None, str | None] | None:
        """(site, station) that has had certificates of that name; None where nobody has."""
        return next(((one.site, one.station) for one in self.certificates if one.name == name), None)


def read(folder: Path) -> Issued | None:
    """The book in that folder; None where none was begun. Raises ConfigError."""
    path = folder / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Issued)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path} cannot be used ({error}): put the folder back from its backup") from error


def write(folder: Path, issued: Issued) -> None:
    """Survives a power cut. Raises StoreError."""
    durable.write(folder / FILE, msgspec.json.format(msgspec.json.encode(issued), indent=1) + b"\n")


def client_name(site: str, station: str, issued: Issued) -> str:
    """`<site>-<station>`, which is the device's client id as well. Raises ConfigError where it is another's already."""
    for value, pattern, what in ((site, SITE, "site"), (station, STATION_ID, "station")):
        # The whole of it: `$` alone lets a line's end through, into the broker's access list.
        if not re.fullmatch(pattern.strip("^$"), value):
            raise ConfigError(f"{what} {value!r} cannot be a name in topics: use what matches {pattern}")
    name = f"{site}-{station}"
    if len(name) > LONGEST_NAME:
        raise ConfigError(f"{name} has {len(name)} characters, a certificate's name {LONGEST_NAME}: shorten the site's")
    if issued.owner(name) not in (None, (site, station)):
        raise ConfigError(f"{name} is the name of station {issued.owner(name)} already: name the site otherwise")
    return name


def check_host(host: str) -> None:
    """Can stations dial it, and can a certificate hold it? Raises ConfigError."""
    if not re.fullmatch(HOST, host) or (":" in host and not _is_address(host)):
        raise ConfigError(f"{host!r} is no host name or address: name it without scheme and port, umlauts as xn--")


def _is_address(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


def _counts(certificate: Certificate, now: float) -> bool:
    return certificate.revoked_at is None and now < certificate.ends_at
