"""A plant's story in logical time: a champion at every station, challengers beside it, and what the cloud decides.

Devices, intake, queue, judgements, parallel runs, registry and rollout are real (`twin_devices`, `twin_plant`); only
the pictures were looked at before (`twin_units`).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from benchmarks.twin_devices import Device, Line, Pool
from benchmarks.twin_plant import DAY_S, SHIFT_S, Plant
from benchmarks.twin_units import Unit
from cloud_sync import db, parallel, registry, rollouts
from cloud_sync.config import CloudConfig
from cloud_sync.intake import Intake
from cloud_sync.parallel import Beside, Run
from cloud_sync.policy import Policy, Promotion
from cloud_sync.rollout_turn import Turn
from cloud_sync.store import open_store
from edge_agent.bundle import Bundle, Thresholds, open_bundle, write_bundle
from edge_agent.inspection import shipped_bundle
from edge_agent.records import Verdict

WHO = "drill"
BEGIN = 1_799_020_800.0
"""4 January 2027, 0:00 UTC: all runs begin in one year, and share its chance of a wrong promotion."""
MORNING_S = 5 * 3600.0
PLACES = tuple(("plant", f"TANK{number}") for number in (1, 2, 3))
SHIFTS = 3
CAREFUL = 0.995
"""The champion says leak above this score only, and leaves more units to the inspector than the shipped limits do."""
CARELESS = 0.8
"""`worse` says ok below this score: to units that leak a little, too."""
ROLLOUT_DAYS = 14
"""By then all stations have the bundle, or it is stuck."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much comes, and by which rules."""

    seed: int
    line: Line
    units: int
    """A shift, at each station."""
    policy: Policy
    days: int
    """At most, of each challenger."""


@dataclass(slots=True)
class Story:
    """A plant, its bundles and the day that it is."""

    plan: Plan
    units: Sequence[Unit]
    engine: Engine
    plant: Plant
    pool: Pool
    bundles: dict[str, Bundle]
    turn: Turn
    """As the process `cloud rollout` takes it, every few seconds there."""
    day: int = 0

    @classmethod
    def begin(cls, plan: Plan, units: Sequence[Unit], folder: Path, config: CloudConfig) -> "Story":
        """The champion is at every station, and the cloud has heard of it."""
        engine = _hasty(db.open_database(config))
        bundles = make_bundles(folder)
        with engine.begin() as connection:
            for name, bundle in bundles.items():
                registry.keep(config, folder / f"{name}.bundle")
                registry.add(connection, bundle, who=WHO, reason=f"the {name} one", now=BEGIN)
            champion = bundles["champion"].sha256
            registry.move(connection, champion, "champion", who=WHO, reason="the first one", now=BEGIN)
        pool = Pool(units, lambda sha256: open_bundle(registry.path(config, sha256)), folder)
        chance = random.Random(plan.seed)
        devices = [
            Device(site, station, champion, pool, plan.line, random.Random(chance.random())) for site, station in PLACES
        ]
        intake = Intake(engine, open_store(config), max_clip_bytes=config.max_clip_mb * 1_000_000)
        plant, turn = Plant(engine, intake, devices, plan.policy, chance), Turn(config, engine, plan.policy)
        story = cls(plan, units, engine, plant, pool, bundles, turn)
        story.live()
        return story

    @property
    def now(self) -> float:
        return BEGIN + self.day * DAY_S + MORNING_S

    def close(self) -> None:
        self.engine.dispose()

    def contest(self, name: str) -> Run:
        """The challenger runs beside the champion until the cloud has decided; a winner is rolled out."""
        wish = Beside(PLACES, self.bundles["champion"].sha256, self.bundles[name].sha256)
        with self.engine.begin() as connection:
            number = parallel.start(connection, wish, self.plan.policy.promotion, who=WHO, now=self.now)
        for _ in range(self.plan.days):
            self.live()
            with self.engine.connect() as connection:
                if parallel.find(connection, number).state != "running":
                    break
        with self.engine.begin() as connection:
            parallel.stop(connection, number, why="the drill's time is over", who=WHO, now=self.now)
            run = parallel.find(connection, number)
        if run.state == "won":
            self.roll_out()
        return run

    def roll_out(self) -> None:
        """Until it is over, one way or the other."""
        for _ in range(ROLLOUT_DAYS):
            self.live()
            with self.engine.connect() as connection:
                if not rollouts.active(connection):
                    return

    def live(self) -> None:
        """A day at the plant, and the next morning, on which experts judge what it brought."""
        for shift in range(SHIFTS):
            begin = self.now + shift * SHIFT_S
            self.turn(begin)
            self.plant.shift(self.plan.units, begin)
        self.day += 1
        self.plant.morning(self.now)

    def truth(self, name: str) -> dict[str, object]:
        """What an oracle knows of a challenger."""
        champion, challenger = (self.pool.words(self.bundles[one].sha256) for one in ("champion", name))
        more = rates(self.units, self.plan.line, champion, challenger)
        return {"deserves": deserves(more, self.plan.policy.promotion), "more": more}

    def outcome(self, name: str, run: Run) -> dict[str, object]:
        """What came of it."""
        days = round(((run.decided_at or self.now) - run.started_at) / DAY_S)
        judged = run.result.judged if run.result else 0
        return {"promoted": self.was_champion(name), "state": run.state, "days": days, "judged": judged}

    def was_champion(self, name: str) -> bool:
        with self.engine.connect() as connection:
            steps = registry.history(connection, self.bundles[name].sha256)
        return any(step.state == "champion" for step in steps)

    def is_everywhere(self, name: str) -> bool:
        """Every device says that it runs the bundle, the registry that it is the only champion."""
        sha256 = self.bundles[name].sha256
        with self.engine.connect() as connection:
            champions = [known.sha256 for known in registry.all_bundles(connection, "champion")]
        return champions == [sha256] and all(device.champion == sha256 for device in self.plant.devices)


