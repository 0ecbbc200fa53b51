"""A part and a release -> the steps that put it on a machine or take it off; each may run twice."""

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from edge_agent import durable
from edge_agent import install_record as record
from edge_agent import install_release as releases
from edge_agent.errors import StoreError
from edge_agent.install_host import Host
from edge_agent.install_parts import (
    COMMAND,
    CONFIG,
    CURRENT,
    HOME,
    JOURNAL,
    JOURNAL_SOURCE,
    PARTS,
    RELEASES,
    UNITS,
    Part,
)

OWN_UNITS = Path(__file__).resolve().parent.parent / "systemd"
"""Of the program that runs: what an installation has put there is known also where its releases are gone."""


class Step(NamedTuple):
    """One thing to do, in words and in deed."""

    words: str
    do: Callable[[], object]


def carry_out(host: Host, steps: Iterable[Step]) -> None:
    """Says and does each; with `dry_run` only says it. Raises StoreError: disk full, read-only, a command failed."""
    for step in steps:
        host.say(step.words)
        if host.dry_run:
            continue
        try:
            step.do()
        except OSError as error:
            cure = "make room or mend the rights there, then run the same command again"
            raise StoreError(f"'{step.words}' is not done ({error}): {cure}") from error


def setting_up(host: Host, part: Part, release: str) -> list[Step]:
    """User, folders, configuration and units of a part; what people have changed stays."""
    steps = [Step(f"user {part.user}", lambda: host.make_user(part.user, part.folders[1].path))]
    steps += [Step(f"folder {one.path}", lambda one=one: _folder(host, one)) for one in part.folders]  # type: ignore[misc]
    steps.append(Step(f"{part.config_path}, where there is none", lambda: _template(host, part, release)))
    steps += [Step(f"link {where}", lambda a=where, b=to: _link(host, a, b)) for where, to in part.links]  # type: ignore[misc]
    steps.append(Step(f"{JOURNAL}, where there is none", lambda: _journal(host, release)))
    steps.append(Step(f"link {COMMAND}", lambda: _link(host, COMMAND, f"{CURRENT}/tankwatch")))
    return steps


def starting(host: Host, part: Part, release: str, *, trains: bool) -> list[Step]:
    """Its units are in place, start at boot and are started anew."""
    return [
        Step(f"units of the part {part.name} in {UNITS}", lambda: write_units(host, part, release)),
        Step("units start at boot", lambda: host.enable(enabled(host, part, release, trains=trains))),
        Step("units are started", lambda: restart(host, enabled(host, part, release, trains=trains))),
    ]


def taking_off(host: Host, part: Part) -> list[Step]:
    """Its units stop and go; configuration and data stay, and so does the user to whom they belong."""
    return [
        Step(f"units of the part {part.name} are stopped and taken away", lambda: _remove_units(host, part)),
        Step("what is left is written down", lambda: _forget(host, part)),
    ]


def clearing(host: Host) -> list[Step]:
    """The programs go, with the last part."""
    return [
        Step(f"link {COMMAND} is taken away", lambda: _unlink(host, COMMAND, f"{CURRENT}/tankwatch")),
        Step(f"{HOME} is taken away", lambda: shutil.rmtree(host.path(HOME), ignore_errors=True)),
    ]


def purging(host: Host, paths: list[str]) -> list[Step]:
    """Configuration and data go for good."""
    return [Step(f"{path} is deleted", lambda path=path: _delete(host, path)) for path in paths]  # type: ignore[misc]


def purged(host: Host, part: Part, *, alone: bool) -> list[str]:
    """What goes with a part: all of /etc/tankwatch with the last one, before that no file that the other may need.

    One that was taken off and not purged has left its configuration there, and perhaps the authority's key.
    """
    data = [one.path for one in part.folders if one.path != CONFIG]
    left = any(host.path(one.config_path).exists() for one in PARTS.values() if one != part)
    if alone and not left:
        return [*data, CONFIG, JOURNAL]
    return [*data, part.config_path, *(where for where, _ in part.links)]


