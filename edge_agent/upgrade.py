"""`upgrade`: a newer checkout -> a release beside the one that runs, tried, made current, watched; or taken back.

Cut off before the switch the old release runs on; cut off after it the same command goes on with the watch. The last
two releases are kept.
"""

import argparse
import json
import time

from edge_agent import install_record as record
from edge_agent import install_release as releases
from edge_agent import install_steps as steps
from edge_agent.errors import ConfigError, StoreError, TankwatchError
from edge_agent.install import TREE, add_machine, add_source, alone, host_of
from edge_agent.install_host import CommandFailed, Host, environment_file
from edge_agent.install_parts import CONFIG, RELEASES, WITH_TRAINING, Part
from edge_agent.install_record import Installed, Trial
from edge_agent.install_steps import Step

WATCHED_S = 60
"""Longer than a slow start and several restarts of a process that cannot live."""
LOOK_S = 2.0


def upgrade(argv: list[str]) -> int:
    """`sudo ./tankwatch upgrade` in the newer checkout."""
    parser = argparse.ArgumentParser("tankwatch upgrade", description="Changes the installed parts to this release.")
    words = f"how long the new release is watched before the old one is given up, default {WATCHED_S}"
    parser.add_argument("--watch", type=float, default=WATCHED_S, metavar="SECONDS", help=words)
    add_machine(parser)
    add_source(parser)
    options = parser.parse_args(argv)
    host = host_of(options)
    with alone(host):
        return _upgrade(host, options)


def _upgrade(host: Host, options: argparse.Namespace) -> int:
    installed, old, new = record.read(host), releases.current(host), releases.called(host, TREE)
    if not installed.parts or old is None:
        raise ConfigError("nothing is installed here: 'install edge' or 'install cloud' comes first")
    trial = installed.trial
    if trial is not None and trial.release == old and old == new:
        host.say(f"an upgrade from {trial.before} was cut off after the switch: it goes on")
    elif old == new:
        if trial is not None:
            steps.carry_out(host, _given_up(host, installed, trial, old))
        host.say(f"{new} is what runs here already")
        return 0
    else:
        trial = _prepare(host, installed, old, new, options)
    if host.dry_run:
        steps.carry_out(host, _switching(host, installed, new))
        return 0
    return _switch_and_watch(host, installed.replace(trial=trial), options.watch)


def _prepare(host: Host, installed: Installed, old: str, new: str, options: argparse.Namespace) -> Trial:
    """All that can fail without harm, beside the release that runs."""
    database: dict[str, str | None] = {}
    watched = _services(host, installed) if host.runs_systemd and not host.dry_run else []
    first = {name: state(host, name) for name in watched}
    ready = [Step(f"release {new} beside {old}", lambda: releases.put(host, TREE))]
    if not options.without_packages:
        packages = installed.packages
        words = f"its packages: {packages}"
        ready.append(Step(words, lambda: releases.fit_out(host, new, packages, options.wheels)))
    for part in installed.here:
        ready.append(Step(f"it is tried: {part.name}", lambda p=part: database.update(check(host, p, new))))  # type: ignore[misc]
    try:
        steps.carry_out(host, ready)
    except StoreError as error:
        raise StoreError(f"{new} cannot run here, {old} runs on: {error}") from error
    # One that is started again and again is active at times; making the packages takes longer than its pauses.
    ill = [name for name in watched if first[name] != state(host, name) or first[name][0] != "active"]
    unproven = installed.trial
    if unproven is not None and unproven.release == old:
        # It was cut off while it was watched: what is gone back to is the one before it, with that one's tables.
        return Trial(new, unproven.before, unproven.database, tuple(ill))
    return Trial(new, old, database.get("database"), tuple(ill))


def check(host: Host, part: Part, release: str) -> dict[str, str | None]:
    """The release tries itself as the part's user; gives what it says. Raises CommandFailed."""
    if not host.has_python() or not (host.path(RELEASES) / release / ".venv").exists():
        host.say(f"{release} has no packages yet, so it cannot be tried")
        return {}
    said = ask(host, part, release, "check")
    return json.loads(said.strip().splitlines()[-1]) if said.strip() else {}


