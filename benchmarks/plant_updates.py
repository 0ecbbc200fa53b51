"""A cloud in a folder -> its signed repository, the champion in its registry, and what a device needs to trust both."""

import shutil
from pathlib import Path

from sqlalchemy.engine import Engine

from cloud_sync import registry, signing, tokens
from cloud_sync.accounts import Act
from cloud_sync.config import CloudConfig
from edge_agent.config import UpdatesConfig

TOKEN = "TANKWATCH_DEMO_UPDATES"
"""Name of the environment variable with the device's token."""
ROOT = "root.json"
EVERY_S = 5.0
"""Nobody who looks on waits half a minute."""
WHO = "demo"


def settings(port: int) -> UpdatesConfig:
    """Of the device. Nothing has been judged here yet, so there is nothing to try bundles on but their golden cases."""
    url = f"http://127.0.0.1:{port}/updates"
    return UpdatesConfig(url=url, root=ROOT, token_env=TOKEN, every_s=EVERY_S, require_references=False)


def provide(config: CloudConfig, engine: Engine, bundle: Path, folder: Path, now: float) -> str:
    """The repository is there, its root is carried to the device's `folder`. The device's token."""
    signing.begin(config, now)
    shutil.copyfile(config.updates_path / "metadata" / "1.root.json", folder / ROOT)
    champion = registry.keep(config, bundle)
    with engine.begin() as connection:
        registry.add(connection, champion, who=WHO, reason="it speaks from the start", now=now)
        registry.move(connection, champion.sha256, "champion", who=WHO, reason="the first one", now=now)
        return tokens.add(connection, "device", "viewer", tokens.DAYS, act=Act(at=now))
