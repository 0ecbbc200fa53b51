"""`release cloud check|alive|back`: a release and this machine's cloud -> can it, does it, and tables as before.

`upgrade` asks it of a new release before it becomes current and while it is watched, and lets it take its tables back.
"""

import argparse
import importlib
import json
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from cloud_sync import config as cloud_config
from cloud_sync import db
from cloud_sync.config import CloudConfig
from edge_agent.errors import LinkError

PROCESSES = ("cloud_sync.ingest", "cloud_sync.web", "cloud_sync.rollout", "cloud_sync.provision")
ANSWER_S = 5.0


def release(argv: list[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser("tankwatch release cloud", description="Can this release run here, and does it?")
    parser.add_argument("action", choices=["check", "alive", "back"])
    parser.add_argument("revision", nargs="?", help="of back: of the tables before")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="cloud.toml")
    options = parser.parse_args(argv)
    config = cloud_config.load(options.config)
    if options.action == "alive":
        alive(config)
    elif options.action == "back":
        db.open_url(config.database_url, options.revision).dispose()
    else:
        print(json.dumps({"database": check(config)}))
    return 0


def check(config: CloudConfig) -> str | None:
    """Processes can be imported, the database answers and is none of a later program; gives its tables' revision.

    Nothing is changed: the tables are brought up to date, with a copy kept beside SQLite's file, by whichever process
    of the new release opens them first. Raises TankwatchError.
    """
    for name in PROCESSES:
        importlib.import_module(name)
    return db.revision(config.database_url)


def alive(config: CloudConfig) -> None:
    """The pages answer. Raises LinkError where they do not."""
    host = "127.0.0.1" if config.web.host in ("0.0.0.0", "::") else config.web.host
    url = f"http://{host}:{config.web.port}/healthz"
    named = {"Host": urlsplit(config.web.url).netloc} if config.web.url else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=named), timeout=ANSWER_S) as answer:
            answer.read()
    except (OSError, urllib.error.URLError) as error:
        raise LinkError(f"the pages do not answer at {url} ({error}): see journalctl -u tankwatch-cloud-web") from error
