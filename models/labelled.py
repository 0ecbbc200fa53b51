"""A manifest of labelled recordings -> Labelled, line by line; what cannot be used is refused by its line."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import msgspec

from edge_agent.errors import ConfigError

LABELS = ("leak", "ok", "not_testable")
REQUIRED, SMALLER = "leak_required", "smaller"
"""The key that tells whether a unit has a leak that its station has to find, and its word for one that has none."""
KNOWN: dict[str, tuple[object, ...]] = {"silent": (True, False), REQUIRED: ("required", SMALLER)}
"""Keys that change what is counted, and what may stand there: a word that is misspelt would change it in silence."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One line of a manifest.

    `source`: as `open_camera` takes it. `silent`: a leak that let go too few bubbles for anybody to see. `slices`: its
    further keys with words, `quantities`: those with numbers.
    """

    source: str
    name: str
    label: str
    profile: Path | None = None
    simulated: bool = False
    silent: bool = False
    leak_origins_px: tuple[tuple[float, float], ...] = ()
    """Where the unit's leaks truly are, camera pixels; empty where that is not known."""
    slices: dict[str, str] = field(default_factory=dict)
    quantities: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A file of labelled recordings. `sha256`: of its bytes."""

    path: Path
    sha256: str
    lines: list[Labelled]


def read_manifest(path: Path, simulated: Collection[str] = ()) -> Manifest:
    """`simulated`: beginnings of sources that are no files ("twin:"). Raises ConfigError naming the line at fault."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"manifest {path} cannot be read ({error.strerror}): give a file of JSON lines") from error
    numbered = [(number, line) for number, line in enumerate(data.splitlines(), start=1) if line.strip()]
    if not numbered:
        raise ConfigError(f"manifest {path} has no recordings: give one JSON object a line")
    lines = [_labelled(line, path, number, tuple(simulated)) for number, line in numbered]
    first: dict[str, int] = {}
    for (number, _), one in zip(numbered, lines, strict=True):
        if first.setdefault(one.source, number) != number:
            raise ConfigError(
                f"manifest {path} line {number} names the recording of line {first[one.source]} again, "
                "which would count twice: leave one out"
            )
    return Manifest(path, hashlib.sha256(data).hexdigest(), lines)


def _labelled(text: bytes, path: Path, number: int, simulated: tuple[str, ...]) -> Labelled:
    where = f"manifest {path} line {number}"
    entry = _object(text, where)
    video, label, profile = entry.pop("video", None), entry.pop("label", None), entry.pop("station", None)
    if not isinstance(video, str) or not video:
        raise ConfigError(f"{where} has no 'video': name a recording, relative to the manifest")
    if label not in LABELS:
        raise ConfigError(f"{where} has label {label!r}, {', '.join(LABELS)} are known: mend the line")
    for key, known in KNOWN.items():
        value = entry.get(key)
        if value is not None and (type(value), value) not in [(type(one), one) for one in known]:
            words = ", ".join(msgspec.json.encode(one).decode() for one in known)
            raise ConfigError(f"{where} has {key} {value!r}, {words} are known: mend the line")
    made_up = video.startswith(simulated)
    return Labelled(
        source=video if made_up else str(_existing(path.parent / video, where)),
        name=video,
        label=label,
        simulated=made_up,
        profile=None if profile is None else _existing(path.parent / str(profile), where),
        silent=label == "leak" and entry.get("silent") is True,
        leak_origins_px=_origins(entry),
        slices={key: str(value) for key, value in entry.items() if isinstance(value, str | bool)},
        quantities={key: float(value) for key, value in entry.items() if _is_quantity(key, value)},
    )


def _object(text: bytes, where: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{where} is no JSON object ({error}): write one object a line") from error


def _existing(path: Path, where: str) -> Path:
    try:
        return path.resolve(strict=True)
    except FileNotFoundError as error:
        raise ConfigError(f"{where}: {path} does not exist: paths are relative to the manifest") from error
    except (OSError, RuntimeError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{where}: {str(path)[:200]} cannot be reached ({why}): mend the path") from error


def _origins(entry: dict[str, Any]) -> tuple[tuple[float, float], ...]:
    """All leaks of a unit where the line names them, else the one."""
    named = entry.get("leak_origins_px")
    points = map(_point, named if isinstance(named, list) and named else [entry.get("leak_origin_px")])
    return tuple(point for point in points if point is not None)


def _point(value: object) -> tuple[float, float] | None:
    if not isinstance(value, list) or len(value) != 2 or not all(_is_number(one) for one in value):
        return None
    return float(value[0]), float(value[1])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _is_quantity(key: str, value: object) -> bool:
    # A seed is a name, though it is written as a number.
    return _is_number(value) and not key.endswith("seed")
