"""A lock file -> its bill of materials (CycloneDX 1.5, JSON): what is installed, by which hash, with which licence.

Standard library alone, like `package`, which puts it beside the package. The same checkout gives the same bytes.
"""

import hashlib
import json
import re
import tomllib
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_agent.errors import ConfigError

SETS = ("edge", "demo", "docs", "test", "torch", "train")
LICENCES = "licences.toml"
WITHOUT_HASHES = ("torch",)
"""By version alone: no index of hashes holds the CPU build (docs/decisions/0002-torch-lock.md)."""
NAMESPACE = uuid.UUID("8d4ac1c2-0f0e-5f5b-9a43-5e1b0c7a7a11")
_ENTRY = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^ ;\\]+)\s*(?:;\s*([^\\]+))?")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})\b")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a lock file. `marker`: where it holds; empty = everywhere."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Licences:
    """By package: SPDX expressions, and names where the package says no more."""

    spdx: Mapping[str, str]
    named: Mapping[str, str]

    def of(self, name: str) -> dict | None:
        """As CycloneDX says it; None where none is known."""
        if name in self.spdx:
            return {"expression": self.spdx[name]}
        return {"license": {"name": self.named[name]}} if name in self.named else None


def sbom(tree: Path, of: str) -> bytes:
    """The bill of one set. Raises ConfigError where an entry lacks hash or licence."""
    if wrong := faults(tree, (of,)):
        raise ConfigError("; ".join(wrong))
    known = licences(tree)
    components = [_component(entry, known) for entry in entries(tree, of)] + list(_models(tree))
    about = {"type": "application", "bom-ref": f"tankwatch-{of}", "name": f"tankwatch-{of}", "version": _version(tree)}
    root = about["bom-ref"]
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": about},
        "components": components,
        "dependencies": [{"ref": root, "dependsOn": [one["bom-ref"] for one in components]}],
        # Which package asks for which is not in a lock file.
        "compositions": [{"aggregate": "incomplete", "dependencies": [root]}],
    }
    number = uuid.uuid5(NAMESPACE, json.dumps(bill, sort_keys=True))
    return json.dumps({"serialNumber": f"urn:uuid:{number}", **bill}, indent=1).encode() + b"\n"


def faults(tree: Path, sets: tuple[str, ...] = SETS) -> list[str]:
    """What keeps a bill from being made, a line each."""
    known, found = licences(tree), []
    for of in sets:
        held = entries(tree, of)
        found += [] if held else [f"locks/{of}.txt names no package"]
        for entry in held:
            if not entry.hashes and entry.name not in WITHOUT_HASHES:
                found.append(f"locks/{of}.txt: {entry.name} {entry.version} has no hash: run locks/renew")
            if known.of(entry.name) is None:
                found.append(f"locks/{of}.txt: {entry.name} has no licence: add it to locks/{LICENCES}")
    return list(dict.fromkeys(found))


def entries(tree: Path, of: str) -> list[Entry]:
    """Of a lock file, in its order. Raises ConfigError for a line that is none."""
    path = tree / "locks" / f"{of}.txt"
    text = re.sub(r"\\\n", " ", path.read_text(encoding="utf-8"))
    found = []
    for line in (line.strip() for line in text.splitlines()):
        if not line or line.startswith("#"):
            continue
        match = _ENTRY.match(line)
        if match is None:
            raise ConfigError(f"{path}: {line[:60]!r} is no name with its version: run locks/renew")
        name, version, marker = match.groups()
        marker = (marker or "").split("--hash")[0].strip()
        found.append(Entry(name, version, marker, tuple(sorted(_HASH.findall(line)))))
    return found


def licences(tree: Path) -> Licences:
    """What locks/licences.toml says. Raises ConfigError."""
    path = tree / "locks" / LICENCES
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
        return Licences(said["spdx"], said["named"])
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        raise ConfigError(f"{path} cannot be used ({error}): it needs the tables [spdx] and [named]") from error


def _component(entry: Entry, known: Licences) -> dict:
    reference = f"pkg:pypi/{entry.name}@{entry.version}"
    where = {"type": "distribution", "url": f"https://pypi.org/simple/{entry.name}/"}
    if entry.hashes:
        where |= {"hashes": [{"alg": "SHA-256", "content": one} for one in entry.hashes]}  # type: ignore[dict-item]
    marker = [{"name": "tankwatch:marker", "value": entry.marker}] if entry.marker else []
    return {
        "type": "library",
        "bom-ref": reference + (f"#{hashlib.sha256(entry.marker.encode()).hexdigest()[:8]}" if entry.marker else ""),
        "name": entry.name,
        "version": entry.version,
        "licenses": [known.of(entry.name)],
        "purl": reference,
        "externalReferences": [where],
        **({"properties": marker} if marker else {}),
    }


def _models(tree: Path) -> Iterator[dict]:
    """Nets that come along."""
    for path in sorted((tree / "models" / "shipped").glob("*.bundle")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        yield {
            "type": "machine-learning-model",
            "bom-ref": f"bundle-{digest[:16]}",
            "name": path.name,
            "hashes": [{"alg": "SHA-256", "content": digest}],
        }


def _version(tree: Path) -> str:
    match = re.search(r"^version = (\S+)$", (tree / "setup.cfg").read_text(encoding="utf-8"), re.MULTILINE)
    if match is None:
        raise ConfigError(f"{tree / 'setup.cfg'} names no version")
    return match[1]
