"""`cloud updates`: makes the signed repository, keeps it fresh, exchanges its keys; `bundle publish` adds to it."""

import argparse
import sys
from pathlib import Path

from cloud_sync import audit_log, db, registry, signing
from cloud_sync import config as cloud_config
from cloud_sync.config import CloudConfig
from cloud_sync.signed_state import EVERY, Books
from edge_agent.errors import ConfigError
from edge_agent.sound import verify

WHO = "command line"


def updates(argv: list[str]) -> int:
    """`tankwatch cloud updates init|refresh|rotate ROLE|show --config cloud.toml`; 1 where a person is needed."""
    options = _parser().parse_args(argv)
    config, now = cloud_config.load(options.config), db.now()
    if options.action == "init":
        made = signing.begin(config, now)
        root = config.updates_path / "metadata" / "1.root.json"
        print("the repository is there" if made else "the repository was there already", file=sys.stderr)
        print(f"each device gets {root} as [updates] root of its device.toml", file=sys.stderr)
        return 0
    if options.action == "rotate":
        if not options.role:
            raise ConfigError(f"rotate which role? Choose {', '.join(EVERY)}")
        signing.rotate(config, options.role, now)
        _note(config, "update_keys_exchanged", options.role)
        print(f"role {options.role} has new keys; the old ones count no longer", file=sys.stderr)
        return 0
    if options.action == "show":
        print("\n".join(lines(Books.load(config))))
        return 0
    worries = signing.refresh(config, now)
    for words in worries:
        print(words, file=sys.stderr)
    return 1 if worries else 0


def publish(argv: list[str]) -> int:
    """`tankwatch bundle publish FILE --config cloud.toml`"""
    parser = argparse.ArgumentParser("tankwatch bundle publish", description="Offers a bundle to devices, signed.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="cloud.toml")
    parser.add_argument("--scope", default=registry.GENERAL, help="general, site/SITE or station/SITE/STATION")
    parser.add_argument("--reason", default="published by hand", help="for the registry")
    options = parser.parse_args(argv)
    sha256 = offer(cloud_config.load(options.config), options.file, scope=options.scope, reason=options.reason)
    print(f"{options.file} is offered to devices as {sha256}", file=sys.stderr)
    return 0


def offer(config: CloudConfig, file: Path, *, scope: str, reason: str, who: str = WHO) -> str:
    """The bundle is known to the registry and a target of the repository; twice is once. Gives its hash.

    Raises ModelError where it does not judge its golden cases here as where it was made.
    """
    bundle = registry.keep(config, file)
    verify(bundle)
    now = db.now()
    signing.put_bundle(config, bundle.sha256, registry.path(config, bundle.sha256).read_bytes(), now)
    engine = db.open_database(config)
    try:
        with engine.begin() as connection:
            registry.add(connection, bundle, who=who, reason=reason, now=now, scope=scope)
    finally:
        engine.dispose()
    return bundle.sha256


def lines(books: Books) -> list[str]:
    """The repository for a person: each role, its version, its end and its keys; then what is offered."""
    shown = [f"{'role':10} {'version':>7}  {'ends':16}  keys"]
    for role in EVERY:
        signed = books.root.signed if role == "root" else books.parts[role].signed
        threshold, keyids = books.threshold(role)
        here = len(books.keys.signers(role).keys() & set(keyids))
        keys = f"{threshold} of {len(keyids)} sign, {here} here"
        shown.append(f"{role:10} {signed.version:7}  {signed.expires:%Y-%m-%d %H:%M}  {keys}")
    return shown + [f"{info.length:10}  {path}" for path, info in sorted(books.targets().items())]


def _note(config: CloudConfig, did: str, about: str) -> None:
    engine = db.open_database(config)
    with engine.begin() as connection:
        audit_log.take_turn(connection)
        audit_log.note(connection, who=WHO, did=did, about=about, now=db.now())
    engine.dispose()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tankwatch cloud updates", description=__doc__.splitlines()[0])
    words = "init: keys and an empty repository; refresh: sign again what ends soon (a timer does); rotate: new keys"
    parser.add_argument("action", choices=["init", "refresh", "rotate", "show"], help=words)
    parser.add_argument("role", nargs="?", default="", help="of rotate")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="cloud.toml")
    return parser
