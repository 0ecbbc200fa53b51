"""The books of the processes and what people have ordered <-> files in data_dir/alarms, each replaced whole.

One order of a kind is kept for each alarm: the newest. It stays, because whoever has carried it out remembers its key.
"""

import secrets
from pathlib import Path
from typing import get_args

import msgspec

from edge_agent import alarms, durable
from edge_agent.alarm_catalogue import Catalogue
from edge_agent.alarms import Board, Book, Order, Process, Rule
from edge_agent.errors import ConfigError

PROCESSES: tuple[Process, ...] = get_args(Process)
MOST_WORDS = 200
"""Letters of a reason and of a name: they are shown in one line."""
LEAST_SHELF_S = 60.0


class OrderFiles:
    """Orders as they lie there; a file that has not changed is not read again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "orders"
        self._seen: dict[str, tuple[int, Order | None]] = {}

    def read(self) -> tuple[Order, ...]:
        """In the order of their names. What cannot be read is none."""
        try:
            found = sorted(path for path in self._folder.iterdir() if path.suffix == ".json")
        except OSError:
            found = []
        self._seen = {path.name: self._one(path) for path in found}
        return tuple(order for _, order in self._seen.values() if order)

    def _one(self, path: Path) -> tuple[int, Order | None]:
        changed_ns = 0
        try:
            changed_ns = path.stat().st_mtime_ns
            known = self._seen.get(path.name)
            if known and known[0] == changed_ns:
                return known
            return changed_ns, msgspec.json.decode(path.read_bytes(), type=Order)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return changed_ns, None


def read_book(folder: Path, process: Process) -> Book:
    """Empty where none was kept or it cannot be read: what is wrong now is raised again."""
    try:
        return alarms.resumed(msgspec.json.decode(_book_path(folder, process).read_bytes(), type=Book))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return Book()


def write_book(folder: Path, process: Process, book: Book) -> None:
    """Raises StoreError."""
    _make(folder)
    durable.write(_book_path(folder, process), msgspec.json.encode(book))


def standing(folder: Path, catalogue: Catalogue) -> Board:
    """The alarms of all processes, as their books have them."""
    boards = [alarms.board(read_book(folder, process), catalogue.rules(process)) for process in PROCESSES]
    return Board(
        tuple(sorted((one for board in boards for one in board.active), key=alarms.rank)),
        tuple(sorted((one for board in boards for one in board.aside), key=alarms.rank)),
    )


def give(folder: Path, catalogue: Catalogue, order: Order) -> None:
    """Kept, for the process that raises the alarm. Raises ConfigError where it is not allowed, StoreError where it
    cannot be kept."""
    rule = known(catalogue, order.id)
    if order.order == "shelve":
        _check_shelving(rule, order, alarms.longest_shelf_s(rule, catalogue.rules(rule.raised_by)))
    kept = msgspec.structs.replace(
        order, key=secrets.token_hex(8), by=order.by[:MOST_WORDS], reason=order.reason.strip()[:MOST_WORDS]
    )
    kind = "acknowledged" if order.order == "acknowledge" else "shelved"
    _make(folder / "orders")
    durable.write(folder / "orders" / f"{order.id}.{kind}.json", msgspec.json.encode(kept))


def known(catalogue: Catalogue, id: str) -> Rule:
    """The alarm's rule. Raises ConfigError where there is no such alarm."""
    if id not in catalogue.alarm:
        raise ConfigError(f"there is no alarm {id!r}: {', '.join(sorted(catalogue.alarm))} there are")
    return catalogue.alarm[id]


def _check_shelving(rule: Rule, order: Order, longest_s: float) -> None:
    if not longest_s:
        raise ConfigError(f"alarm {order.id!r} may not be shelved: {rule.rationale}")
    if not LEAST_SHELF_S <= order.for_s <= longest_s:
        span = f"{LEAST_SHELF_S / 60:.0f} to {longest_s / 60:.0f} minutes"
        raise ConfigError(
            f"alarm {order.id!r} is {rule.priority}, {order.for_s / 60:g} minutes are no time for it: give {span}"
        )
    if not order.reason.strip():
        raise ConfigError("shelving needs a reason: whoever comes next has to know it")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise durable.failure(folder, error) from error


def _book_path(folder: Path, process: Process) -> Path:
    return folder / f"{process}.json"
