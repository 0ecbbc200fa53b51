"""The registry, the runs and what was evaluated -> what the pages about models show."""

from typing import Any

import msgspec
import sqlalchemy as sa

from cloud_sync import choice, desire, registry, runs
from cloud_sync.dataset import Dataset
from cloud_sync.registry import Known
from cloud_sync.runs import Run
from cloud_sync.tables import datasets, evaluated
from edge_agent.bundle import BundleManifest

PARTS = {
    "random": "test data drawn by lot",
    "twin": "fresh set of the twin",
    "test": "all test data, also cases chosen because a champion failed",
}
"""Parts of an evaluation, in the order in which they are shown."""
MOST_ROWS = 500
"""Of a comparison; those on which the two differ come first."""


class Listed(msgspec.Struct, frozen=True):
    """A bundle with the run that made it."""

    known: Known
    made_at: str
    run: Run | None
    figures: dict[str, Any] | None
    """Rates on the random part, else on the twin; None where no run evaluated it."""


class Compared(msgspec.Struct, frozen=True):
    """One case that both bundles were evaluated on."""

    source: str
    part: str
    label: str
    first: str
    second: str

    @property
    def is_case(self) -> bool:
        """A recording of the twin has no page."""
        return self.part != "twin"

    @property
    def rank(self) -> int:
        """Those that one bundle alone has right come first, then what both get wrong."""
        right = (self.first == self.label, self.second == self.label)
        return 0 if right[0] != right[1] else 1 if not right[0] else 2


def listed(connection: sa.Connection) -> list[Listed]:
    """Champions first, then by the time at which they came."""
    order = {"champion": 0, "challenger": 1, "candidate": 2, "retired": 3}
    found = sorted(registry.all_bundles(connection), key=lambda one: order[one.state])
    made_at, done = registry.made_at(connection), runs.done_by_bundle(connection)
    return [_listed(one, made_at.get(one.sha256, ""), done.get(one.sha256)) for one in found]


def metrics_of(run: Run | None) -> dict[str, Any]:
    """Empty where the run has none yet."""
    return msgspec.json.decode(run.metrics) if run and run.metrics else {}


def dataset_of(connection: sa.Connection, run: Run | None, known: Known) -> Dataset | None:
    """What a bundle was trained on: by its run, which knows the whole of which a scope took a part, else by hash."""
    table = datasets.c
    where: sa.ColumnElement[bool] = table.sha256 == known.dataset_sha256
    if run is not None and run.dataset is not None:
        where = (table.name == run.dataset) & (table.version == run.dataset_version)
    columns = table.name, table.version, table.sha256, table.created_at, table.policy_sha256
    row = connection.execute(sa.select(*columns).where(where).limit(1)).first()
    return None if row is None else Dataset(row[0], row[1], row[2], row[3], {}, row[4])


def best_by_place(connection: sa.Connection) -> list[tuple[str, Known | None]]:
    """Every station that was heard of, and the champion that evaluations choose for it."""
    places = map("/".join, desire.known_places(connection))
    return [(place, choice.best_for(connection, place)) for place in places]


def compared(connection: sa.Connection, first: str, second: str) -> list[Compared]:
    """The latest word of each bundle on every case that both were evaluated on."""
    said = [_said(connection, sha256) for sha256 in (first, second)]
    common = sorted(set(said[0]) & set(said[1]))
    rows = [
        Compared(source, said[0][source].part, said[0][source].label, *(one[source].verdict for one in said))
        for source in common
    ]
    return sorted(rows, key=lambda row: (row.rank, row.source))


def counted(rows: list[Compared]) -> dict[str, int]:
    """Cases by who has them right."""
    right = [(row.first == row.label, row.second == row.label) for row in rows]
    return {
        "both right": right.count((True, True)),
        "first alone right": right.count((True, False)),
        "second alone right": right.count((False, True)),
        "neither right": right.count((False, False)),
    }


def card_of(manifest: BundleManifest) -> str:
    """Without its first heading: the page has one."""
    return manifest.card.removeprefix("# Model card").strip()


def _listed(known: Known, made_at: str, run: Run | None) -> Listed:
    found = metrics_of(run)
    part = found.get("random") or found.get("twin")
    return Listed(known, made_at, run, part["candidate"] if part else None)


def _said(connection: sa.Connection, sha256: str) -> dict[str, sa.Row]:
    query = sa.select(evaluated).where(evaluated.c.bundle_sha256 == sha256).order_by(evaluated.c.run_id)
    return {row.source: row for row in connection.execute(query)}
