"""An empty registry -> one with a champion: the bundle that came with the program, to be improved on."""

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from cloud_sync import registry, scopes
from cloud_sync.config import CloudConfig
from cloud_sync.registry import Known
from edge_agent.inspection import shipped_bundle


def ensure(config: CloudConfig, engine: Engine, now: float) -> None:
    """Does nothing where the registry holds any bundle. Raises ModelError or StoreError."""
    with engine.connect() as connection:
        if registry.all_bundles(connection):
            return
    bundle, who = registry.keep(config, shipped_bundle()), "command line"
    with engine.begin() as connection:
        if registry.add(connection, bundle, who=who, reason="came with the program", now=now):
            registry.move(connection, bundle.sha256, "champion", who=who, reason="there was none before it", now=now)


def of_scope(connection: sa.Connection, scope: str) -> Known | None:
    """The champion from which a scope is retrained: its own, else the next wider one's."""
    champions = {one.scope: one for one in reversed(registry.all_bundles(connection, "champion"))}
    return next((champions[wider] for wider in _wider(scope) if wider in champions), None)


def _wider(scope: str) -> list[str]:
    kind, _, place = scope.partition("/")
    if kind == "station":
        return scopes.of_place(place)
    return [scope, scopes.GENERAL] if kind == "site" else [scopes.GENERAL]
