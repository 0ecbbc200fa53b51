"""`agent pin`: sets the PIN that set-up, acknowledging and shelving on the panel ask for."""

import argparse
import getpass
import sys
from pathlib import Path

from edge_agent import config
from edge_agent.errors import ConfigError
from edge_agent.pin import Pin, fault


def pin(argv: list[str]) -> int:
    """`tankwatch agent pin --config device.toml`; sessions under the former PIN end."""
    parser = argparse.ArgumentParser("tankwatch agent pin", description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="device.toml")
    parser.add_argument("--stdin", action="store_true", help="one line of standard input is the PIN")
    options = parser.parse_args(argv)
    device = config.load(options.config)
    Pin(device.folder).set(_read() if options.stdin else _ask())
    print("the PIN is set: it holds at once, and waiting times are over", file=sys.stderr)
    return 0


def _read() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _ask() -> str:
    if not sys.stdin.isatty():
        raise ConfigError("there is nobody to ask for a PIN: give it with --stdin")
    try:
        first = getpass.getpass("new PIN (6 characters or more): ")
        refused = fault(first)
        if refused:
            raise ConfigError(refused)
        again = getpass.getpass("again: ")
    except EOFError as error:
        raise ConfigError("no PIN was given: try again") from error
    if first != again:
        raise ConfigError("the two PINs differ: try again")
    return first
