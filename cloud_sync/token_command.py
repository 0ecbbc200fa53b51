"""`cloud token`: makes, lists and revokes bearer tokens for /api/v1."""

import argparse
import sys
from pathlib import Path

from sqlalchemy.engine import Engine

from cloud_sync import config as cloud_config
from cloud_sync import db, tokens
from cloud_sync.accounts import Act
from cloud_sync.roles import ROLES


def token(argv: list[str]) -> int:
    """`tankwatch cloud token add|list|revoke NAME --role ROLE --days N --config cloud.toml`"""
    options = _parser().parse_args(argv)
    engine = db.open_database(cloud_config.load(options.config))
    if options.action == "list":
        return _list(engine)
    with engine.begin() as connection:
        if options.action == "revoke":
            tokens.revoke(connection, options.name, Act(at=db.now()))
            print(f"token {options.name} is revoked", file=sys.stderr)
            return 0
        secret = tokens.add(connection, options.name, options.role, options.days, act=Act(at=db.now()))
    print(f"token {options.name}, {options.role}, {options.days} days; it is shown this once:", file=sys.stderr)
    print(secret)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tankwatch cloud token", description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["add", "list", "revoke"])
    parser.add_argument("name", nargs="?", default="", help="whose or what for")
    parser.add_argument("--role", choices=ROLES, default="viewer", help="what it may do (default: viewer)")
    parser.add_argument("--days", type=int, default=tokens.DAYS, metavar="N", help=f"default: {tokens.DAYS}")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="cloud.toml")
    return parser


def _list(engine: Engine) -> int:
    with engine.connect() as connection:
        for found in tokens.all_tokens(connection):
            print(f"{found.name}\t{found.role}\t{found.state(db.now())}")
    return 0
