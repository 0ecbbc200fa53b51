"""What the signed repository calls things: one place for the cloud that writes it and the device that reads it."""

import re

from edge_agent.errors import ConfigError
from edge_agent.messages import SHA256
from edge_agent.station import STATION_ID
from edge_agent.wire import SITE

MODE, REFERENCES = "mode.json", "references.json"
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
PATHS = {"bundles": ["bundles/*"], "stations": ["stations/*/*/*"]}
"""What each delegated role may offer: who trains cannot raise a mode, and the other way round."""
SIGNED_AT = "x-tankwatch-signed-at"
"""Field of the timestamp, UTC, ISO 8601: a device whose clock is before it knows that its clock is wrong."""


def bundle_target(sha256: str) -> str:
    """Where a bundle is offered. Raises ConfigError for what is no hash."""
    if not re.fullmatch(SHA256, sha256) or len(sha256) != 64:
        raise ConfigError(f"{sha256[:80]!r} is no bundle's hash: give its 64 hexadecimal digits")
    return f"bundles/{sha256}.bundle"


def station_target(site: str, station: str, name: str) -> str:
    """Where a file for one station is offered: its mode, its references or a clip of these. Raises ConfigError."""
    fits = re.fullmatch(SITE, site) and re.fullmatch(STATION_ID, station) and re.fullmatch(NAME, name)
    if not fits or "\n" in site + station:
        raise ConfigError(f"{f'{site}/{station}/{name}'[:120]!r} cannot name a station's file: use its site and id")
    return f"stations/{site}/{station}/{name}"


def clip_name(sha256: str) -> str:
    """What a reference clip is called, in the repository and on the device."""
    return f"{sha256}.twclip"
