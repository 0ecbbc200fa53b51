"""A fetched bundle -> its place on the device, after its exam; and what lies in each place now.

What is fetched is `update`'s matter, the places and what becomes of a bundle in one are those of `slots`.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

from edge_agent import clock, slots, state, trial, trial_run
from edge_agent.bundle import open_bundle
from edge_agent.config import DeviceConfig
from edge_agent.errors import ModelError
from edge_agent.exam import Exam, Passed
from edge_agent.inspection import shipped_bundle
from edge_agent.messages import UpdateWord
from edge_agent.records import BundleRef
from edge_agent.station_files import StationFiles
from edge_agent.update_report import Slot


class Places:
    """The places of one device."""

    def __init__(self, device: DeviceConfig, files: StationFiles, stopped: Callable[[], bool]) -> None:
        self._device, self._files, self._stopped = device, files, stopped
        self._stamp: object = None
        self._held: dict[Slot, str | None] = {}

    def held(self, slot: Slot) -> str | None:
        """Hash of the bundle in a place; looked at again only where something was put there."""
        stamp = slots.stamp(self._device)
        if self._stamp != stamp or not self._held:
            heard = slots.challenger(self._device)
            self._held = {
                "champion": slots.sha256_in(slots.champion(self._device)),
                "challenger": slots.sha256_in(heard) if heard else None,
            }
            self._stamp = stamp
        return self._held[slot]

    def word(self, slot: Slot, ref: BundleRef) -> tuple[UpdateWord, str]:
        """How it goes with the bundle that lies in the place."""
        report = trial_run.report(slots.speaking(self._device)) if slot == "champion" else None
        if report and report.bundle.sha256 == ref.sha256:
            return report.state, report.words
        seen = state.read(self._device.state_path)
        runs = seen and (seen.bundle if slot == "champion" else seen.challenger)
        return ("running" if runs and runs.sha256 == ref.sha256 else "ready"), ""

    def failed(self, slot: Slot, ref: BundleRef, wish: int) -> str:
        """Why the bundle came back from its place and is not put there again for this wish; empty where it may be."""
        return trial_run.refusal(slots.speaking(self._device), ref.sha256, wish) if slot == "champion" else ""

    def put_back(self, ref: BundleRef, wish: int) -> bool:
        """A bundle that has spoken here before speaks again at once, with no network and no exam. Raises ModelError."""
        named = Path(self._device.bundle) if self._device.bundle else shipped_bundle()
        for path in (*(self._device.folder / "bundles" / place / slots.FILE for place in ("a", "b")), named):
            if path.is_file() and slots.sha256_in(path) == ref.sha256:
                slots.use(self._device, path, lambda _: None, wish=wish)
                return True
        return False

    def put(self, slot: Slot, ref: BundleRef, path: Path, wish: int) -> Passed:
        """The bundle in `path` passes its exam, and is in its place. Raises ModelError, and Stopped as `trial` does."""
        opened = open_bundle(path)
        if opened.sha256 != ref.sha256:
            raise ModelError(
                f"bundle {ref.sha256[:12]} is offered, but {opened.sha256[:12]} lies there: publish the right one"
            )
        passed = trial.held(self._exam(path), stopped=self._stopped)
        if slot == "champion":
            slots.use(self._device, path, lambda _: None, wish=wish)
        else:
            slots.hear(self._device, path)
        return passed

    def hear_nothing(self) -> None:
        """No challenger runs from the next case on."""
        slots.hear(self._device, None)

    def against(self) -> str:
        """Everything that a refusal depends on beside the bundle, as a short hash."""
        updates = self._device.updates
        try:
            _, data = self._files.references()
        except ModelError:
            data = b""
        rules = (updates.require_references, self._needs_certificate(), updates.trial_s, updates.trial_mb)
        return hashlib.sha256(b"%s %s" % (data, repr((rules, clock.software_from())).encode())).hexdigest()[:16]

    def _exam(self, path: Path) -> Exam:
        updates = self._device.updates
        wanted, _ = self._files.references()
        if wanted is None and updates.require_references:
            raise ModelError(
                "the station has no reference cases to try it on: sign some with 'cloud references', or set "
                "require_references = false in [updates]"
            )
        return Exam(
            bundle=str(path),
            champion=str(slots.champion(self._device)),
            certificate=self._needs_certificate(),
            references=wanted,
            clips=str(self._files.clips),
            most_s=updates.trial_s,
            most_mb=updates.trial_mb,
        )

    def _needs_certificate(self) -> bool:
        """Where the machine may decide, unless the config says otherwise."""
        asked = self._device.updates.require_certificate
        return self._device.mode in ("partial", "full") if asked is None else asked
