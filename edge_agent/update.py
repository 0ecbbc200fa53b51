"""`agent update`: what the cloud desires, and the signed repository offers, is fetched, tried and put into its place.

A process of its own: the frame loop never waits for it. Each step may run twice, and after a kill the next start goes
on from what lies on the disk.
"""

import argparse
import logging
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tuf.api.metadata import TargetFile

from edge_agent import config as device_config
from edge_agent import durable, locks, state, station, station_name, trial
from edge_agent.alarm_keeper import AlarmKeeper
from edge_agent.bundle import LARGEST_FILE
from edge_agent.config import DeviceConfig
from edge_agent.errors import ConfigError, LinkError, ModelError, StoreError
from edge_agent.messages import Desired
from edge_agent.notify import Notifier
from edge_agent.offered import bundle_target
from edge_agent.placing import Places
from edge_agent.records import BundleRef
from edge_agent.repository import Refused, Repository
from edge_agent.rhythm import asking
from edge_agent.station_files import StationFiles
from edge_agent.station_name import Renaming
from edge_agent.update_report import SLOTS, Ledger, Slot

STEP_S = 1.0
"""Between two looks at what is desired and at what became of the last wish."""
MOST_WAIT_S = 900.0
"""Between two attempts, however often the ones before have failed."""
AWAY_S = 3600.0
"""A repository that is merely away so long is an alarm; whatever is worse is one at once."""
NO_REPOSITORY = "none is looked for: [updates] of device.toml names no repository"
LEFT_S = 7 * 86_400.0
"""A part of a download that nobody went on with for so long is thrown away."""
log = logging.getLogger(__name__)


