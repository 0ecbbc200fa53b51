"""Cases that are on the disk -> the station's drift tests, kept on the disk; read by the reporting thread.

Runs in the keeper's thread, beside the frame loop. What a power cut took is read again from the outbox, which keeps
cases far longer than a restart takes: after it the tests are what they would have been.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
from msgspec import UNSET, UnsetType

from edge_agent import drift_station, durable
from edge_agent.bundle import TrainingRange
from edge_agent.drift_station import Kept, Move
from edge_agent.errors import StoreError
from edge_agent.records import Case


class DriftKeeper:
    """One station's drift; `said` from one thread, everything else from any."""

    def __init__(self, path: Path, *, warn: Callable[[str], None]) -> None:
        """`path`: drift.json. One that cannot be read is said, and the learning begins anew."""
        self._path, self._warn = path, warn
        self._known: dict[str, TrainingRange] = {}
        self._kept = self._read()
        self._moves = drift_station.moves(self._kept.tracks)

    @property
    def sequence(self) -> int:
        """Of the last case that was taken; -1 before the first."""
        return self._kept.sequence

    @property
    def kept(self) -> Kept:
        return self._kept

    @property
    def moves(self) -> list[Move]:
        """What has moved, the strongest first."""
        return self._moves

    @property
    def words(self) -> str:
        """The alarm `drift`: what moved, since about when, by how much, and the cure; empty while nothing has."""
        return drift_station.words(self._moves)

    @property
    def lapse(self) -> str:
        """Why the mode comes down; empty where only the plant has moved."""
        return drift_station.words([move for move in self._moves if move.quantity.lapses])

    def know(self, bundle_sha256: str, training: TrainingRange | UnsetType) -> None:
        """What a bundle says of its training data; without it nothing counts as beyond them."""
        if training is not UNSET:
            self._known = self._known | {bundle_sha256: training}

    def catch_up(self, cases: Iterable[Case]) -> None:
        """At start: the outbox's cases after `sequence`, which a power cut may have kept from here."""
        for case in cases:
            self._take(case)
        self._keep()

    def said(self, case: Case) -> None:
        """One more case is on the disk."""
        self._take(case)
        self._keep()

    def _take(self, case: Case) -> None:
        self._kept = drift_station.took(self._kept, case, self._known.get(case.bundle.sha256))
        self._moves = drift_station.moves(self._kept.tracks)

    def _keep(self) -> None:
        """A disk that refuses costs nothing but a line: the next start reads the cases from the outbox."""
        try:
            durable.write(self._path, msgspec.json.encode(self._kept))
        except StoreError as error:
            self._warn(f"drift is not kept: {error}")

    def _read(self) -> Kept:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Kept)
        except FileNotFoundError:
            return Kept()
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            self._warn(f"{self._path} cannot be read ({error}): drift is learnt anew")
            return Kept()
