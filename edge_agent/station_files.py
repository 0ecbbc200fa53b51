"""What the signed repository holds for this station <-> the folder signed/: mode.json, references.json and its clips.

What is no longer offered is gone here too; what could not be fetched leaves what was there.
"""

from collections.abc import Mapping
from pathlib import Path

from tuf.api.metadata import TargetFile

from edge_agent import durable, references
from edge_agent.errors import ModelError
from edge_agent.offered import MODE, REFERENCES, clip_name, station_target
from edge_agent.references import References
from edge_agent.repository import Repository

LARGEST_MODE = 64 << 10
LIMITS = {MODE: LARGEST_MODE, REFERENCES: references.LARGEST_FILE}


class StationFiles:
    """One station's files in `folder`."""

    def __init__(self, folder: Path, site: str, station: str) -> None:
        self._folder, self._site, self._station = folder, site, station

    @property
    def targets(self) -> list[str]:
        """Those that are looked for with every look."""
        return [self._target(name) for name in LIMITS]

    def bring(self, repository: Repository, found: Mapping[str, TargetFile]) -> list[str]:
        """The folder holds what is offered; gives the names of what has changed. Raises Refused or StoreError."""
        changed = [name for name in (MODE,) if self._bring(repository, found, name)]
        info = found.get(self._target(REFERENCES))
        path = self._folder / REFERENCES
        if info is None or not repository.is_held(info, path) or self._lacks_clips():
            # The clips come first, so that the list on the disk never names one that is not here.
            fetched = self._folder / "new" / REFERENCES
            if info:
                repository.fetch(info, fetched, references.LARGEST_FILE)
                self._bring_clips(repository, references.read(fetched.read_bytes(), self._site, self._station))
                durable.move(fetched, path)
                changed.append(REFERENCES)
            elif path.exists():
                durable.remove(path)
                changed.append(REFERENCES)
            self._sweep_clips()
        return changed

    def references(self) -> tuple[References | None, bytes]:
        """The cases to try bundles on, with the file's bytes. Raises ModelError for what is not this station's."""
        try:
            data = (self._folder / REFERENCES).read_bytes()
        except FileNotFoundError:
            return None, b""
        except OSError as error:
            raise durable.failure(self._folder, error) from error
        return references.read(data, self._site, self._station), data

    @property
    def clips(self) -> Path:
        """Folder of the reference clips."""
        return self._folder / "clips"

    def _bring(self, repository: Repository, found: Mapping[str, TargetFile], name: str) -> bool:
        info, path = found.get(self._target(name)), self._folder / name
        if info is None:
            there = path.exists()
            durable.remove(path)
            return there
        if repository.is_held(info, path):
            return False
        repository.fetch(info, path, LIMITS[name])
        return True

    def _bring_clips(self, repository: Repository, wanted: References) -> None:
        targets = {self._target(clip_name(case.sha256)): case.sha256 for case in wanted.cases}
        offered = repository.look(targets)
        for target, sha256 in targets.items():
            info, path = offered.get(target), self.clips / clip_name(sha256)
            if info is None or info.hashes.get("sha256") != sha256:
                raise ModelError(f"reference clip {sha256[:12]} is not offered: sign it anew with 'cloud references'")
            if not repository.is_held(info, path):
                repository.fetch(info, path, references.LARGEST_CLIP)

    def _lacks_clips(self) -> bool:
        """Whether one that is named has been removed: a bundle would be refused for it."""
        named, _ = self.references()
        return any(not (self.clips / clip_name(case.sha256)).is_file() for case in named.cases) if named else False

    def _sweep_clips(self) -> None:
        """Clips that no list names any more."""
        named, _ = self.references()
        kept = {clip_name(case.sha256) for case in named.cases} if named else set()
        for path in self.clips.glob("*"):
            if path.name not in kept:
                durable.remove(path)

    def _target(self, name: str) -> str:
        return station_target(self._site, self._station, name)