def agent_update(argv: list[str]) -> int:
    """`tankwatch agent update --config device.toml`; ends at SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser("tankwatch agent update", description="Fetches and tries what the cloud desires.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="device.toml")
    parser.add_argument("--once", action="store_true", help="one look, then end: with 1 where it has failed")
    options = parser.parse_args(argv)
    device = device_config.load(options.config)
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asked: list[int] = []
    with asking(asked):
        if options.once:
            return 0 if run(device, lambda: bool(asked), once=True) else 1
        return 0 if serve(device, lambda: bool(asked), Notifier()) else 1


def serve(device: DeviceConfig, stopped: Callable[[], bool], told: Notifier) -> bool:
    """As `run`, but a device that is not set up yet, or has no repository, is no fault: it waits until `stopped`.

    It ends, to be started anew, where the profile has come to be another station's.
    """
    path = Path(device.station)
    if device.updates.url is None:
        log.warning(NO_REPOSITORY)
        told.ready(NO_REPOSITORY)
        while not stopped():
            told.alive()
            _sleep(STEP_S, stopped)
        return True
    name = station_name.awaited(path, stopped, told.waits)
    if name is None:
        return True
    renaming = Renaming(path, name)

    def ends() -> bool:
        told.alive()
        return stopped() or renaming.has_come()

    told.ready()
    return run(device, ends, turned=told.alive)


def run(
    device: DeviceConfig,
    stopped: Callable[[], bool],
    *,
    once: bool = False,
    turned: Callable[[], None] = lambda: None,
) -> bool:
    """Looks again and again until `stopped`; False where the last look has failed.

    `turned` hears of each request. Raises ConfigError, StationError or StoreError where it cannot begin.
    """
    name = station.load(Path(device.station))[0].station
    words = f"the updates of {device.folder} are another process's: stop it, or give this one its own data_dir"
    with locks.alone(device.folder / "updates" / "lock", words):
        repository = Repository(device.updates, device.folder / "updates", turned=turned)
        update = Update(device, name, repository=repository, stopped=stopped)
        while not stopped():
            try:
                update.step(time.monotonic())
            except trial.Stopped:
                break
            if once:
                break
            _sleep(STEP_S, stopped)
    return update.failures == 0


class Update:
    """One device's updates. `step` may be called at any pace."""

    def __init__(
        self,
        device: DeviceConfig,
        station_id: str,
        *,
        repository: Repository | None = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._device = device
        self._repository = repository or Repository(device.updates, device.folder / "updates")
        self._files = StationFiles(device.signed_path, device.site, station_id)
        self._places = Places(device, self._files, stopped)
        alarms = AlarmKeeper("update", device.alarms_path, device.alarm_settings_path, say=log.warning)
        self._ledger = Ledger(device.update_path, alarms)
        self._due_s, self.failures = float("-inf"), 0
        self.fault: Exception | None = None
        """Why the last look has failed; None where it has not."""
        self._away_since_s: float | None = None
        self._counter = -1

    def step(self, now_s: float) -> None:
        """What has happened here is told; where it is time, or something new is desired, the repository is asked."""
        wish = state.desired(self._device.desired_path)
        try:
            missing = self._missing(wish)
            news = wish is not None and wish.counter != self._counter
            self._counter = wish.counter if wish else self._counter
            if news or now_s >= self._due_s:
                self._attempt(missing, now_s)
                self._missing(wish)
        except (StoreError, ConfigError) as error:
            self._failed(now_s, error)
        self._ledger.write()

    def _attempt(self, missing: dict[Slot, BundleRef], now_s: float) -> None:
        missing = {slot: ref for slot, ref in missing.items() if not self._put_back(slot, ref)}
        targets = {slot: bundle_target(ref.sha256) for slot, ref in missing.items()}
        try:
            found = self._repository.look([*targets.values(), *self._files.targets])
            self._bring_files(found)
            for slot, ref in missing.items():
                self._bring(slot, ref, found.get(targets[slot]))
            self._repository.sweep(LEFT_S)
        except LinkError as error:
            for slot, ref in missing.items():
                if not self._ledger.is_refused(slot, ref, self._places.against()):
                    self._ledger.tell(slot, ref, "fetching", str(error))
            self._failed(now_s, error)
            return
        self._done(now_s)

    def _bring_files(self, found: Mapping[str, TargetFile]) -> None:
        try:
            for name in self._files.bring(self._repository, found):
                log.info("signed file changed name=%s", name)
        except ModelError as error:
            # One list that is wrong keeps no bundle from coming: the one before, or none, counts.
            log.error("signed file refused reason=%s", error)

    def _bring(self, slot: Slot, ref: BundleRef, info: TargetFile | None) -> None:
        """Fetch, try, put in place. A refusal is told, and where trying again would have the same end it is kept."""
        against = self._places.against()
        if self._ledger.is_refused(slot, ref, against):
            return
        path = self._device.folder / "updates" / "fetched" / f"{ref.sha256}.bundle"
        try:
            if info is None:
                raise ModelError(f"bundle {ref.sha256[:12]} is desired, but not offered: run 'bundle publish' for it")
            if not self._repository.is_held(info, path):
                self._ledger.tell(slot, ref, "fetching")
                self._repository.fetch(info, path, LARGEST_FILE)
            self._ledger.tell(slot, ref, "trying")
            passed = self._places.put(slot, ref, path, self._ledger.wish(slot))
            log.info("in place slot=%s bundle=%s right=%d/%d", slot, ref.sha256[:12], passed.right, passed.cases)
        except ModelError as error:
            self._ledger.tell(slot, ref, "refused", str(error), against=against if info else "")
        durable.remove(path)

    def _put_back(self, slot: Slot, ref: BundleRef) -> bool:
        try:
            return slot == "champion" and self._places.put_back(ref, self._ledger.wish(slot))
        except ModelError as error:
            self._ledger.tell(slot, ref, "refused", str(error), against=self._places.against())
            return True

    def _missing(self, wish: Desired | None) -> dict[Slot, BundleRef]:
        """Bundles that are desired and not in their place; what is in its place is told."""
        missing: dict[Slot, BundleRef] = {}
        for slot in SLOTS:
            ref = (wish.bundle if slot == "champion" else wish.challenger) if wish else None
            if wish is None or ref is None:
                self._unwanted(slot)
                continue
            counter = self._ledger.wanted(slot, ref, wish.counter)
            if self._places.held(slot) == ref.sha256:
                self._ledger.tell(slot, ref, *self._places.word(slot, ref))
            elif words := self._places.failed(slot, ref, counter):
                self._ledger.tell(slot, ref, "returned", words)
            else:
                missing[slot] = ref
        return missing

    def _unwanted(self, slot: Slot) -> None:
        """A challenger that came by an update goes with it; a champion stays until there is another."""
        if slot == "challenger" and self._ledger.has_challenger:
            # First the deed: a disk that refuses it is asked again.
            self._places.hear_nothing()
            self._ledger.forget_challenger()

    def _done(self, now_s: float) -> None:
        for words in self._repository.notes:
            log.warning("one address refused reason=%s", words)
        self._repository.notes.clear()
        self.failures, self.fault, self._away_since_s = 0, None, None
        self._due_s = now_s + self._device.updates.every_s
        self._ledger.all_well()

    def _failed(self, now_s: float, error: Exception) -> None:
        """Later again; an alarm where it is more than a network that is away."""
        self.failures, self.fault = self.failures + 1, error
        self._due_s = now_s + min(MOST_WAIT_S, self._device.updates.every_s * 2 ** min(self.failures, 10))
        self._away_since_s = now_s if self._away_since_s is None else self._away_since_s
        log.warning("no update failures=%d reason=%s", self.failures, error)
        away = isinstance(error, Refused) and error.reason in ("unreachable", "slow")
        if not away or now_s - self._away_since_s >= AWAY_S:
            self._ledger.alarm(str(error))


def _sleep(seconds: float, stopped: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while not stopped() and time.monotonic() < until:
        time.sleep(0.1)
