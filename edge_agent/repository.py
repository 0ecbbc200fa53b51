"""The signed repository (TUF) as a device sees it: which targets there are, and their bytes; whatever is not as signed
is refused with its reason in words.

The order of the checks is python-tuf's; size, time, the way of the versions and the clock are ours. What has been
trusted once lies in `folder`, so that nothing older is believed again.
"""

import json
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from tuf.api import exceptions as tuf
from tuf.api.metadata import TargetFile
from tuf.ngclient import FetcherInterface, Updater

from edge_agent import clock as clocks
from edge_agent import durable
from edge_agent.config import UpdatesConfig, secret
from edge_agent.errors import ConfigError, LinkError
from edge_agent.fetching import Fetching, Terms, is_safe_for_tokens
from edge_agent.offered import SIGNED_AT

Reason = Literal[
    "unreachable", "slow", "too_long", "expired", "signature", "version", "ahead", "altered", "malformed", "clock"
]
MOST_STEPS = 1_000_000
"""A version that is so far ahead was not reached by signing again: 1,000 stations with an order a day take years."""
CURES: dict[Reason, str] = {
    "unreachable": "look at the network, at url and token of [updates], and at the server",
    "slow": "look at the line; what has come of a large file is kept",
    "too_long": "somebody else answers in the server's place, or it is damaged: look at url of [updates]",
    "expired": "nothing newer comes through: let the cloud run 'cloud updates refresh', for root 'cloud updates rotate "
    "root', and look who is in between",
    "signature": "this was not signed by our keys: look at url and root of [updates]; if the cloud was set up anew, "
    "bring its root.json here",
    "version": "an older state is shown as the newest, or parts of several: look who is in between, or at the mirror",
    "ahead": "somebody has signed in the cloud's name: run 'cloud updates rotate timestamp' and '… snapshot'",
    "altered": "it was changed on its way, or is not whole: it is fetched again; look who is in between",
    "malformed": "this is no repository of ours: look at url of [updates]",
    "clock": "set the clock",
}


class Refused(LinkError):
    """Nothing was taken from the repository."""

    def __init__(self, reason: Reason, words: str) -> None:
        super().__init__(words)
        self.reason = reason


class Repository:
    """One device's view of the repository. Raises ConfigError where [updates] does not name a usable one."""

    def __init__(
        self,
        updates: UpdatesConfig,
        folder: Path,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        turned: Callable[[], None] = lambda: None,
    ) -> None:
        """`turned` hears again and again that it goes on."""
        if not updates.url or not updates.root:
            raise ConfigError("[updates] needs url and root: give the repository's address and its root.json")
        self._urls = [url.rstrip("/") for url in (updates.url, *updates.mirrors)]
        self._folder, self._now = folder, now
        self._root = _read_root(Path(updates.root))
        token = secret(updates.token_env)
        if token and any(not is_safe_for_tokens(url) for url in self._urls):
            raise ConfigError("a token of [updates] would go over http for all to read: use https addresses")
        self._fetching = Fetching(Terms(updates.patience_s, updates.slowest_bytes_s, updates.ca, token), turned)
        self.notes: list[str] = []
        """What was wrong with one address while another one served."""
        self.signed: datetime | None = self._signed_at()
        """When the newest state was signed, UTC."""

    def look(self, wanted: Iterable[str]) -> dict[str, TargetFile]:
        """The newest state is trusted from now on; those of the `wanted` targets that it offers. Raises Refused."""
        paths = list(wanted)
        self._check_clock()
        found = self._by_turns(lambda _, url: self._look(url, paths))
        self.signed = self._signed_at()
        self._check_clock()
        return found

    def fetch(self, info: TargetFile, target: Path, limit: int) -> None:
        """`target` has the bytes that are signed; goes on after an interruption. Raises Refused or StoreError."""
        if info.length > limit:
            words = f"{info.path} has {info.length} bytes, limit {limit}: it is not one of ours"
            raise Refused("too_long", words)
        self._by_turns(lambda number, url: self._fetch(number, url, info, target))

    def is_held(self, info: TargetFile, path: Path) -> bool:
        """Whether the file has the bytes that are signed."""
        try:
            with open(path, "rb") as file:
                info.verify_length_and_hashes(file)
        except (OSError, tuf.LengthOrHashMismatchError):
            return False
        return True

    def ends(self) -> dict[str, datetime]:
        """Role -> when what is trusted of it here ends, UTC; those of which nothing is known are left out."""
        found = {}
        for role in ("root", "timestamp", "snapshot", "targets"):
            text = str(_signed(_bytes(self._folder / "metadata" / f"{role}.json")).get("expires", ""))
            if text:
                found[role] = datetime.fromisoformat(text)
        return found

    def sweep(self, older_s: float) -> None:
        """Downloads, whole or in part, that nobody went on with are gone."""
        for path in (*(self._folder / "partial").glob("*"), *(self._folder / "fetched").glob("*")):
            if time.time() - path.stat().st_mtime > older_s:
                durable.remove(path)

    def _by_turns(self, ask: Callable):
        """The first address that serves; a bad one cannot keep us from a good one."""
        refusals: list[Refused] = []
        for number, url in enumerate(self._urls):
            try:
                answer = ask(number, url)
            except Refused as refused:
                refusals.append(refused)
                continue
            self.notes += [str(refused) for refused in refusals]
            return answer
        raise next((one for one in refusals if one.reason != "unreachable"), refusals[0])

    def _look(self, url: str, paths: list[str]) -> dict[str, TargetFile]:
        folder = self._folder / "metadata"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            before = _bytes(folder / "timestamp.json")
            updater = self._updater(folder, url)
            updater.refresh()
            found = {path: info for path in paths if (info := updater.get_targetinfo(path))}
            if _bytes(folder / "timestamp.json") != before:
                _settle(folder)
        except (tuf.RepositoryError, tuf.DownloadError) as error:
            raise _refused(error, url) from error
        except OSError as error:
            raise durable.failure(folder, error) from error
        return found

    def _updater(self, folder: Path, url: str) -> Updater:
        guarded = _Guarded(self._fetching, folder)
        try:
            return Updater(str(folder), f"{url}/metadata/", fetcher=guarded, bootstrap=self._root)
        except tuf.RepositoryError as error:
            fact = str(error).splitlines()[0][:200]
            raise ConfigError(f"root of [updates] is no root.json ({fact}): bring the cloud's here again") from error

    def _fetch(self, number: int, url: str, info: TargetFile, target: Path) -> None:
        # Each address goes on with its own part: one that lies spoils nobody else's.
        part = self._folder / "partial" / f"{info.hashes['sha256']}-{number}"
        try:
            for folder in (part.parent, target.parent):
                folder.mkdir(parents=True, exist_ok=True)
            self._fetching.resume(f"{url}/targets/{info.get_prefixed_paths()[0]}", part, info.length)
            with open(part, "rb") as file:
                info.verify_length_and_hashes(file)
        except (tuf.LengthOrHashMismatchError, tuf.DownloadLengthMismatchError) as error:
            durable.remove(part)
            raise _refused(error, url, info.path) from error
        except tuf.DownloadError as error:
            raise _refused(error, url, info.path) from error
        except OSError as error:
            raise durable.failure(part, error) from error
        durable.sync(part)
        durable.move(part, target)

    def _check_clock(self) -> None:
        words = clocks.fault(self._now(), clocks.software_from(), self.signed)
        if words:
            raise Refused("clock", f"no update is looked for: {words}")

    def _signed_at(self) -> datetime | None:
        """By the newest timestamp that was trusted here."""
        signed = _signed(_bytes(self._folder / "metadata" / "timestamp.json"))
        try:
            return datetime.fromisoformat(str(signed[SIGNED_AT]))
        except (KeyError, ValueError):
            return None


