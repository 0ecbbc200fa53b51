"""A number -> a cloud's folder with so many cases in a realistic mix and a few real clips; made once and kept.

Ten stations, one case every 8.64 s (10,000 a day), the latest just before END. What experts have judged lies behind
them; the newest OPEN looks wait, and one in a hundred of the older ones. The newest thousand cases are
the same in every size.
"""

import hashlib
import os
import random
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from benchmarks.made_cases import make_case, write_clip
from cloud_sync import case_groups, counters, db, tables, triage
from cloud_sync.case_row import case_row
from cloud_sync.config import CloudConfig
from cloud_sync.looks import DAY_S
from edge_agent import compare, wire
from edge_agent.records import BundleRef, Case, ClipRef, DecisionWord, VerdictWord, WaterSummary

END = datetime(2026, 11, 20, 16, tzinfo=UTC).timestamp()
SPACING_S = 8.64
STATIONS = 10
OPEN = 150
LOOK_EVERY = 16
"""About one in so many cases needs an eye."""
JUDGED_SHARE = 0.99
"""Of the older looks."""
REAL_CLIPS = 24
"""The newest ones; the table holds the others, whose files nobody opens."""
CLIP_SHARE, SERIAL_SHARE = 0.9, 0.6
CHUNK = 5000
LARGEST = 10**7
"""Cases are numbered up to this."""
RARE = "TANK07"
"""Three of its cases have a leak as verdict and no decision: what the search for something rare looks for."""
SHARES: Mapping[VerdictWord, float] = {"leak": 0.04, "uncertain": 0.015, "not_tested": 0.01, "ok": 1.0}
SCORES = {"ok": (0.0, 0.2), "leak": (0.8, 1.0), "uncertain": (0.2, 0.8)}


def copy_of(number: int, kept: Path, folder: Path) -> CloudConfig:
    """A cloud of its own in `folder`; `kept`: where those that were made lie."""
    shutil.copytree(_made(number, kept), folder)
    return CloudConfig(data_dir=str(folder))


