"""A checkout -> a release in /opt/tankwatch/releases, named by version and content; which one is current.

A release is copied beside its place and then named, so half a one is never taken for a whole one. `current` is a link
that is replaced in one step. Only what `current` names runs.
"""

import configparser
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from edge_agent import durable
from edge_agent.errors import ConfigError
from edge_agent.install_host import PYTHON, Host
from edge_agent.install_parts import CURRENT, HOME, RELEASES

TREE = ("edge_agent", "cloud_sync", "models", "calibration", "benchmarks", "locks", "systemd", "docs",
        "tankwatch", "tankwatch.py", "setup.cfg", "pyproject.toml", "README.md", "CHANGELOG.md")  # fmt: skip
"""What runs and what explains it; not the tests."""
COPYING, GOING = ".copying-", ".going-"
WHEELS = f"{HOME}/.wheels"
LINKED = "linked"


def files(tree: Path) -> Iterator[Path]:
    """The files of a release in a checkout, relative to it, in order."""
    for name in TREE:
        top = tree / name
        found = [top] if top.is_file() else sorted(top.rglob("*"))
        yield from (path.relative_to(tree) for path in found if path.is_file() and _kept(path.relative_to(tree)))


def name(tree: Path) -> str:
    """`<version>-<hash of all files>`: the same content is the same release."""
    digest = hashlib.sha256()
    for path in files(tree):
        data = (tree / path).read_bytes()
        digest.update(f"{path}\0{os.access(tree / path, os.X_OK)}\0{len(data)}\0".encode() + data)
    return f"{version(tree)}-{digest.hexdigest()[:12]}"


def version(tree: Path) -> str:
    """As setup.cfg says. Raises ConfigError where the folder is no checkout."""
    setup = configparser.ConfigParser()
    if not setup.read(tree / "setup.cfg") or not setup.has_option("metadata", "version"):
        raise ConfigError(f"{tree} is no Tankwatch checkout: it has no setup.cfg with a version")
    return setup["metadata"]["version"]


def called(host: Host, tree: Path) -> str:
    """The name that a checkout has as a release there; a release keeps its own."""
    return tree.name if tree.parent == host.path(RELEASES) else name(tree)


def put(host: Host, tree: Path, *, link: bool = False) -> str:
    """The release is in its place, without its packages; gives its name. Twice is once."""
    releases = host.path(RELEASES)
    releases.mkdir(parents=True, exist_ok=True)
    clear(host)
    if tree.parent == releases:
        return tree.name
    if link:
        _replace_link(releases / LINKED, str(tree))
        return LINKED
    wanted = name(tree)
    if not (releases / wanted).is_dir():
        copy(tree, releases / f"{COPYING}{wanted}")
        os.sync()
        durable.move(releases / f"{COPYING}{wanted}", releases / wanted)
    return wanted


def copy(tree: Path, target: Path) -> None:
    """The files of a checkout into a new folder; readable by all, writable by their owner alone."""
    target.mkdir(mode=0o755)
    for path in files(tree):
        there = target / path
        there.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        shutil.copyfile(tree / path, there)
        there.chmod(0o755 if os.access(tree / path, os.X_OK) else 0o644)


def fit_out(host: Host, release: str, packages: str, wheels: Path | None) -> None:
    """Its own .venv with its packages, and its modules compiled, for nothing that runs may write there."""
    place = f"{RELEASES}/{release}"
    if not host.has_python():
        host.say(f"there is no python3 in {host.root}: run '{place}/tankwatch prepare {packages}' there once")
        return
    host.run([PYTHON, f"{place}/tankwatch", "prepare", packages], env=_offline(host, wheels))
    host.run([f"{place}/.venv/bin/python", "-m", "compileall", "-q", "-x", r"/\.venv/", place])
    shutil.rmtree(host.path(WHEELS), ignore_errors=True)


def current(host: Host) -> str | None:
    """Name of the release that runs; None where none does."""
    link = host.path(CURRENT)
    return Path(os.readlink(link)).name if link.is_symlink() else None


def switch(host: Host, release: str) -> None:
    """`current` names that release, in one step."""
    if current(host) != release:
        _replace_link(host.path(CURRENT), f"releases/{release}")


def present(host: Host) -> list[str]:
    """Releases on the disk."""
    releases = host.path(RELEASES)
    return sorted(path.name for path in releases.iterdir() if path.name[0] != ".") if releases.is_dir() else []


def keep(host: Host, names: set[str]) -> None:
    """Every other release goes."""
    for one in set(present(host)) - names:
        path = host.path(RELEASES) / one
        if path.is_symlink():
            path.unlink()
        else:
            path.rename(path.with_name(f"{GOING}{one}"))
    clear(host)


def clear(host: Host) -> None:
    """What an interruption has left of a release that came or went."""
    for prefix in (COPYING, GOING):
        for path in host.path(RELEASES).glob(f"{prefix}*"):
            shutil.rmtree(path)


def _kept(path: Path) -> bool:
    return path.suffix != ".pyc" and not any(part == "__pycache__" or part.startswith(".") for part in path.parts)


def _replace_link(link: Path, target: str) -> None:
    fresh = link.with_name(f"{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    durable.move(fresh, link)


def _offline(host: Host, wheels: Path | None) -> dict[str, str]:
    """pip's environment for a folder of wheels; another root gets a copy of it for as long."""
    if wheels is None:
        return {}
    if not host.is_here:
        shutil.copytree(wheels, host.path(WHEELS), dirs_exist_ok=True)
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels.absolute()) if host.is_here else WHEELS}
