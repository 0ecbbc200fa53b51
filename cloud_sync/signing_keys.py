"""Folders of private keys <-> signers of the repository's roles; one file a key, readable by its owner alone.

A file's name says for which role its key was made; whether it may sign is said by the metadata, which names key ids.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner

from cloud_sync.config import CloudConfig
from edge_agent import durable
from edge_agent.errors import ConfigError

ROOT = "root"


class KeyFolders:
    """Where the keys of each role lie."""

    def __init__(self, config: CloudConfig) -> None:
        updates = config.updates
        self._daily = Path(updates.keys) if updates.keys else config.folder / "update-keys"
        self._root = Path(updates.root_keys) if updates.root_keys else self._daily / ROOT

    def folder(self, role: str) -> Path:
        return self._root if role == ROOT else self._daily

    def signers(self, role: str) -> dict[str, CryptoSigner]:
        """Key id -> signer of every key that was made for `role`. Raises ConfigError for a file that is no key."""
        found = (_signer(path) for path in sorted(self.folder(role).glob(f"{role}-*.pem")))
        return {signer.public_key.keyid: signer for signer in found}

    def make(self, role: str) -> CryptoSigner:
        """A new key for `role`, on the disk before it is used. Raises StoreError."""
        signer = CryptoSigner.generate_ed25519()
        path = self.folder(role) / f"{role}-{signer.public_key.keyid[:16]}.pem"
        for folder in (self._daily, path.parent):
            _make_private(folder)
        _write_secret(path, signer.private_bytes)
        return signer

    def forget(self, role: str, keep: Iterable[str]) -> None:
        """Files of keys that may no longer sign are gone."""
        for keyid in self.signers(role).keys() - set(keep):
            durable.remove(self.folder(role) / f"{role}-{keyid[:16]}.pem")


def _signer(path: Path) -> CryptoSigner:
    try:
        return CryptoSigner(load_pem_private_key(path.read_bytes(), None))
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"key {path} cannot be used ({error}): restore it, or exchange it with 'rotate'") from error


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise durable.failure(folder, error) from error


def _write_secret(path: Path, data: bytes) -> None:
    """The temporary file has its rights before it has the key."""
    temporary = path.with_name(path.name + durable.TEMPORARY)
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600))
    except OSError as error:
        raise durable.failure(path, error) from error
    durable.write(path, data)