def make_bundles(folder: Path) -> dict[str, Bundle]:
    """The champion and its challengers: the shipped nets under limits of their own."""
    shipped = open_bundle(shipped_bundle())
    limits = shipped.manifest.thresholds
    careful = msgspec.structs.replace(limits, leak_above=CAREFUL)
    careless = msgspec.structs.replace(careful, ok_below=CARELESS)
    kinds = {"champion": careful, "worse": careless, "equal": careful, "better": limits}
    return {
        name: _bundle(folder / f"{name}.bundle", shipped, version, kinds[name])
        for version, name in enumerate(kinds, start=shipped.manifest.version + 1)
    }


def rates(units: Sequence[Unit], line: Line, champion: Sequence[Verdict], challenger: Sequence[Verdict]) -> dict:
    """By how much the challenger errs more often than the champion, as it is in truth: misses as a share of leaks,
    false alarms and units without an answer as shares of all units."""
    leaks = [(one, other) for unit, one, other in zip(units, champion, challenger, strict=True) if unit.leaky]
    goods = [(one, other) for unit, one, other in zip(units, champion, challenger, strict=True) if not unit.leaky]
    unanswered = line.leaky * _more(leaks, "uncertain") + (1 - line.leaky) * _more(goods, "uncertain")
    return {
        "misses": round(_more(leaks, "ok"), 5),
        "false_alarms": round((1 - line.leaky) * _more(goods, "leak"), 5),
        "unanswered": round(unanswered, 5),
    }


def deserves(more: dict, rules: Promotion) -> bool:
    """No more misses than the margin allows, better in one thing, and the others held: the rules, on the truth."""
    held = more["false_alarms"] < rules.false_alarm_margin and more["unanswered"] < rules.answer_margin
    return held and more["misses"] < rules.miss_margin and any(value < 0 for value in more.values())


def _hasty(engine: Engine) -> Engine:
    """No power is cut here: SQLite need not wait for the disk at each of many thousand commits."""
    if engine.dialect.name == "sqlite":
        engine.dispose()
        sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    return engine


def _bundle(path: Path, parent: Bundle, version: int, limits: Thresholds) -> Bundle:
    """The parent's nets under other limits; what it was certified for are its own."""
    lineage = msgspec.structs.replace(parent.manifest.lineage, parent_sha256=parent.sha256)
    manifest = msgspec.structs.replace(
        parent.manifest, version=version, thresholds=limits, lineage=lineage, certificates=()
    )
    return write_bundle(path, manifest, parent.nets, golden=parent.golden)


def _more(pairs: Sequence[tuple[Verdict, Verdict]], word: str) -> float:
    """By how much the second one says the word more often, as a share."""
    return sum((other.verdict == word) - (one.verdict == word) for one, other in pairs) / max(1, len(pairs))
