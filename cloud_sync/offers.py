"""What devices are asked for -> targets of the signed repository: bundles, and orders that say how much they decide.

Putting the same there again changes nothing; what this process has put there it does not put again every few seconds.
"""

import logging

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from cloud_sync import desire, mode_orders, registry, rollouts, signing
from cloud_sync.config import CloudConfig
from cloud_sync.signed_state import Books
from edge_agent.errors import ConfigError, StoreError
from edge_agent.offered import bundle_target, station_target
from edge_agent.wire import sha256_of

log = logging.getLogger(__name__)


class Offers:
    """Of one process. `fault`: why orders reach no device now, in words; empty where they do."""

    def __init__(self, config: CloudConfig, engine: Engine) -> None:
        self._config, self._engine = config, engine
        self._put: dict[str, str] = {}
        """Target -> hash of what lies there."""
        self._said: set[str] = set()
        self.fault = ""

    def forget(self) -> None:
        """Everything is compared with the repository anew: somebody may have restored it."""
        self._put.clear()

    def bring(self, now: float) -> None:
        """Whatever is not there yet. Bundles and orders have keys of their own: one may be missing here."""
        self.fault = missing(self._config)
        if self.fault:
            self._say(self.fault)
            return
        with self._engine.connect() as connection:
            bundles, orders = self._bundles(connection), self._orders(connection)
        self._offer(bundles, now)
        self.fault = self._offer(orders, now)

    def _bundles(self, connection: sa.Connection) -> dict[str, bytes]:
        found = {}
        for sha256 in sorted(_wanted(connection)):
            target = bundle_target(sha256)
            if target not in self._put and (data := self._bytes(sha256)) is not None:
                found[target] = data
        return found

    def _bytes(self, sha256: str) -> bytes | None:
        try:
            return registry.path(self._config, sha256).read_bytes()
        except OSError as error:
            self._say(f"bundle {sha256[:12]} is asked for and its file cannot be read ({error.strerror}): publish it")
            return None

    def _orders(self, connection: sa.Connection) -> dict[str, bytes]:
        files = {station_target(*place, name): data for place, name, data in mode_orders.files(connection)}
        return {target: data for target, data in files.items() if self._put.get(target) != sha256_of(data)}

    def _offer(self, files: dict[str, bytes], now: float) -> str:
        """Empty, or why it failed."""
        if not files:
            return ""
        try:
            if signing.put(self._config, files, now):
                log.info("offered to devices: %s", ", ".join(files))
        except (ConfigError, StoreError) as error:
            self._say(str(error))
            return str(error)
        self._put |= {target: sha256_of(data) for target, data in files.items()}
        return ""

    def _say(self, words: str) -> None:
        """Once: it would be the same in five seconds."""
        if words not in self._said:
            log.error("%s", words)
        self._said.add(words)


def missing(config: CloudConfig) -> str:
    """Why nothing can be offered to devices from here; empty where a repository is there."""
    if Books.exists(config.updates_path):
        return ""
    return (
        "there is no signed repository, so no bundle and no order reaches a device: make it with 'cloud updates init'"
    )


def _wanted(connection: sa.Connection) -> set[str]:
    """Hashes of what any device is asked to run or to hear, or will be as soon as it is its turn."""
    refs = [ref for wish in desire.all_wanted(connection).values() for ref in (wish.bundle, wish.challenger)]
    asked = {ref.sha256 for ref in refs if ref is not None}
    coming = {kept.rollout.bundle.sha256 for kept in rollouts.active(connection)}
    return {sha256 for sha256 in asked | coming if registry.find(connection, sha256) is not None}
