"""A cloud filled with weeks of cases, for the pages of agreement, value and studies; seeded: figures come again."""

from pathlib import Path

import numpy as np
import sqlalchemy as sa
from cloud_fakes import BEGIN, a_case, a_clip, case_message, clip_messages

from cloud_sync import accounts, db
from cloud_sync.config import AgreementConfig, CloudConfig, ShiftConfig, WebConfig
from cloud_sync.intake import Intake
from cloud_sync.store import FolderStore
from cloud_sync.tables import cases, truths
from edge_agent.records import Sampled

PASSWORD = "correct horse battery"
USERS = (("erna", "expert"), ("emil", "expert"), ("quinn", "quality"), ("vera", "viewer"))
SHIFTS = (ShiftConfig("early", "06:00"), ShiftConfig("late", "14:00"), ShiftConfig("night", "22:00"))


class Filled:
    """Configuration, database and users; cases by `weeks` and clips for a study by `clips`."""

    def __init__(self, folder: Path, *, inspectors: bool = False, port: int = 8080) -> None:
        self.folder = folder
        self.config = CloudConfig(
            data_dir=str(folder / "cloud"),
            web=WebConfig(port=port),
            shift=SHIFTS,
            agreement=AgreementConfig(inspectors=inspectors),
        )
        self.engine = db.open_database(self.config)
        for name, role in USERS:
            accounts.add_user(self.engine, name, PASSWORD, role, now=1.0)

    def weeks(self, days: int = 14, units_a_day: int = 60, seed: int = 1) -> None:
        """Rows like those of ingest, many at once: the machine is better than its inspectors, who tire at night."""
        random = np.random.default_rng(seed)
        template = self._template()
        rows, settled = [], []
        for number in range(days * units_a_day):
            row, truth = _unit(random, template, number, 86_400 / units_a_day)
            rows.append(row)
            if row["sampled_for"] != "none" and random.random() < 0.9:
                state = "agreed" if random.random() < 0.3 else "single"
                settled.append({"case_id": row["case_id"], "judgement": truth, "state": state, "at": 1.0})
        with self.engine.begin() as connection:
            connection.execute(sa.insert(cases), rows)
            connection.execute(sa.insert(truths), settled)

    def clips(self, count: int = 24, *, frames: int = 4) -> None:
        """Cases with clips and a truth that two experts share: half leak, half are borderline."""
        intake = Intake(self.engine, FolderStore(self.config.folder), max_clip_bytes=10_000_000)
        for sequence in range(1, count + 1):
            path, leaks, clear = self.folder / f"{sequence}.twclip", sequence % 2 == 0, sequence % 4 < 2
            case_id = a_case(sequence).case_id
            ref = a_clip(path, frames=frames, case_id=case_id, size=(96, 240))
            about = {"verdict": "leak" if leaks else "ok", "score": 0.99 if leaks else 0.02}
            case = a_case(sequence, clip=ref, **(about if clear else {"verdict": "uncertain", "score": 0.5}))
            intake.handle([case_message(case), *clip_messages(path, case_id)], db.now())
            truth = {"case_id": case_id, "judgement": "leak" if leaks else "ok", "state": "agreed", "at": 1.0}
            with self.engine.begin() as connection:
                connection.execute(sa.insert(truths).values(truth))

    def _template(self) -> dict:
        intake = Intake(self.engine, FolderStore(self.config.folder), max_clip_bytes=1_000_000)
        intake.handle([case_message(a_case(999_999))], db.now())
        with self.engine.begin() as connection:
            row = dict(connection.execute(sa.select(cases)).mappings().one())
            for table in reversed(cases.metadata.sorted_tables):
                if table.name in ("looks", "counters"):
                    connection.execute(sa.delete(table))
            connection.execute(sa.delete(cases))
        return row


def _unit(random: np.random.Generator, template: dict, number: int, every_s: float) -> tuple[dict, str]:
    started_at = BEGIN + every_s * number
    leaks = random.random() < 0.08
    tired = 0.12 if (started_at // 3600) % 24 >= 22 or (started_at // 3600) % 24 < 6 else 0.04
    score = float(np.clip(random.beta(12, 0.7) if leaks else random.beta(0.5, 14), 0.001, 0.999))
    verdict = "ok" if score < 0.2 else "leak" if score > 0.8 else "uncertain"
    inspector_right = random.random() > (2 * tired if leaks else tired / 4)
    truth = "leak" if leaks else "ok"
    decision = truth if inspector_right else ("ok" if leaks else "leak")
    sampled, outcome = _sampled(random, verdict, decision)
    changes = {
        "case_id": f"TANK-{number:06d}",
        "sequence": number + 1,
        "station": f"TANK{1 + number % 2}",
        "inspector": f"P{1 + number % 3}",
        "started_at": started_at,
        "ended_at": started_at + 9,
        "verdict": verdict,
        "score": score,
        "decision": decision,
        "outcome": outcome,
        "sampled_for": sampled.reason,
        "sampled_probability": sampled.probability,
    }
    return {**template, **changes}, truth


def _sampled(random: np.random.Generator, verdict: str, decision: str) -> tuple[Sampled, str]:
    if verdict == "uncertain":
        return Sampled("unsure", 1.0), "unsure"
    if verdict != decision:
        return Sampled("disagreement", 1.0), "machine_leak" if verdict == "leak" else "human_leak"
    chance = 0.1 if verdict == "ok" else 0.5
    return Sampled("audit" if random.random() < chance else "none", chance), "agree"
