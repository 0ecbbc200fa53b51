"""`drill update`: seeded attacks on the way of a bundle to a device, over real HTTP against a real signed repository.

Every attack has to be refused for the right reason, with the old bundle in its place; honest updates before and after
have to go through.
"""

import argparse
import json
import logging
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from benchmarks import update_attacks, update_lab
from benchmarks.update_attacks import CLASSES, Attack
from benchmarks.update_lab import Lab, Server
from cloud_sync import db, signing
from edge_agent import slots, update_report
from edge_agent.bundle import LARGEST_FILE, open_bundle
from edge_agent.config import DeviceConfig
from edge_agent.offered import bundle_target
from edge_agent.repository import Refused, Repository
from edge_agent.update import Update

EACH, EACH_FULL = 20, 60
"""Attacks of each class."""


@dataclass
class Found:
    """What became of the attacks."""

    let_in: list[str] = field(default_factory=list)
    wrong_reason: list[str] = field(default_factory=list)
    not_recovered: list[str] = field(default_factory=list)
    reasons: Counter = field(default_factory=Counter)
    honest: int = 0
    honest_refused: int = 0


def run(argv: list[str]) -> int:
    """`tankwatch drill update`; ends with 1 if anything was let in, refused for a wrong reason, or stuck afterwards."""
    parser = argparse.ArgumentParser("tankwatch drill update", description="Attacks on the signed delivery of bundles.")
    parser.add_argument("--each", type=int, help=f"attacks of each class, default {EACH}, with --full {EACH_FULL}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--full", action="store_true", help="more of all, and an honest update after each class")
    parser.add_argument("--json", action="store_true", help="only the ledger, as one JSON object")
    options = parser.parse_args(argv)
    each = options.each or (EACH_FULL if options.full else EACH)
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="tankwatch-drill-") as folder:
        say = lambda words: print(words, file=sys.stderr)  # noqa: E731
        ledger = drill(Path(folder), each, options.seed, often=options.full, say=say)
    logging.disable(logging.NOTSET)
    print(json.dumps(ledger) if options.json else _words(ledger))
    return 1 if any(ledger[name] for name in ("let_in", "wrong_reason", "not_recovered", "honest_refused")) else 0


def drill(
    folder: Path, each: int, seed: int, *, often: bool = False, say: Callable[[str], None] = lambda _: None
) -> dict:
    """`each` attacks of each class in `folder`; `often`: an honest update after each class. Gives the ledger."""
    began_s, rng, found = time.monotonic(), random.Random(seed), Found()
    lab = update_lab.make_lab(folder)
    server, good = Server(lab.config.updates_path), Server(lab.config.updates_path)
    with server.running() as url, good.running() as good_url:
        device = _with_a_past(lab, folder / "device", url, found)
        lab.publish("C")
        attacks = list(update_attacks.drawn(lab, each, rng))
        for number, attack in enumerate(attacks):
            _attempt(attack, update_lab.copied(device, folder / "attacked"), server, lab, good_url, found)
            shutil.rmtree(folder / "attacked")
            last = number + 1 == len(attacks) or attacks[number + 1].kind != attack.kind
            if last:
                say(f"{attack.kind}: {each} attacks, {len(found.let_in)} let in so far")
            if last and (often or number + 1 == len(attacks)):
                _honest(update_lab.copied(device, folder / "after"), lab, "C", found)
                shutil.rmtree(folder / "after")
    return {
        "drill": "update",
        "attacks": len(attacks),
        "classes": dict(Counter(attack.kind for attack in attacks)),
        "let_in": len(found.let_in),
        "wrong_reason": len(found.wrong_reason),
        "not_recovered": len(found.not_recovered),
        "honest": found.honest,
        "honest_refused": found.honest_refused,
        "reasons": dict(found.reasons),
        "which": [*found.let_in, *found.wrong_reason, *found.not_recovered],
        "seed": seed,
        "seconds": round(time.monotonic() - began_s, 1),
    }


