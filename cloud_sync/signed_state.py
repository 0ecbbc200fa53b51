"""The repository's metadata: read from its folder, changed in memory, signed and written in an order that a kill cannot
spoil.

    root (2 of 3 keys) -> targets -> bundles, stations;  snapshot names their versions;  timestamp names the snapshot
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from cloud_sync.config import CloudConfig
from cloud_sync.signing_keys import KeyFolders
from edge_agent import durable
from edge_agent.errors import ConfigError
from edge_agent.offered import PATHS, SIGNED_AT

ROLES = ("targets", *PATHS)
ONLINE = ("snapshot", "timestamp")
EVERY = ("root", *ROLES, *ONLINE)
RENEW_SHARE = 1 / 3
"""What has less of its life before it is signed again."""
ROOT_WARNING = timedelta(days=60)
"""Long enough to find the people with the keys."""


class Books:
    """The repository as it stands, and what has been changed since it was read."""

    def __init__(self, config: CloudConfig, root: Metadata[Root], parts: dict[str, Metadata[Any]]) -> None:
        self.config, self.folder, self.keys = config, config.updates_path, KeyFolders(config)
        self.root, self.parts = root, parts

    @staticmethod
    def exists(folder: Path) -> bool:
        return (folder / "metadata" / "timestamp.json").is_file()

    @classmethod
    def load(cls, config: CloudConfig) -> "Books":
        """Raises ConfigError where there is no repository, or a damaged one."""
        folder = config.updates_path / "metadata"
        if not cls.exists(config.updates_path):
            raise ConfigError(f"there is no signed repository in {folder.parent}: make it with 'cloud updates init'")
        try:
            timestamp = Metadata[Timestamp].from_file(str(folder / "timestamp.json"))
            snapshot = Metadata[Snapshot].from_file(
                str(folder / f"{timestamp.signed.snapshot_meta.version}.snapshot.json")
            )
            parts: dict[str, Metadata[Any]] = {"timestamp": timestamp, "snapshot": snapshot}
            for role in ROLES:
                version = snapshot.signed.meta[f"{role}.json"].version
                parts[role] = Metadata[Targets].from_file(str(folder / f"{version}.{role}.json"))
            return cls(config, _newest_root(folder), parts)
        except (OSError, KeyError, RepositoryError) as error:
            raise ConfigError(
                f"the repository in {folder.parent} is damaged ({error}): restore the folder from a backup"
            ) from error

    def targets(self) -> dict[str, TargetFile]:
        """Everything that is offered."""
        return {path: info for role in PATHS for path, info in self.parts[role].signed.targets.items()}

    def target(self, path: str) -> TargetFile | None:
        return self.targets().get(path)

    def offer(self, info: TargetFile) -> str:
        """Names a target; gives the role that has to be published."""
        role = info.path.split("/")[0]
        self.parts[role].signed.targets[info.path] = info
        return role

    def drop(self, path: str) -> str | None:
        """Names it no longer."""
        role = path.split("/")[0]
        return role if self.parts[role].signed.targets.pop(path, None) else None

    def publish(self, changed: Iterable[str], now: float) -> None:
        """Signs and writes what has changed, what ends soon, and what its keys no longer hold for; timestamp last."""
        roles = [role for role in ROLES if role in changed or (self._is_due(role, now) and self._has_keys(role))]
        for role in roles:
            self._sign(role, now)
            self._note_in("snapshot", role)
        if roles or self._is_due("snapshot", now):
            self._sign("snapshot", now)
            self._note_in("timestamp", "snapshot")
        self.parts["timestamp"].signed.unrecognized_fields[SIGNED_AT] = _moment(now).isoformat()
        self._sign("timestamp", now)

    def publish_root(self, old: Metadata[Root] | None, now: float) -> None:
        """The next root, signed by as many keys as the one before asks for, and as it asks for itself."""
        self.root.signed.expires = _moment(now) + timedelta(days=self.config.updates.root_days)
        self.root.signatures.clear()
        wanted = {*self.root.signed.roles["root"].keyids, *(old.signed.roles["root"].keyids if old else ())}
        for keyid, signer in self.keys.signers("root").items():
            if keyid in wanted:
                self.root.sign(signer, append=True)
        data = self.root.to_bytes()
        try:
            for one in (old, self.root):
                if one:
                    one.signed.verify_delegate("root", self.root.signed_bytes, self.root.signatures)
        except UnsignedMetadataError as error:
            raise ConfigError(
                f"too few root keys lie in {self.keys.folder('root')} ({error}): bring the others there for this step"
            ) from error
        durable.write(self.folder / "metadata" / f"{self.root.signed.version}.root.json", data)

    def worries(self, now: float) -> list[str]:
        """What no refresh can mend: keys that are not here, a root that ends."""
        left = self.root.signed.expires - _moment(now)
        words = [
            f"{role} ends on {self.parts[role].signed.expires:%Y-%m-%d} and its key is not in "
            f"{self.keys.folder(role)}: bring it there, or exchange it with 'cloud updates rotate {role}'"
            for role in ROLES
            if self._is_due(role, now)
        ]
        if left < ROOT_WARNING:
            words.append(f"root ends in {left.days} days: fetch its keys and run 'cloud updates rotate root'")
        return words

    def current_names(self) -> set[str]:
        """Of the metadata files with a version that count."""
        return {f"{self.parts[role].signed.version}.{role}.json" for role in (*ROLES, "snapshot")}

    def threshold(self, role: str) -> tuple[int, list[str]]:
        """How many of which keys have to sign `role`."""
        found = self._delegator(role).get_delegated_role(role)
        return found.threshold, list(found.keyids)

    def _delegator(self, role: str) -> Root | Targets:
        return self.parts["targets"].signed if role in PATHS else self.root.signed

    def _has_keys(self, role: str) -> bool:
        threshold, keyids = self.threshold(role)
        return len(self.keys.signers(role).keys() & set(keyids)) >= threshold

    def _is_due(self, role: str, now: float) -> bool:
        part = self.parts[role]
        try:
            self._delegator(role).verify_delegate(role, part.signed_bytes, part.signatures)
        except RepositoryError:
            return True
        return part.signed.expires - _moment(now) < RENEW_SHARE * self._lifetime(role)

    def _sign(self, role: str, now: float) -> None:
        """A new version on the disk. Nobody has seen one that an interruption left: no timestamp led to it."""
        if not self._has_keys(role):
            raise ConfigError(
                f"the key of role {role} is not in {self.keys.folder(role)}: bring it there, or run "
                f"'cloud updates rotate {role}'"
            )
        part = self.parts[role]
        part.signed.version += 1
        part.signed.expires = _moment(now) + self._lifetime(role)
        part.signatures.clear()
        keyids = self.threshold(role)[1]
        for keyid, signer in self.keys.signers(role).items():
            if keyid in keyids:
                part.sign(signer, append=True)
        name = "timestamp.json" if role == "timestamp" else f"{part.signed.version}.{role}.json"
        durable.write(self.folder / "metadata" / name, part.to_bytes())

    def _note_in(self, where: str, role: str) -> None:
        part = self.parts[role]
        meta = MetaFile.from_data(part.signed.version, part.to_bytes(), ["sha256"])
        if where == "timestamp":
            self.parts[where].signed.snapshot_meta = meta
        else:
            self.parts[where].signed.meta[f"{role}.json"] = meta

    def _lifetime(self, role: str) -> timedelta:
        updates = self.config.updates
        days = {"snapshot": updates.snapshot_days, "timestamp": updates.timestamp_days}
        return timedelta(days=days.get(role, updates.role_days))


def first_books(config: CloudConfig, now: float) -> Books:
    """Nothing offered yet; keys and first root are on the disk, also those that an interruption has left."""
    folder = config.updates_path / "metadata"
    books = Books(config, Metadata(Root(version=1)), {})
    keys = {role: _made(books.keys, role, _key_count(config, role)) for role in EVERY}
    if (folder / "1.root.json").is_file():
        books.root = _newest_root(folder)
    else:
        for role in ("root", "targets", *ONLINE):
            for signer in keys[role]:
                books.root.signed.add_key(signer.public_key, role)
        books.root.signed.roles["root"].threshold = config.updates.root_threshold
        books.publish_root(None, now)
    books.parts = {
        "timestamp": Metadata(Timestamp(version=1)),
        "snapshot": Metadata(Snapshot(version=1)),
        "targets": Metadata(Targets(version=1, delegations=_delegations(keys))),
        **{role: Metadata(Targets(version=1)) for role in PATHS},
    }
    for part in books.parts.values():
        part.signed.version = 0  # signing makes it 1
    return books


def exchange(books: Books, role: str, now: float) -> None:
    """New keys for `role` on the disk, then the metadata that name them, then the old ones go. Raises ConfigError."""
    if role not in EVERY:
        raise ConfigError(f"there is no role {role[:40]!r}: choose {', '.join(EVERY)}")
    fresh = [books.keys.make(role) for _ in range(_key_count(books.config, role))]
    old = Metadata[Root].from_bytes(books.root.to_bytes())
    delegator = books._delegator(role)
    for keyid in list(delegator.get_delegated_role(role).keyids):
        delegator.revoke_key(keyid, role)
    for signer in fresh:
        delegator.add_key(signer.public_key, role)
    if role == "root":
        books.root.signed.roles["root"].threshold = books.config.updates.root_threshold
    if role not in PATHS:
        books.root.signed.version += 1
        books.publish_root(old, now)
    books.publish(("targets", role) if role in PATHS else (), now)
    books.keys.forget(role, (signer.public_key.keyid for signer in fresh))


def _made(keys: KeyFolders, role: str, count: int) -> list:
    found = list(keys.signers(role).values())
    return found + [keys.make(role) for _ in range(count - len(found))]


def _key_count(config: CloudConfig, role: str) -> int:
    return config.updates.root_key_count if role == "root" else 1


def _delegations(keys: dict[str, list]) -> Delegations:
    roles = {
        role: DelegatedRole(role, [signer.public_key.keyid for signer in keys[role]], 1, True, paths)
        for role, paths in PATHS.items()
    }
    return Delegations({signer.public_key.keyid: signer.public_key for role in PATHS for signer in keys[role]}, roles)


def _newest_root(folder: Path) -> Metadata[Root]:
    version = 1
    while (folder / f"{version + 1}.root.json").is_file():
        version += 1
    return Metadata[Root].from_file(str(folder / f"{version}.root.json"))


def _moment(now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC).replace(microsecond=0)
