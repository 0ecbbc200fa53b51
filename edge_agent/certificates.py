"""A certificate's PEM -> when it expires; whether it is trusted is left to TLS.

The standard library reads a certificate's dates only from a live connection, so the few nested lengths before them
are walked here (RFC 5280, 4.1; DER: tag, length, value).
"""

import base64
import re
from datetime import UTC, datetime
from pathlib import Path

from edge_agent.errors import ConfigError
from edge_agent.finding import Finding

_UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x17, 0x18, 0xA0
_PEM = re.compile(r"-----BEGIN (CERTIFICATE|X509 CRL)-----(.+?)-----END \1-----", re.DOTALL)
WARNING_DAYS = 30


def expires_at(pem: str, name: str) -> datetime:
    """When the first certificate or list of revoked ones in `pem` ends, UTC. Raises ConfigError naming `name`."""
    found = _PEM.search(pem)
    if found is None:
        raise ConfigError(f"{name} holds no certificate in PEM form: name a file that begins with -----BEGIN")
    try:
        der = base64.b64decode("".join(found[2].split()), validate=True)
        return _not_after(der) if found[1] == "CERTIFICATE" else _next_update(der)
    except (ValueError, IndexError) as error:
        raise ConfigError(f"the certificate in {name} is damaged ({error}): put a whole one there") from error


def finding(what: str, path: Path, now: datetime, cure: str) -> Finding:
    """How long a certificate or a list of revoked ones is still good."""
    try:
        ends = expires_at(path.read_text(errors="replace"), str(path))
    except ConfigError as error:
        return Finding(what, "fault", str(error))
    except OSError as error:
        return Finding(what, "fault", f"{path} cannot be read ({error.strerror})", "look at its rights")
    left = (ends - now).days
    if ends <= now:
        return Finding(what, "fault", f"{path} ended on {ends:%Y-%m-%d}", cure)
    words = f"{path} ends on {ends:%Y-%m-%d}, in {left} days"
    return Finding(what, "warning", words, cure) if left < WARNING_DAYS else Finding(what, "ok", words)


def _not_after(der: bytes) -> datetime:
    """Certificate = (tbs = ([0] version, serial, algorithm, issuer, validity = (not before, not after), ...), ...)."""
    tbs = _fields(_fields(_fields(der)[0][1])[0][1])
    unversioned = tbs[1:] if tbs[0][0] == _VERSION else tbs
    return _time(*_fields(unversioned[3][1])[1])


def _next_update(der: bytes) -> datetime:
    """CertificateList = (tbs = (version, algorithm, issuer, this update, next update, ...), ...); 5.1 of the RFC."""
    return _time(*_fields(_fields(_fields(der)[0][1])[0][1])[4])


def _fields(der: bytes) -> list[tuple[int, bytes]]:
    """DER -> its elements one level down, as (tag, value)."""
    found, at = [], 0
    while at < len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:
            wide = length & 0x7F
            length, at = int.from_bytes(der[at : at + wide], "big"), at + wide
        if at + length > len(der):
            raise ValueError("a length points beyond its end")
        found.append((tag, der[at : at + length]))
        at += length
    return found


def _time(tag: int, value: bytes) -> datetime:
    """UTCTime has two digits of the year, and strptime's turn of the century (69) is not X.509's (50)."""
    text = value.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError(f"tag {tag:#x} where a time belongs")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