def fingerprint() -> str:
    """Changes with the mix, the tables and their indexes."""
    digest = hashlib.sha256()
    for path in (Path(__file__), Path(str(tables.__file__)), *sorted(db.MIGRATIONS.glob("versions/*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _made(number: int, kept: Path) -> Path:
    folder = kept / f"desk-{number}-{fingerprint()}"
    if not folder.is_dir():
        half = kept / f"{folder.name}.{os.getpid()}"
        half.mkdir(parents=True)
        _fill(number, half)
        half.rename(folder)
    return folder


def _fill(number: int, folder: Path) -> None:
    engine = db.open_database(CloudConfig(data_dir=str(folder)))
    desk = _Desk(number, folder)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA synchronous=OFF")
        for begin in range(0, number, CHUNK):
            _add(connection, desk, [desk.case(at) for at in range(begin, min(begin + CHUNK, number))])
            connection.commit()
        counters.add(connection, {f"looks.{state}": count for state, count in desk.states.items()})
        connection.commit()
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()


class _Desk:
    """Rolls the dice, and counts on."""

    def __init__(self, number: int, folder: Path) -> None:
        self._random, self.states, self.looks, self.reviews = random.Random(), Counter[str](), 0, 0
        self._number, self._folder = number, folder
        self._rare = {number // 5, number // 2, number * 4 // 5}
        self._sequences = Counter[str]()

    def case(self, at: int) -> Case:
        self._random.seed(self._number - at)
        verdict, decision = self._words(at)
        score = round(self._random.uniform(*SCORES[verdict]), 6) if verdict in SCORES else None
        station = RARE if at in self._rare else f"TANK{(self._number - at) % STATIONS:02d}"
        self._sequences[station] += 1
        outcome = compare.outcome(verdict, decision, "none" if decision == "none" else "human")
        case = make_case(
            at,
            case_id=f"{station}-d35c00-{LARGEST - self._number + at:07d}",
            station=station,
            sequence=self._sequences[station],
            verdict=verdict,
            decision=decision,
            decided_by="none" if decision == "none" else "human",
            score=score,
            outcome=outcome,
            sampled=compare.sampled(outcome, score, audit_floor=0.015, draw=self._random.random()),
            **self._about(at, station),
        )
        eye = triage.needs_eye(case.sampled.reason, case.outcome)
        if not eye or self._random.random() > CLIP_SHARE:
            return case
        return msgspec.structs.replace(case, clip=self._clip(case, at))

    def is_judged(self, back: int) -> bool:
        """`back`: how many cases ago."""
        return back > OPEN * LOOK_EVERY and self._random.random() < JUDGED_SHARE

    def _words(self, at: int) -> tuple[VerdictWord, DecisionWord]:
        if at in self._rare:
            return "leak", "none"
        draw, below = self._random.random(), 0.0
        for word, share in SHARES.items():
            below += share
            verdict = word
            if draw < below:
                break
        leaky = {"leak": 0.93, "ok": 0.004}.get(verdict, 0.3)
        return verdict, "leak" if self._random.random() < leaky else "ok"

    def _about(self, at: int, station: str) -> dict[str, Any]:
        """Water gets murky within 500 cases of a station and is changed; a new bundle every 20 days."""
        began, back = END - (self._number - at) * SPACING_S, self._number - at
        murk = 1 - back // STATIONS % 500 / 500
        bundle = int(began // (20 * DAY_S))
        return {
            "started_at": _iso(began),
            "ended_at": _iso(began + 8.7),
            "usable_s": round(7.5 - 3 * self._random.random() ** 4, 2),
            "smallest_leak_std_cm3_s": round(4e-4 * (1 + self._random.random()), 6),
            "water": WaterSummary("clear", round(0.97 - 0.45 * murk * self._random.random(), 3)),
            "bundle": BundleRef(bundle % 9 + 1, _hash(f"bundle {bundle}")),
            "profile_sha256": _hash(station),
            "serial": f"SN-{LARGEST - back:08d}" if self._random.random() < SERIAL_SHARE else None,
        }

    def _clip(self, case: Case, at: int) -> ClipRef:
        if at < self._number - 20 * REAL_CLIPS:
            return ClipRef(_hash(case.case_id), 400_000)
        path = self._folder / "new.twclip"
        ref = write_clip(path, case, frames=45, view_px=(320, 240))
        place = self._folder / "clips" / ref.sha256[:2] / f"{ref.sha256}.twclip"
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
        return ref


def _add(connection: sa.Connection, desk: _Desk, cases: Sequence[Case]) -> None:
    rows = [_row(case) for case in cases]
    db.insert_rows(connection, tables.cases, rows)
    case_groups.count_in(connection, rows)
    _insert(connection, tables.clips, [_clip_row(row) for row in rows if row["clip_sha256"]])
    wanted = [row for row in rows if triage.needs_eye(str(row["sampled_for"]), str(row["outcome"]))]
    made = [_look(desk, row) for row in wanted]
    reviewed = [_review(look, row) for look, row in zip(made, wanted, strict=True) if look["state"] == "judged"]
    _insert(connection, tables.reviews, reviewed)
    _insert(connection, tables.looks, made)
    began: dict[object, float] = {row["case_id"]: row["started_at"] for row in wanted}
    _insert(connection, tables.truths, [_truth(review, began[review["case_id"]]) for review in reviewed])


def _insert(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, object]]) -> None:
    if rows:
        db.insert_rows(connection, table, rows)


def _row(case: Case) -> dict[str, Any]:
    payload = wire.encode(case)
    began = datetime.fromisoformat(case.started_at).timestamp()
    topic = wire.parse_topic(wire.Topics(case.site, case.station).case, wire.ROOT)
    return case_row(topic, payload, began + 20)


def _clip_row(row: Mapping[str, Any]) -> dict[str, object]:
    about = {name: row[name] for name in ("case_id", "site", "station")}
    about |= {"bytes": row["clip_bytes"], "stored_at": row["received_at"], "seen_at": row["received_at"]}
    return {"sha256": row["clip_sha256"], "state": "stored", "parts": 2, "part_bytes": 262_144, "next_part": 2} | about


def _look(desk: _Desk, row: Mapping[str, Any]) -> dict[str, Any]:
    judged = desk.is_judged(LARGEST - int(row["case_id"].rpartition("-")[2]))
    state = "judged" if judged else "waiting" if row["clip_sha256"] else "bare"
    desk.states[state] += 1
    desk.looks, desk.reviews = desk.looks + 1, desk.reviews + judged
    return {
        "id": desk.looks,
        "case_id": row["case_id"],
        "purpose": "first",
        "lane": triage.lane_of(row["sampled_for"]),
        "state": state,
        "day": int(row["received_at"] // DAY_S),
        "rank": -triage.worth(row["sampled_for"], row["score"]),
        "wanted_at": row["received_at"],
        "reserved_by": f"expert{desk.looks % 4}" if judged else None,
        "reserved_until": None,
        "review_id": desk.reviews if judged else None,
        "revealed_at": row["received_at"] + 3600 if judged else None,
    }


def _review(look: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, object]:
    """By the machine's word mostly; every seventh cannot tell."""
    word = {"leak": "leak", "ok": "ok"}.get(row["verdict"], "ok") if look["id"] % 7 else "cannot_tell"
    return {
        "id": look["review_id"],
        "case_id": row["case_id"],
        "revision": 1,
        "reviewer": look["reserved_by"],
        "judgement": word,
        "seen": None,
        "familiar": 1,
        "note": "",
        "clip_sha256": row["clip_sha256"],
        "at": look["revealed_at"],
        "purpose": "first",
        "blind": 1,
        "took_s": 9.5,
    }


def _truth(review: Mapping[str, Any], started_at: float) -> dict[str, object]:
    about = {"judgement": review["judgement"], "state": "single", "review_id": review["id"], "at": review["at"]}
    return {"case_id": review["case_id"], "started_at": started_at} | about


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