class _Guarded(FetcherInterface):
    """The way to a server, with an eye on versions that run ahead before they are trusted and stop every later one."""

    def __init__(self, fetching: Fetching, folder: Path) -> None:
        self._fetching, self._folder = fetching, folder

    def _fetch(self, url: str):
        return self._fetching.fetch(url)

    def download_bytes(self, url: str, max_length: int) -> bytes:
        data = super().download_bytes(url, max_length)
        said = _versions(_signed(data))
        for role in ("timestamp", "snapshot"):
            known = _versions(_signed(_bytes(self._folder / f"{role}.json")))
            for name, version in said.items():
                if name in known and version > known[name] + MOST_STEPS:
                    raise _Ahead(f"{name} has version {version}, {known[name]} is known here, limit {MOST_STEPS} more")
        return data


class _Ahead(tuf.RepositoryError):
    """A version that nobody reaches by signing."""


_REASONS: tuple[tuple[type[Exception], Reason], ...] = (
    (_Ahead, "ahead"),
    (tuf.UnsignedMetadataError, "signature"),
    (tuf.ExpiredMetadataError, "expired"),
    (tuf.BadVersionNumberError, "version"),
    (tuf.LengthOrHashMismatchError, "altered"),
    (tuf.RepositoryError, "malformed"),
    (tuf.DownloadLengthMismatchError, "too_long"),
    (tuf.SlowRetrievalError, "slow"),
    (tuf.DownloadError, "unreachable"),
)


def _refused(error: Exception, url: str, what: str = "the list of updates") -> Refused:
    reason = next(reason for kind, reason in _REASONS if isinstance(error, kind))
    fact = (str(error) or type(error).__name__).splitlines()[0][:200].rstrip(".")
    return Refused(reason, f"{what} from {url} is refused, {fact}: {CURES[reason]}")


def _read_root(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"root {path} of [updates] cannot be read ({error.strerror}): bring root.json there"
        ) from error


def _settle(folder: Path) -> None:
    """What was trusted stays so after a power cut."""
    for path in folder.glob("**/*.json"):
        if path.is_file() and not path.is_symlink():
            durable.sync(path)
    durable.sync_folder(folder)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _signed(data: bytes) -> dict:
    """The signed part of metadata, as it says of itself; empty for anything else."""
    try:
        found = json.loads(data)["signed"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _versions(signed: dict) -> dict[str, int]:
    """File name -> version, of a timestamp or snapshot and of what it names."""
    kind, meta = signed.get("_type"), signed.get("meta")
    if kind not in ("timestamp", "snapshot") or not isinstance(meta, dict):
        return {}
    named = {name: one.get("version") for name, one in meta.items() if isinstance(one, dict)}
    return {
        name: version
        for name, version in {f"{kind}.json": signed.get("version"), **named}.items()
        if type(version) is int
    }