def write_units(host: Host, part: Part, release: str) -> None:
    """As the release has them; units that it has no more go."""
    folder, wanted = host.path(UNITS), units(host, part, release)
    folder.mkdir(parents=True, exist_ok=True)
    for name in set(_ours(host, part)) - set(wanted):
        host.enable([name], on=False)
        (folder / name).unlink()
    for name in wanted:
        durable.write(folder / name, (host.path(RELEASES) / release / "systemd" / name).read_bytes())
        (folder / name).chmod(0o644)


def units(host: Host, part: Part, release: str) -> list[str]:
    """Names of the part's units in a release."""
    folder = host.path(RELEASES) / release / "systemd"
    return sorted(path.name for path in folder.iterdir() if part.owns(path.name))


def enabled(host: Host, part: Part, release: str, *, trains: bool) -> list[str]:
    """Those that start at boot."""
    return part.enabled(units(host, part, release), trains=trains)


def restart(host: Host, names: list[str]) -> None:
    """In one order to systemd, which carries it out also when we are cut off; a slow start is not waited for."""
    host.systemctl("daemon-reload")
    host.systemctl("restart", "--no-block", *names)


def _folder(host: Host, wanted) -> None:
    path = host.path(wanted.path)
    path.mkdir(parents=True, exist_ok=True)
    host.give(path, wanted.mode, wanted.owner)


def _template(host: Host, part: Part, release: str) -> None:
    path = host.path(part.config_path)
    if not path.exists():
        # Its rights come before its name: what is there stays as it is.
        fresh = path.with_name(f"{path.name}.new")
        durable.write(fresh, (host.path(RELEASES) / release / "systemd" / part.config).read_bytes())
        host.group_file(fresh, part.user)
        durable.move(fresh, path)


def _journal(host: Host, release: str) -> None:
    path = host.path(JOURNAL)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.write(path, (host.path(RELEASES) / release / "systemd" / JOURNAL_SOURCE).read_bytes())
        host.systemctl("restart", "systemd-journald")


def _link(host: Host, where: str, target: str) -> None:
    path = host.path(where)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() and not path.is_symlink():
        path.symlink_to(target)


def _unlink(host: Host, where: str, target: str) -> None:
    """What somebody else has put there stays."""
    path = host.path(where)
    if path.is_symlink() and os.readlink(path) == target:
        path.unlink()


def _ours(host: Host, part: Part) -> list[str]:
    """The part's units in place that some release has; a plant's own, such as tankwatch-kiosk.service, is none."""
    places = [OWN_UNITS, *(host.path(RELEASES) / one / "systemd" for one in releases.present(host))]
    known = {path.name for place in places if place.is_dir() for path in place.iterdir() if part.owns(path.name)}
    return sorted(name for name in known if (host.path(UNITS) / name).exists())


def _remove_units(host: Host, part: Part) -> None:
    folder, names = host.path(UNITS), _ours(host, part)
    if not names:
        return
    host.systemctl("stop", *names)
    host.enable(names, on=False)
    for name in names:
        (folder / name).unlink()
    host.systemctl("daemon-reload")


def _forget(host: Host, part: Part) -> None:
    installed = record.read(host)
    record.write(host, installed.replace(parts={name: s for name, s in installed.parts.items() if name != part.name}))


def _delete(host: Host, name: str) -> None:
    """A link goes, and not what it leads to. Raises OSError where something stays, but for a disk mounted there."""
    path = host.path(name)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, onerror=_kept)
        return
    if path.is_symlink():
        host.say(f"{name} is a link: what lies in {os.readlink(path)} stays")
    path.unlink(missing_ok=True)


def _kept(_what: object, path: str, caught: tuple) -> None:
    if not os.path.ismount(path):
        raise caught[1]
