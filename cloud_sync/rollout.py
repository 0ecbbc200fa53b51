"""`cloud rollout`: the process that takes rollouts on, and the commands by which a person begins, halts and undoes one.

One loop: a turn (`rollout_turn`), a rest. It may be killed at any moment and run twice at once: what is wished follows
from what the database holds, and whoever is too late leaves it be.
"""

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from cloud_sync import config as cloud_config
from cloud_sync import db, desire, policy_file, registry, rollouts
from cloud_sync.registry import Known
from cloud_sync.rollout_plan import Plan
from cloud_sync.rollout_records import Place
from cloud_sync.rollout_turn import Turn
from cloud_sync.rollouts import Kept
from edge_agent.errors import ConfigError

log = logging.getLogger(__name__)
EVERY_S = 5.0
"""Devices report every 10 s; nobody waits for the second half of a minute."""
TRY_AGAIN = (sa.exc.OperationalError, sa.exc.InterfaceError)
WHO = "command line"


def rollout(argv: list[str]) -> int:
    """`tankwatch cloud rollout --config cloud.toml`, or `cloud rollout begin|halt|resume|back|abort|list …`"""
    if argv and argv[0] in (*COMMANDS, *rollouts.VERBS):
        return _command(argv)
    parser = argparse.ArgumentParser(
        prog="tankwatch cloud rollout",
        description=__doc__.splitlines()[0],
        epilog=f"commands: {', '.join((*COMMANDS, *rollouts.VERBS))}; each says more with --help",
    )
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="cloud.toml")
    parser.add_argument("--once", action="store_true", help="one turn, and end")
    options = parser.parse_args(argv)
    config = cloud_config.load(options.config)
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    policy, _ = policy_file.load(config)
    engine, stop = db.open_database(config), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    turn = Turn(config, engine, policy)
    if options.once:
        turn(db.now())
    else:
        run(turn, stop)
    engine.dispose()
    return 0


def run(turn: Callable[[float], None], stop: threading.Event) -> None:
    """One turn after another until `stop` is set; a database that is away is waited for."""
    while not stop.is_set():
        try:
            turn(db.now())
        except TRY_AGAIN as error:
            log.error("the database is not to be had now: %s: trying again", error)
        stop.wait(EVERY_S)


def _command(argv: list[str]) -> int:
    action, rest = argv[0], argv[1:]
    options = _parser(action).parse_args(rest)
    config = cloud_config.load(options.config)
    engine = db.open_database(config)
    try:
        if action in rollouts.VERBS:
            _act(engine, action, options)
        elif action == "begin":
            _begin(engine, policy_file.load(config)[0].rollout, options)
        else:
            _list(engine, as_json=options.json)
    finally:
        engine.dispose()
    return 0


def _parser(action: str) -> argparse.ArgumentParser:
    words = COMMANDS.get(action) or VERB_WORDS[action]
    parser = argparse.ArgumentParser(prog=f"tankwatch cloud rollout {action}", description=words)
    if action == "begin":
        parser.add_argument("bundle", help="hash of a bundle of the registry, or its beginning")
        parser.add_argument(
            "--place", action="append", default=[], metavar="SITE/STATION", help="default: all that it is made for"
        )
    if action in rollouts.VERBS:
        parser.add_argument("number", type=int, help="of the rollout, as 'list' shows it")
    if action == "list":
        parser.add_argument("--json", action="store_true", help="one JSON object a rollout")
    else:
        parser.add_argument("--reason", required=True, help="stands in the audit log")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="cloud.toml")
    return parser


COMMANDS = {"begin": "Begins a rollout of a bundle.", "list": "Lists the rollouts, the latest first."}
VERB_WORDS = {
    "halt": "No further device is asked; those that have the bundle keep it.",
    "resume": "Goes on; the step's soak begins anew.",
    "back": "Every device that was asked gets its former bundle back; also after the end.",
    "abort": "As back, without waiting for the devices: their places are free for the next rollout at once.",
}


def _begin(engine: Engine, plan: Plan, options: argparse.Namespace) -> None:
    with engine.begin() as connection:
        db.take_turns(connection, ["rollouts"])
        known = named(connection, options.bundle)
        named_places = [_place(connection, text) for text in options.place]
        places = named_places or rollouts.places_for(connection, known)
        about = {"plan": plan, "who": WHO, "reason": options.reason, "now": db.now()}
        number = rollouts.begin(connection, known.sha256, places, **about)
    print(f"rollout {number} of bundle {known.version} to {len(places)} devices: 'cloud rollout' takes it on")


def named(connection: sa.Connection, beginning: str) -> Known:
    """The bundle whose hash begins so. Raises ConfigError where it is none, or several."""
    found = [known for known in registry.all_bundles(connection) if beginning and known.sha256.startswith(beginning)]
    if len(found) != 1:
        count = "several bundles begin" if found else "no bundle begins"
        raise ConfigError(
            f"{count} with {beginning[:64]!r}: the page Rollouts and 'cloud rollout list' show the hashes"
        )
    return found[0]


def _act(engine: Engine, action: str, options: argparse.Namespace) -> None:
    with engine.begin() as connection:
        kept = rollouts.act(connection, options.number, action, who=WHO, reason=options.reason, now=db.now())
    print(f"rollout {kept.id} is {kept.rollout.state.replace('_', ' ')}")


def _list(engine: Engine, *, as_json: bool) -> None:
    with engine.connect() as connection:
        found = rollouts.everyone(connection)
    for kept in found:
        print(msgspec.json.encode(_row(kept)).decode() if as_json else "\t".join(map(str, _row(kept).values())))


def _row(kept: Kept) -> dict[str, object]:
    going = kept.rollout
    taken = sum(seat.taken_at is not None for seat in going.seats)
    return {
        "rollout": kept.id,
        "bundle": going.bundle.version,
        "sha256": going.bundle.sha256,
        "state": going.state,
        "step": going.step + 1,
        "steps": len(going.sizes),
        "updated": taken,
        "devices": len(going.seats),
        "reason": kept.reason,
    }


def _place(connection: sa.Connection, text: str) -> Place:
    site, _, station = text.partition("/")
    if (site, station) not in desire.known_places(connection):
        raise ConfigError(
            f"no station {text[:80]!r} has ever been heard of: write SITE/STATION as the page Stations does"
        )
    return site, station


if __name__ == "__main__":
    sys.exit(rollout(sys.argv[1:]))
