"""The registry and what evaluations showed -> which champion is best for a place."""

from collections import defaultdict

import sqlalchemy as sa

from cloud_sync import registry, scopes
from cloud_sync.registry import Known
from cloud_sync.scopes import Shown
from cloud_sync.tables import cases, evaluated


def best_for(connection: sa.Connection, place: str) -> Known | None:
    """The champion for a place (site/station): the narrowest that was shown to be better there. None: there is none."""
    champions = {one.scope: one for one in reversed(registry.all_bundles(connection, "champion"))}
    own = [champions[scope] for scope in scopes.of_place(place) if scope in champions]
    chosen = scopes.best(
        place, {one.scope: one.sha256 for one in own}, _shown(connection, place, [one.sha256 for one in own])
    )
    return None if chosen is None else registry.find(connection, chosen)


def _shown(connection: sa.Connection, place: str, hashes: list[str]) -> list[Shown]:
    """On the place's own cases, drawn by lot, that each of the bundles was evaluated on; the latest word of each."""
    site, _, station = place.partition("/")
    query = (
        sa.select(evaluated)
        .join(cases, cases.c.case_id == evaluated.c.source)
        .where(cases.c.site == site, cases.c.station == station)
        .where(evaluated.c.bundle_sha256.in_(hashes), evaluated.c.part == "random")
        .order_by(evaluated.c.run_id)
    )
    said: dict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
    for row in connection.execute(query):
        said[row.bundle_sha256][row.source] = (row.label, row.verdict)
    common = set.intersection(*(set(said[one]) for one in hashes)) if hashes else set()
    return [Shown(one, scopes.loss([said[one][source] for source in sorted(common)]), len(common)) for one in hashes]
