"""Tankwatch's own programs as they are started on a device and in the cloud, for drills that run them as they are."""

import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

from benchmarks.installation import until

FRONT_DOOR = Path(__file__).resolve().parent.parent / "tankwatch.py"
PATIENCE_S = 240.0
"""For each thing that is waited for, on a machine that does much else."""
EVERY_S = 0.05


class Programs:
    """By name; each says what it has to say in a file NAME.log of the folder. All end with the block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen] = {}
        self._others: list[subprocess.Popen] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for program in (*self._running.values(), *self._others):
            program.kill()
            program.wait()

    def start(self, name: str, package: str, word: str, config: Path) -> None:
        """`tankwatch PACKAGE WORD --config CONFIG`."""
        command = [sys.executable, str(FRONT_DOOR), package, word, "--config", str(config)]
        if name in self._running:
            self._others.append(self._running[name])
        with open(self._log(name), "ab") as log:
            self._running[name] = subprocess.Popen(command, stdout=log, stderr=log)

    def stop(self, name: str) -> None:
        """As its supervisor does."""
        self._running[name].terminate()
        self._running[name].wait(PATIENCE_S)

    def said(self, name: str) -> str:
        return self._log(name).read_text(errors="replace")

    def wait(self, what: str, true: Callable[[], bool]) -> None:
        """Raises RuntimeError where it does not come true, or a program has ended by itself."""

        def looked() -> bool:
            ended = [name for name, program in self._running.items() if program.poll() not in (None, 0)]
            if ended:
                raise RuntimeError(f"{', '.join(ended)} ended by itself: {self._last_words(ended)}")
            return true()

        if not until(looked, PATIENCE_S, EVERY_S):
            raise RuntimeError(f"{what}: not within {PATIENCE_S:.0f} s: {self._last_words(self._running)}")

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _last_words(self, names: Iterable[str]) -> dict[str, str]:
        return {name: self.said(name)[-1500:] for name in names}
