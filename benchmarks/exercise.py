"""What every drill's command line has in common: --full, --seed, --json, a folder that goes, the ledger at the end."""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

P = TypeVar("P")
Say = Callable[[str], None]
Ledger = dict


@dataclass(frozen=True, slots=True)
class Exercise(Generic[P]):
    """One drill. `plan` gives how much is done: (full, seed) -> what `drill` is handed with a folder of its own."""

    name: str
    about: str
    plan: Callable[[bool, int], P]
    drill: Callable[[P, Path, Say], Ledger]
    is_good: Callable[[Ledger], bool]
    ask: Callable[[argparse.ArgumentParser], object] = lambda _: None
    """Adds options of this drill's own."""
    heed: Callable[[P, argparse.Namespace], P] = lambda plan, _: plan
    """The plan, with those options in it."""

    def run(self, argv: list[str]) -> int:
        """`tankwatch drill NAME`; 1 where the ledger is not good."""
        parser = argparse.ArgumentParser(f"tankwatch drill {self.name}", description=self.about)
        parser.add_argument("--full", action="store_true", help="the whole drill; without it a short form")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--json", action="store_true", help="only the ledger, as one JSON object")
        self.ask(parser)
        options = parser.parse_args(argv)
        plan = self.heed(self.plan(options.full, options.seed), options)
        with tempfile.TemporaryDirectory(prefix="tankwatch-drill-") as folder:
            found = self.drill(plan, Path(folder), _say)
        print(json.dumps(found) if options.json else words(found))
        return 0 if self.is_good(found) else 1


def words(found: Ledger) -> str:
    """A ledger for people: a line each."""
    return "\n".join(f"{name:24} {value}" for name, value in found.items())


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