def _with_a_past(lab: Lab, folder: Path, url: str, found: Found) -> DeviceConfig:
    """A device that runs A, which came to it honestly, and that has seen the state after it."""
    device = update_lab.device_of(folder, url, lab.root)
    lab.publish("A")
    _honest(device, lab, "A", found)
    lab.publish("B")
    update_lab.updating(device).step(0.0)
    return device


def _honest(device: DeviceConfig, lab: Lab, name: str, found: Found) -> None:
    """The bundle comes, passes its exam and is in its place."""
    update_lab.desire(device, 10, bundle=lab.ref(name))
    update_lab.updating(device).step(0.0)
    found.honest += 1
    found.honest_refused += open_bundle(slots.champion(device)).sha256 != lab.ref(name).sha256


def _attempt(attack: Attack, device: DeviceConfig, server: Server, lab: Lab, good_url: str, found: Found) -> None:
    before = _standing(device)
    label = f"{attack.kind}: {attack.name}"
    update_lab.desire(device, 20, bundle=attack.wish or lab.ref("C"))
    update = update_lab.updating(device, (lambda: attack.clock) if attack.clock else None)
    server.mischief = attack.answer
    update.step(0.0)
    if _standing(device) != before:
        found.let_in.append(label)
    reason = _reason(update, device)
    found.reasons[reason if isinstance(update.fault, Refused) else "bundle"] += 1
    if not any(reason == one or (" " in one and one in reason) for one in attack.reasons):
        found.wrong_reason.append(f"{label}: {reason[:300]}")
    if attack.kind == "malicious_mirrors":
        _passes_by(device, lab, good_url, label, found)
    server.mischief = lambda _: None
    _recovers(attack, device, lab, label, found)


def _passes_by(device: DeviceConfig, lab: Lab, good_url: str, label: str, found: Found) -> None:
    """Where another address is named, the bundle comes past a mirror that goes on misbehaving."""
    updates = msgspec.structs.replace(device.updates, mirrors=(good_url,))
    repository = Repository(updates, device.folder / "updates")
    wanted, target = bundle_target(lab.ref("C").sha256), device.folder / "come.bundle"
    try:
        repository.fetch(repository.look([wanted])[wanted], target, LARGEST_FILE)
    except Refused as refused:
        found.not_recovered.append(f"{label}: {refused}"[:300])


def _recovers(attack: Attack, device: DeviceConfig, lab: Lab, label: str, found: Found) -> None:
    """The next honest look goes through, once the cloud has exchanged the keys that were stolen."""
    cloud = lab.folder / "afterwards"
    shutil.copytree(lab.config.folder, cloud)
    config = msgspec.structs.replace(lab.config, data_dir=str(cloud))
    for role in sorted(attack.stolen):
        signing.rotate(config, role, db.now())
    with Server(config.updates_path).running() as url:
        updates = msgspec.structs.replace(device.updates, url=url)
        try:
            Repository(updates, device.folder / "updates").look([])
        except Refused as refused:
            found.not_recovered.append(f"{label}: {refused}"[:300])
    shutil.rmtree(cloud)


def _standing(device: DeviceConfig) -> tuple:
    """What decides on the device: the slot's record and bundle, the challenger, and what is signed for the station."""
    bundle = slots.champion(device)
    signed = sorted((path.name, path.read_bytes()) for path in device.signed_path.rglob("*") if path.is_file())
    return slots.speaking(device), bundle, bundle.read_bytes(), slots.challenger(device), signed


def _reason(update: Update, device: DeviceConfig) -> str:
    if isinstance(update.fault, Refused):
        return update.fault.reason
    if update.fault is not None:
        return f"{type(update.fault).__name__} {update.fault}"
    told = update_report.read(device.update_path).champion
    return told.report.words if told and told.report.state == "refused" else "was not refused"


def _words(ledger: dict) -> str:
    parts = [
        f"{ledger['attacks']} attacks of {len(CLASSES)} classes: {ledger['let_in']} let in, "
        f"{ledger['wrong_reason']} refused for a wrong reason, {ledger['not_recovered']} stuck afterwards",
        f"{ledger['honest']} honest updates, {ledger['honest_refused']} refused; {ledger['seconds']} s",
    ]
    return "\n".join([*parts, *ledger["which"]])
