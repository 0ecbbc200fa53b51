"""Ingest dies at named moments and at random and is started again each time; also while its database is away."""

import functools
import itertools
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager

import sqlalchemy as sa

from benchmarks import flow, ingest_deaths
from benchmarks.installation import Processes

MOMENT_S = 15.0
"""A moment that has not come by then is no moment of these messages: the process is killed where it is."""
RANDOM, NO_DATABASE = "at random", "while the database was away"
BURST_S, PAUSE_S, LOOK_S = 0.3, 0.3, 0.2
TakeIn = Callable[[Callable[[], None] | None], None]
"""Ingest until it dies; first it does what it is handed."""
Away = Callable[[], AbstractContextManager[None]]
"""A context in which there is no database."""


class Fire:
    """Deaths of ingest, and who starts it again."""

    def __init__(self, processes: Processes, engine: sa.Engine, take_in: TakeIn, chance: random.Random) -> None:
        self._processes, self._engine, self._take_in, self._chance = processes, engine, take_in, chance
        self._turns, self._armed = itertools.cycle((*ingest_deaths.MOMENTS, RANDOM)), RANDOM
        self.killed: Counter[str] = Counter()
        self.stalled = 0
        """How often no case came for a minute where one should have."""

    def kill(self, count: int) -> None:
        """So many deaths, each moment in its turn or after new cases have come. The last to be started lives on."""
        for left in reversed(range(count)):
            if self._armed == RANDOM or not self._dies_by_itself():
                self._kill_where_it_is(RANDOM)
            self._start(next(self._turns) if left else RANDOM)

    def while_away(self, away: Away, for_s: float) -> tuple[float, float]:
        """The database is away so long, ingest is killed meanwhile, and then all goes on. From when to when it was."""
        self._wait_for_more()
        with away():
            began_s = time.monotonic()
            self._keep_alive(began_s + for_s / 2)
            self._processes.kill("ingest")
            self.killed[NO_DATABASE] += 1
            self._start(RANDOM)
            self._keep_alive(began_s + for_s)
            ended_s = time.monotonic()
        self._keep_alive(time.monotonic() + 1.0)
        self._wait_for_more()
        return began_s, ended_s

    def _dies_by_itself(self) -> bool:
        process = self._processes.alive["ingest"]
        process.join(MOMENT_S)
        died = process.exitcode == -signal.SIGKILL
        self.killed[self._armed] += died
        return died

    def _wait_for_more(self) -> None:
        self.stalled += flow.seconds_until_more(self._engine) is None

    def _kill_where_it_is(self, name: str) -> None:
        self._wait_for_more()
        time.sleep(self._chance.uniform(0, BURST_S))
        self._processes.kill("ingest")
        self.killed[name] += 1

    def _start(self, moment: str) -> None:
        time.sleep(self._chance.uniform(0, PAUSE_S))
        self._armed = moment
        count = self._chance.randint(1, 3)
        arm = None if moment == RANDOM else functools.partial(ingest_deaths.arm, moment, count)
        self._processes.starts["ingest"] = functools.partial(self._take_in, arm)
        self._processes.start("ingest")

    def _keep_alive(self, until_s: float) -> None:
        """As systemd does: an ingest that finds no database when it starts says so and ends."""
        while time.monotonic() < until_s:
            if not self._processes.alive["ingest"].is_alive():
                self._processes.start("ingest")
            time.sleep(LOOK_S)
