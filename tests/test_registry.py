"""Which bundles the cloud knows and what each may become."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from cloud_sync import db, registry
from cloud_sync.config import CloudConfig
from cloud_sync.tables import audit
from edge_agent.errors import ConfigError
from edge_agent.inspection import shipped_bundle

NOW = 1_795_000_000.0


@pytest.fixture
def config(tmp_path: Path) -> CloudConfig:
    return CloudConfig(data_dir=str(tmp_path / "cloud"))


def test_a_bundle_is_kept_once_and_becomes_what_it_may_become(config: CloudConfig) -> None:
    engine = db.open_database(config)
    bundle = registry.keep(config, Path(shipped_bundle()))
    assert registry.keep(config, Path(shipped_bundle())).sha256 == bundle.sha256
    assert registry.path(config, bundle.sha256).is_file()
    with engine.begin() as connection:
        assert registry.add(connection, bundle, who="ada", reason="the first one", now=NOW)
        assert not registry.add(connection, bundle, who="ada", reason="again", now=NOW + 1)
        assert registry.move(connection, bundle.sha256, "champion", who="ada", reason="none before it", now=NOW + 2)
        assert not registry.move(connection, bundle.sha256, "champion", who="ada", reason="again", now=NOW + 3)
        with pytest.raises(ConfigError, match="is champion and can only become retired, not candidate"):
            registry.move(connection, bundle.sha256, "candidate", who="ada", reason="back", now=NOW + 4)
    with engine.connect() as connection:
        (known,) = registry.all_bundles(connection)
        assert (known.state, known.scope, known.version) == ("champion", "general", bundle.manifest.version)
        assert registry.all_bundles(connection, "retired") == []
        assert registry.manifest_of(connection, bundle.sha256) == bundle.manifest
        assert [step.state for step in registry.history(connection, bundle.sha256)] == ["candidate", "champion"]
        assert connection.scalars(sa.select(audit.c.did)).all() == ["bundle_moved", "bundle_moved"]


def test_a_bundle_that_nobody_knows_becomes_nothing(config: CloudConfig) -> None:
    engine = db.open_database(config)
    with engine.begin() as connection:
        assert registry.find(connection, "0" * 64) is None
        with pytest.raises(ConfigError, match="there is no bundle 000000000000: add it with 'bundle publish'"):
            registry.move(connection, "0" * 64, "champion", who="ada", reason="why not", now=NOW)
