"""A cloud with a signed repository and a few stations, one of them a real device -> which bundle each station is asked
to run, and what each says of it. The others' devices are made: they say what they are told to run, over `intake`.
"""

import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from benchmarks.made_cases import make_case
from cloud_sync import db, desire, registry, rollout_state, rollouts, signing
from cloud_sync.config import CloudConfig
from cloud_sync.dead_letters import Message
from cloud_sync.intake import Intake
from cloud_sync.rollout_plan import Plan
from cloud_sync.rollout_records import Place
from cloud_sync.rollouts import Kept
from cloud_sync.store import open_store
from cloud_sync.tables import cases, rollout_events
from edge_agent import wire
from edge_agent.bundle import Bundle, open_bundle, write_bundle
from edge_agent.messages import PART_BYTES, Status
from edge_agent.offered import REFERENCES, clip_name, station_target
from edge_agent.records import BundleRef
from edge_agent.references import ReferenceCase, References

Truth = Literal["leak", "ok"]
SITE = "drill"
LARGEST_CLIP_BYTES = 256 * PART_BYTES
SINCE = "2026-11-20T14:00:00Z"
CASES_EACH = 20
"""Of each made device before the first rollout."""
WHO = "drill"
MOST_LOTS = 200
"""Bundles made until the lot falls on the real device: one in five does."""


@dataclass
class Plant:
    """The cloud's side. `champion`: the file of the bundle that every station runs."""

    folder: Path
    champion: Path
    real: Place
    others: list[Place]
    plan: Plan = field(default_factory=Plan)

    def __post_init__(self) -> None:
        self.config = CloudConfig(data_dir=str(self.folder))
        self.sound = open_bundle(self.champion)
        self.engine, self._said = db.open_database(self.config), dict.fromkeys(self.others, self.sound.ref)
        self.intake = Intake(self.engine, open_store(self.config), max_clip_bytes=LARGEST_CLIP_BYTES)
        self._judged = dict.fromkeys(self.others, 0)
        signing.begin(self.config, db.now())
        self._sign_references()
        self._offer(self.champion)
        with self.engine.begin() as connection:
            registry.move(connection, self.sound.sha256, "champion", who=WHO, reason="the first one", now=db.now())
        for place in self.others:
            self._say(place, self.sound.ref)
            self.work(place, CASES_EACH)

    @property
    def root(self) -> Path:
        return self.config.updates_path / "metadata" / "1.root.json"

    def publish(self, bundle: Bundle, path: Path) -> Bundle:
        """Offers the bundle, signed, without the checks of `bundle publish`: whoever trains has failed, or lies.

        It is made anew under other names until a rollout of it begins at the real device.
        """
        for number in range(MOST_LOTS):
            places = rollout_state.planned(bundle.ref, [self.real, *self.others], self.plan, 0.0).seats
            if places[0].place == self.real:
                break
            manifest = msgspec.structs.replace(bundle.manifest, name=f"{bundle.manifest.name} {number}")
            bundle = write_bundle(path, manifest, bundle.nets, bundle.features, golden=bundle.golden)
        self._offer(path)
        return bundle

    def begin(self, bundle: Bundle) -> int:
        """A rollout to all stations."""
        places = [self.real, *self.others]
        about: dict[str, Any] = {"plan": self.plan, "who": WHO, "reason": bundle.manifest.name, "now": db.now()}
        with self.engine.begin() as connection:
            return rollouts.begin(connection, bundle.sha256, places, **about)

    def turn(self) -> None:
        """One look of `cloud rollout`, and every made device takes what it is asked to run."""
        rollouts.step(self.engine, db.now())
        for place, bundle in self.wished().items():
            if place != self.real and self._said[place] != bundle:
                self._said[place] = bundle
                self._say(place, bundle)

    def kept(self, number: int) -> Kept:
        with self.engine.connect() as connection:
            found = rollouts.find(connection, number)
        assert found is not None
        return found

    def touched(self, number: int) -> int:
        """How many devices the rollout has ever asked."""
        table = rollout_events.c
        with self.engine.connect() as connection:
            query = sa.select(table.site, table.station).where(table.rollout_id == number, table.kind == "asked")
            return len(set(connection.execute(query).all()))

    def breach(self, number: int) -> str:
        """Which gate has ended the rollout; empty where none has."""
        with self.engine.connect() as connection:
            broken = [event for event in rollouts.events(connection, number) if event.kind == "breached"]
        return "; ".join(f"a gate of its rollout is broken: {event.words}" for event in broken)

    def wished(self) -> dict[Place, BundleRef]:
        with self.engine.connect() as connection:
            return {place: one.bundle for place, one in desire.all_wanted(connection).items() if one.bundle}

    def cases(self) -> list[sa.Row]:
        """(case_id, sequence, bundle_sha256, verdict) of every case of the real device."""
        query = sa.select(cases.c.case_id, cases.c.sequence, cases.c.bundle_sha256, cases.c.verdict)
        with self.engine.connect() as connection:
            return list(connection.execute(query.where(cases.c.station == self.real[1])))

    def work(self, place: Place, count: int) -> None:
        """So many more cases of a made device; the inspector agrees."""
        first = self._judged[place] + 1
        self._judged[place] += count
        batch = []
        for number in range(first, first + count):
            said: dict[str, Any] = {
                "site": place[0],
                "station": place[1],
                "bundle": self._said[place],
                "sequence": number,
            }
            # Every third made case is a disagreement.
            case = make_case(3 * number + 1, case_id=f"{place[1]}-{number:06d}", **said)
            batch.append(Message(wire.Topics(*place).case, wire.encode(case)))
        self.intake.handle(batch, time.time())

    def _say(self, place: Place, bundle: BundleRef) -> None:
        status = Status(status="online", mode="shadow", bundle=bundle, software="drill", since=SINCE)
        self.intake.handle([Message(wire.Topics(*place).status, wire.encode(status))], time.time())

    def _offer(self, file: Path) -> None:
        kept = registry.keep(self.config, file)
        signing.put_bundle(self.config, kept.sha256, file.read_bytes(), db.now())
        with self.engine.begin() as connection:
            registry.add(connection, kept, who=WHO, reason=WHO, now=db.now())

    def _sign_references(self) -> None:
        """The champion's golden clips, whose truth is known."""
        listed, files = [], {}
        for golden in self.sound.manifest.golden:
            data = self.sound.golden[golden.name]
            sha256 = hashlib.sha256(data).hexdigest()
            files[station_target(*self.real, clip_name(sha256))] = data
            truth: Truth = "leak" if golden.leaky else "ok"
            listed.append(ReferenceCase(case_id=f"reference-{golden.name}", sha256=sha256, truth=truth))
        record = References(site=self.real[0], station=self.real[1], cases=tuple(listed))
        files[station_target(*self.real, REFERENCES)] = msgspec.json.encode(record)
        signing.put(self.config, files, db.now())
