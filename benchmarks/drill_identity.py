"""`drill identity`: nobody speaks, hears or is receipted as another; a copied device is told of within a minute.

The real broker with the certificates, access list and configuration that `provision` makes. What may be is written
down in `identity_rights`; everything else has to be denied, and all that may be has to work.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import identity_clone, identity_doors, identity_speaking, identity_words
from benchmarks.exercise import Exercise, Ledger, Say
from benchmarks.identity_rights import WAYS
from benchmarks.identity_speaking import Matrix
from benchmarks.secured import SITE, Broker, make_desk
from cloud_sync import ingest
from cloud_sync.config import BrokerConfig
from edge_agent.wire import Topics

PAIR = ("A", "B")
GROUP = "ingest"
CLONES = {"disk": "DISK", "certificate": "CERT", "steady": "STEADY"}


@dataclass(frozen=True, slots=True)
class Plan:
    """How often the matrix is gone through; every pair takes turns at being the thief."""

    rounds: int
    seed: int


def plan(full: bool, seed: int) -> Plan:
    return Plan(rounds=10 if full else 1, seed=seed)


def drill(plan: Plan, folder: Path, say: Say) -> Ledger:
    """Runs it in `folder` and gives the ledger."""
    began_s = time.monotonic()
    desk = make_desk(folder / "desk", *PAIR, "STOLEN", *CLONES.values())
    with Broker(desk) as broker:
        matrix = matrix_of(broker, plan.rounds)
        say(f"{matrix.cells} cells of the matrix, let in {len(matrix.let_in)}, kept out {len(matrix.kept_out)}")
        said, dealt = identity_speaking.dealt(broker, _places(PAIR), GROUP, shared=_shared(broker))
        doors = identity_doors.tried(broker, folder, "A") | identity_doors.revoked(broker, folder, "STOLEN")
        say(f"{len(doors)} ways to come in: {_wrong(doors) or 'all as they should'}")
        taken = identity_words.taken(folder / "words", *_places(PAIR).values())
        clones = identity_clone.cloned(broker, folder / "clones", **CLONES)
        say(f"copies: {clones}")
    return {
        "drill": "identity",
        **make_ledger(matrix, doors),
        "in_anothers_name": taken,
        "shared_said": said,
        "shared_taken_away": said - dealt,
        **clones,
        "seconds": round(time.monotonic() - began_s, 1),
    }


def matrix_of(broker: Broker, rounds: int = 1) -> Matrix:
    """Each of the two is the thief in turn."""
    matrix = Matrix()
    for number in range(rounds):
        pair = PAIR if number % 2 == 0 else PAIR[::-1]
        for way in WAYS:
            identity_speaking.sitting(broker, _places(pair), way, matrix)
        identity_speaking.wills(broker, _places(pair), matrix)
    return matrix


def make_ledger(matrix: Matrix, doors: dict[str, tuple[bool, bool]]) -> Ledger:
    """What was tried, and what was wrongly let in or kept out, by name."""
    return {
        "cells": matrix.cells,
        "allowed": matrix.allowed,
        "denied": matrix.cells - matrix.allowed,
        "let_in": sorted(set(matrix.let_in)),
        "kept_out": sorted(set(matrix.kept_out)),
        "doors": len(doors),
        "doors_wrong": _wrong(doors),
    }


def is_good(found: Ledger) -> bool:
    """Nobody in who should not be, everybody who should, and every copy told of in time."""
    told = [found[name] for name in found if name.endswith(("_cloud_s", "_device_s"))]
    clean = not any(found[name] for name in ("let_in", "kept_out", "doors_wrong", "in_anothers_name", "false_alarms"))
    in_time = all(seconds is not None and seconds <= identity_clone.WITHIN_S for seconds in told)
    return clean and in_time and not found["shared_taken_away"] and found["allowed"] > 0


def _wrong(doors: dict[str, tuple[bool, bool]]) -> list[str]:
    return sorted(name for name, (should, did) in doors.items() if should != did)


def _places(names: tuple[str, ...]) -> dict[str, Topics]:
    return {name: Topics(SITE, name) for name in names}


def _shared(broker: Broker) -> str:
    """As which ingest listens to cases where cloud.toml says `share = "ingest"`."""
    access = BrokerConfig(share=GROUP, key=str(broker.cloud / "cloud.key"))
    return next(topic for topic in ingest.subscriptions(access) if topic.endswith("/case"))


run = Exercise("identity", "Stations in each other's name.", plan, drill, is_good).run