def ask(host: Host, part: Part, release: str, *words: str) -> str:
    """`release PART WORDS` of that release, as the part's user and with its secrets."""
    place = f"{RELEASES}/{release}"
    command = [f"{place}/.venv/bin/python", f"{place}/tankwatch.py", "release", part.name, *words]
    secrets = environment_file(host.path(f"{CONFIG}/cloud.env")) if part.name == "cloud" else {}
    return host.run([*command, "--config", part.config_path], user=part.user, env=secrets)


def _switching(host: Host, installed: Installed, release: str) -> list[Step]:
    """Processes that run go on in the release that they were started from until systemd starts them anew."""
    trains = installed.packages == WITH_TRAINING
    begun = [Step(f"{release} is current", lambda: releases.switch(host, release))]
    for part in installed.here:
        begun += steps.starting(host, part, release, trains=trains)
    return begun


def _given_up(host: Host, installed: Installed, trial: Trial, release: str) -> list[Step]:
    """An upgrade that was cut off before the switch, or on its way back: what runs is whole, and nothing on trial."""
    return [
        Step(f"an upgrade to {trial.release} was cut off, and {release} goes on", lambda: None),
        *_switching(host, installed, release),
        Step("nothing is on trial", lambda: record.write(host, installed.replace(trial=None))),
    ]


def _switch_and_watch(host: Host, installed: Installed, watch_s: float) -> int:
    trial = installed.trial
    assert trial is not None
    record.write(host, installed)
    fault = ""
    try:
        steps.carry_out(host, _switching(host, installed, trial.release))
        fault = watch(host, installed, watch_s)
    except StoreError as error:
        fault = str(error)
    if fault:
        return _return(host, installed, fault)
    releases.keep(host, {trial.release, trial.before})
    record.write(host, installed.replace(previous=trial.before, trial=None))
    host.say(f"{trial.release} runs; {trial.before} is kept beside it")
    return 0


def watch(host: Host, installed: Installed, watch_s: float) -> str:
    """What is wrong with the release that runs, in words; empty where it is well at the end of the time."""
    if not host.runs_systemd:
        host.say("nothing runs here that could be watched")
        return ""
    ill = installed.trial.ill if installed.trial else ()
    services = [name for name in _services(host, installed) if name not in ill]
    least = {name: state(host, name)[1] for name in services}
    until = time.monotonic() + watch_s
    while time.monotonic() < until:
        time.sleep(min(LOOK_S, watch_s))
        for name in services:
            now, restarts = state(host, name)
            # systemd begins to count anew some time after a restart: an old, high count must hide no new one.
            least[name] = min(least[name], restarts)
            if now == "failed" or restarts > least[name]:
                return f"{name} does not stay up ({now}, started again {restarts - least[name]} times)"
    idle = [name for name in services if state(host, name)[0] != "active"]
    return f"{', '.join(idle)} did not come up in {watch_s:.0f} s" if idle else _not_alive(host, installed)


def state(host: Host, unit: str) -> tuple[str, int]:
    """(ActiveState, NRestarts)."""
    said = host.systemctl("show", "--property=ActiveState,NRestarts", unit)
    found = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    return found.get("ActiveState", ""), int(found.get("NRestarts") or 0)


def _not_alive(host: Host, installed: Installed) -> str:
    for part in installed.here:
        try:
            ask(host, part, releases.current(host) or "", "alive")
        except CommandFailed as error:
            return str(error)
    return ""


def _return(host: Host, installed: Installed, fault: str) -> int:
    """The old release runs again; the cloud's tables go back first, by the program that knows both."""
    trial = installed.trial
    assert trial is not None
    host.say(f"{trial.release} fails: {fault}: back to {trial.before}; 'journalctl -u \"tankwatch-*\"' says more")
    host.systemctl("stop", *_services(host, installed))
    try:
        if trial.database is not None:
            cloud = next(part for part in installed.here if part.name == "cloud")
            ask(host, cloud, trial.release, "back", trial.database)
        steps.carry_out(host, _switching(host, installed, trial.before))
    except TankwatchError:
        # Better a release that is unwell than none at all: the edge may be on this machine, too.
        host.systemctl("start", *_services(host, installed))
        raise
    record.write(host, installed.replace(trial=None))
    raise StoreError(f"{trial.release} did not work here, {trial.before} runs again: {fault}")


def _services(host: Host, installed: Installed) -> list[str]:
    trains, release = installed.packages == WITH_TRAINING, releases.current(host) or ""
    found = [name for part in installed.here for name in steps.enabled(host, part, release, trains=trains)]
    return [name for name in found if name.endswith(".service")]
