"""`cloud user`: accounts from the command line, where the first one has to come from."""

import argparse
import getpass
import os
import sys
from pathlib import Path

from sqlalchemy.engine import Engine

from cloud_sync import accounts, db, forgetting
from cloud_sync import config as cloud_config
from cloud_sync.accounts import Account, Act, Change
from cloud_sync.roles import ROLES
from edge_agent.errors import ConfigError

PASSWORD_VARIABLE = "TANKWATCH_PASSWORD"
KEPT = "The audit log, released datasets and signed orders keep the name: their hashes stand over it."


def user(argv: list[str]) -> int:
    """`tankwatch cloud user add|role|disable|enable|forget|list NAME --role ROLE --config cloud.toml`"""
    options = _parser().parse_args(argv)
    engine = db.open_database(cloud_config.load(options.config))
    if options.action == "list":
        for found in accounts.all_users(engine):
            print(f"{found.name}\t{found.role}{_state(found)}")
        return 0
    if options.action == "add":
        accounts.add_user(engine, options.name, _password_from_person(), options.role or "expert", now=db.now())
        print(f"user {options.name} may sign in as {options.role or 'expert'}", file=sys.stderr)
        return 0
    if options.action == "forget":
        with engine.begin() as connection:
            pseudonym = forgetting.forget(connection, options.name, Act(at=db.now()))
        print(f"the user is {pseudonym} from now on, also in what was judged. {KEPT}", file=sys.stderr)
        return 0
    _change(engine, options.name, _wanted(options.action, options.role))
    print(f"user {options.name}: {options.action}; sessions that were open have ended", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tankwatch cloud user", description=__doc__.splitlines()[0])
    words = "'add' also sets a new password or role"
    parser.add_argument("action", choices=["add", "role", "disable", "enable", "forget", "list"], help=words)
    parser.add_argument("name", nargs="?", default="")
    parser.add_argument("--role", choices=ROLES, help="default of 'add': expert")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="cloud.toml")
    return parser


def _wanted(action: str, role: str | None) -> Change:
    if action != "role":
        return Change(disabled=action == "disable")
    if role is None:
        raise ConfigError("no role was named: add --role and one of " + ", ".join(ROLES))
    return Change(role=role)  # type: ignore[arg-type]  # argparse lets only roles through


def _change(engine: Engine, name: str, wanted: Change) -> None:
    with engine.begin() as connection:
        accounts.change(connection, name, wanted, Act(at=db.now()))


def _state(found: Account) -> str:
    return "\tdisabled" if found.disabled_at is not None else ""


def _password_from_person() -> str:
    """From the environment, or asked for twice."""
    if password := os.environ.get(PASSWORD_VARIABLE):
        return password
    try:
        first, second = getpass.getpass("password: "), getpass.getpass("again: ")
    except (EOFError, OSError) as error:
        raise ConfigError(f"there is nobody to ask for a password: set {PASSWORD_VARIABLE}") from error
    if first != second:
        raise ConfigError("the two passwords differ: try again")
    return first
