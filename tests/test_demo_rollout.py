"""The loop of a demo that runs: a bundle is published and rolled out, the agent changes over live, and back."""

from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from running_demo import running_demo, tankwatch, until

from cloud_sync import config as cloud_config
from cloud_sync import db
from cloud_sync.tables import cases
from edge_agent.bundle import open_bundle, write_bundle
from edge_agent.inspection import shipped_bundle

SWITCH_S = 240.0
"""A look at the repository, a trial, and two live immersions on cores shared with other tests."""


def the_next(path: Path) -> str:
    """The shipped bundle under another number; its hash."""
    shipped = open_bundle(shipped_bundle())
    manifest = msgspec.structs.replace(shipped.manifest, version=shipped.manifest.version + 1)
    write_bundle(path, manifest, shipped.nets, shipped.features, golden=shipped.golden)
    return open_bundle(path).sha256


@pytest.mark.full
def test_a_published_bundle_comes_to_speak_on_the_running_station_and_goes_back(tmp_path: Path) -> None:
    former, new = open_bundle(shipped_bundle()).sha256, the_next(tmp_path / "new.bundle")
    folder = tmp_path / "demo"
    with running_demo("--dir", str(folder), "--seed", "7") as demo:
        demo.facts()
        config = ("--config", str(folder / "cloud.toml"))
        engine = db.open_database(cloud_config.load(folder / "cloud.toml"))

        def says() -> list[str]:
            """Whose word the cases were, the oldest first."""
            with engine.connect() as connection:
                return list(connection.scalars(sa.select(cases.c.bundle_sha256).order_by(cases.c.sequence)))

        assert until(says, SWITCH_S), demo.said
        tankwatch("bundle", "publish", str(tmp_path / "new.bundle"), *config)
        tankwatch("cloud", "rollout", "begin", new[:12], "--reason", "it is newer", *config)
        assert until(lambda: says()[-1] == new, SWITCH_S), logs(folder)
        switched = len(says())
        tankwatch("cloud", "rollout", "back", "1", "--reason", "seen enough", *config)
        assert until(lambda: says()[-1] == former, SWITCH_S), logs(folder)
        assert set(says()[:switched]) == {former, new} and demo.process.poll() is None
        engine.dispose()


def logs(folder: Path) -> str:
    names = ("cloud-rollout.log", "agent-update.log", "agent-inspect.log")
    return "\n".join(line for name in names for line in (folder / name).read_text().splitlines()[-15:])
