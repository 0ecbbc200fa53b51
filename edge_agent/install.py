"""`install PART` and `uninstall PART`: a checkout -> a machine whose services run, and back.

Every step may run twice, so an installation that was cut off is finished by the same command. Nothing that a person
has written is overwritten, and configuration and data go only where the word is given.
"""

import argparse
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from edge_agent import install_record as record
from edge_agent import install_release as releases
from edge_agent import install_steps as steps
from edge_agent.errors import ConfigError
from edge_agent.install_host import Host, require_root
from edge_agent.install_parts import CONFIG, PARTS, WITH_TRAINING, Part, widest
from edge_agent.install_record import Installed
from edge_agent.install_steps import Step

TREE = Path(__file__).resolve().parent.parent
WORD = "purge"


def install(argv: list[str]) -> int:
    """`tankwatch install edge|cloud`"""
    parser = _parser("install", "Puts a part on this machine; running it again mends what was cut off.")
    parser.add_argument("--link", action="store_true", help="run this checkout where it stands, for work on it")
    parser.add_argument("--train", action="store_true", help="cloud: with the packages for training, and its timer")
    add_source(parser)
    options = parser.parse_args(argv)
    host = host_of(options)
    part = PARTS[options.part]
    with alone(host):
        return _install(host, part, options)


def uninstall(argv: list[str]) -> int:
    """`tankwatch uninstall edge|cloud [--purge]`"""
    parser = _parser("uninstall", "Takes a part off this machine; configuration and data stay.")
    parser.add_argument("--purge", action="store_true", help="delete configuration and data too; asks for the word")
    options = parser.parse_args(argv)
    host, part = host_of(options), PARTS[options.part]
    with alone(host):
        is_last = not [one for one in record.read(host).parts if one != part.name]
        gone = steps.purged(host, part, alone=is_last) if options.purge else []
        if options.purge and not host.dry_run:
            _ask(host, gone)
        planned = steps.taking_off(host, part) + (steps.clearing(host) if is_last else [])
        steps.carry_out(host, planned + steps.purging(host, gone))
    if not options.purge:
        host.say(f"kept: {CONFIG} and {', '.join(one.path for one in part.folders[1:])}")
    return 0


def host_of(options: argparse.Namespace) -> Host:
    """The machine that the options name. Raises ConfigError for ordinary users."""
    host = Host(options.root, _say, dry_run=options.dry_run)
    require_root(host)
    if not host.root.is_dir():
        raise ConfigError(f"{host.root} is no folder: name the root of an image with --root")
    return host


def add_machine(parser: argparse.ArgumentParser) -> None:
    """Options that every command here has."""
    parser.add_argument("--root", type=Path, default=Path("/"), metavar="DIR", help="another root: an image, a chroot")
    parser.add_argument("--dry-run", action="store_true", help="only say the steps")


def alone(host: Host) -> AbstractContextManager[None]:
    """Nobody else installs meanwhile; who only says the steps disturbs nobody."""
    return nullcontext() if host.dry_run else record.alone(host)


def add_source(parser: argparse.ArgumentParser) -> None:
    """Where the release comes from."""
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="a folder of wheels: nothing is fetched")
    parser.add_argument("--without-packages", action="store_true", help="for an image: its .venv is made there later")


def _install(host: Host, part: Part, options: argparse.Namespace) -> int:
    installed = record.read(host)
    # The same call without --train mends what was cut off, and takes nothing away.
    wanted = widest([part.packages, installed.parts.get(part.name, part.packages)])
    wanted = widest([wanted, WITH_TRAINING]) if options.train else wanted
    told = installed.replace(parts={**installed.parts, part.name: wanted})
    new, running = releases.LINKED if options.link else releases.called(host, TREE), releases.current(host)
    if running and running != new and installed.parts:
        host.say(f"{running} runs here, and the part is added to it; 'upgrade' would change to {new}")
        new = running
    steps.carry_out(host, _planned(host, part, told, new, options))
    if not host.dry_run:
        host.say(f"{part.name} is installed; {part.config_path} is yours to fill in, docs/installation.md goes on")
    return 0


def _planned(host: Host, part: Part, told: Installed, new: str, options: argparse.Namespace) -> list[Step]:
    stands = releases.current(host) == new
    put = [] if stands else [Step(f"release {new}", lambda: releases.put(host, TREE, link=options.link))]
    packages = Step(
        f"its packages: {told.packages}", lambda: releases.fit_out(host, new, told.packages, options.wheels)
    )
    return [
        *put,
        *([] if options.without_packages else [packages]),
        *steps.setting_up(host, part, new),
        Step(f"{new} is current", lambda: releases.switch(host, new)),
        *steps.starting(host, part, new, trains=told.packages == WITH_TRAINING),
        Step("what is installed is written down", lambda: record.write(host, told)),
    ]


def _ask(host: Host, gone: list[str]) -> None:
    kinds = "cases, clips and backups" + (", certificates and the authority's key" if CONFIG in gone else "")
    words = f"This deletes {', '.join(gone)} below {host.root}: {kinds} too. Type '{WORD}': "
    print(words, end="", file=sys.stderr)
    sys.stderr.flush()
    if sys.stdin.readline().strip() != WORD:
        raise ConfigError(f"the word was not '{WORD}': nothing was done")


def _parser(command: str, words: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(f"tankwatch {command}", description=words)
    parser.add_argument("part", choices=sorted(PARTS))
    add_machine(parser)
    return parser


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
