"""Stations with units of known truth, for certificates and mode orders: written as ingest would write them."""

from pathlib import Path

import msgspec
import sqlalchemy as sa
from cloud_fakes import BEGIN, a_case, case_message

from cloud_sync import accounts, db
from cloud_sync.config import CloudConfig, WebConfig
from cloud_sync.intake import Intake
from cloud_sync.store import FolderStore
from cloud_sync.tables import cases, looks, stations, truths
from edge_agent.messages import Status
from edge_agent.records import BundleRef

PASSWORD = "correct horse battery"
USERS = (("erna", "expert"), ("quinn", "quality"), ("vera", "viewer"))
SITE = "plant"
CHAMPION, CHALLENGER, PROFILE = "a" * 64, "b" * 64, "c" * 64
NOW = BEGIN + 40 * 86_400.0
TEMPLATE = 999_999


class ModeSite:
    """A cloud with users; `units` adds a station's cases and what experts say of them."""

    def __init__(self, folder: Path, port: int = 8080, **settings) -> None:
        self.config = CloudConfig(data_dir=str(folder / "cloud"), web=WebConfig(port=port), **settings)
        self.engine = db.open_database(self.config)
        for name, role in USERS:
            accounts.add_user(self.engine, name, PASSWORD, role, now=1.0)
        self._template = self._row(folder)
        self._number = 0

    def station(self, name: str, *, bundle: str = CHAMPION, mode: str = "shadow", words: str = "") -> tuple[str, str]:
        """It has said that it is there, and what runs."""
        status = Status(
            status="online", mode=mode, mode_words=words, bundle=BundleRef(3, bundle), software="x", since="2026-11-29"
        )
        row = {"site": SITE, "station": name, "status": msgspec.json.encode(status).decode(), "seen_at": NOW}
        with self.engine.begin() as connection:
            connection.execute(sa.insert(stations), [row])
        return SITE, name

    def units(self, station: str, said: str, truth: str | None, count: int, **other) -> None:
        """Cases on which machine and inspector said the same; each is audited unless told otherwise. `truth` None:
        nobody has judged them yet."""
        rows, judged = [], []
        for _ in range(count):
            self._number += 1
            row = self._template | {"case_id": f"{station}-{self._number:06d}", "sequence": self._number}
            row |= {"station": station, "started_at": BEGIN + 60.0 * self._number, "verdict": said, "due_verdict": said}
            row |= {"decision": said if said in ("ok", "leak") else "ok", "outcome": "agree", "sampled_for": "audit"}
            row |= {"sampled_probability": 1.0, "bundle_sha256": CHAMPION, "profile_sha256": PROFILE} | other
            rows.append(row)
            if truth:
                judged.append({"case_id": row["case_id"], "judgement": truth, "state": "agreed", "at": 1.0})
        with self.engine.begin() as connection:
            connection.execute(sa.insert(cases), rows)
            if judged:
                connection.execute(sa.insert(truths), judged)

    def proven(self, station: str, *, leaky: int = 300, good: int = 700, **other) -> None:
        """Enough for `partial`, and not for `full`."""
        self.units(station, "leak", "leak", leaky, **other)
        self.units(station, "ok", "ok", good, **other)

    def _row(self, folder: Path) -> dict:
        Intake(self.engine, FolderStore(folder / "clips"), max_clip_bytes=1_000_000).handle(
            [case_message(a_case(TEMPLATE))], db.now()
        )
        with self.engine.begin() as connection:
            row = dict(connection.execute(sa.select(cases)).mappings().one())
            connection.execute(sa.delete(looks))
            connection.execute(sa.delete(cases))
        return row
