"""What the slot files name -> the judges that the frame loop takes between two cases; and back where a champion fails.

All loading, writing and watching is in threads beside the frame loop, which only asks `take`. A champion in trouble is
told to the slot file; that the file has changed then brings the one before.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from edge_agent import slots, trial_run
from edge_agent.bundle import Bundle, open_bundle
from edge_agent.config import DeviceConfig
from edge_agent.errors import ConfigError, ModelError, StoreError, TankwatchError
from edge_agent.pipeline import Seated
from edge_agent.trial_run import Speaking
from edge_agent.vigil import Vigil

LOADING_S = 20.0
"""Loading and one run of each net take less than a second; one that takes so long hangs."""


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """The two bundles that were last loaded, and the slot file's record then."""

    champion: Bundle
    challenger: Bundle | None
    record: Speaking

    @property
    def hashes(self) -> tuple[str, str | None]:
        return self.champion.sha256, self.challenger.sha256 if self.challenger else None


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """Judges that the frame loop may take."""

    pair: Pair
    seated: Seated


def first_pair(device: DeviceConfig, say: Callable[[str], None]) -> Pair:
    """What speaks at start: the start is counted, and a champion on trial that cannot be opened gives way.

    Raises ModelError where one that is not on trial cannot be opened, ConfigError for a damaged slot file.
    """
    on_trial = slots.speaking(device).trial is not None
    record = _counted(device, None, say) if on_trial else slots.speaking(device)
    try:
        champion = open_bundle(slots.champion(device))
    except ModelError as error:
        if record.bundle is None or record.trial is None:
            raise
        slots.trouble(device, record.bundle.sha256, str(error))
        say(f"version {record.bundle.version} is taken back: {error}")
        return first_pair(device, say)
    challenger = _challenger(device, champion, say)
    return Pair(champion, challenger, record if on_trial else _counted(device, None, say))


class NetHangs(ModelError):
    """A net does not come back, and only a new process is rid of it."""


class Switch:
    """One run of the inspection. `load` makes judges of two bundles; `resident_mb` tells the memory in use."""

    def __init__(
        self,
        device: DeviceConfig,
        pair: Pair,
        load: Callable[[Bundle, Bundle | None], Seated],
        *,
        say: Callable[[str], None],
        resident_mb: Callable[[], float],
    ) -> None:
        self._device, self._load, self._say, self._resident_mb = device, load, say, resident_mb
        self.pair = pair
        """What speaks and what is heard beside it."""
        self.record = pair.record
        """The slot file's, as it was last seen."""
        self.words = self.challenger_words = ""
        """What is wrong with a champion that has held before, and so stays, or with the challenger; empty = nothing."""
        self.vigil = Vigil(_usual_ms(pair.record), resident_mb())
        self._lock = threading.Lock()
        self._seen: object = None
        """Of the slot files, when they were last acted on."""
        self._ready: Ready | None = None
        self._fault = self._hangs = ""
        self._loading: tuple[float, Bundle] | None = None
        self._muted: str | None = None
        """Hash of a challenger that took too much memory."""

    def take(self) -> Ready | None:
        """For the frame loop between two cases: others to go on with, once. Raises NetHangs."""
        if self._hangs:
            raise NetHangs(self._hangs)
        if self._ready is None:
            return None
        with self._lock:
            ready, self._ready = self._ready, None
            if ready:
                self._spoken_by(ready.pair)
        return ready

    def tell(self, words: str, *, case_ended: bool) -> None:
        """For the frame loop, after each frame: the champion's nets' fault; a case that ends well clears it."""
        if words or case_ended:
            self._fault = words

    def look(self) -> None:
        """Again and again, in a thread of its own: all that touches files or nets. Raises StoreError, ConfigError."""
        self._judge_the_champion()
        try:
            self._follow(slots.speaking(self._device))
        except (StoreError, ConfigError):
            raise
        except TankwatchError as error:
            self._say(f"the bundles in use stay: {error}")

    def watch(self, now_s: float) -> str:
        """In another thread: words where the process has to end, because a net of the champion does not come back."""
        loading = self._loading
        if loading and now_s - loading[0] > LOADING_S and not self._hangs:
            self._hangs = _hanging(loading[1])
            self._give_up_or_say(loading[1].sha256, self._hangs)
        words = self.vigil.stuck(now_s)
        if words:
            self._give_up_or_say(self.pair.champion.sha256, words)
        return words

    def hangs_at_start(self) -> str:
        """Words on a champion that the frame loop itself loads and that does not come back; its trial is over."""
        champion = self.pair.champion
        words = _hanging(champion)
        self._give_up_or_say(champion.sha256, words)
        return words

    def close(self) -> None:
        """What was loaded and not taken is let go."""
        with self._lock:
            unused, self._ready = self._ready, None
        if unused and unused.seated.challenger:
            unused.seated.challenger.close()

    def stopped(self) -> None:
        """The inspection ends because somebody wants it to. Raises StoreError."""
        slots.change(self._device, lambda record: trial_run.stopped(record, self.pair.champion.sha256))

    def _judge_the_champion(self) -> None:
        resident_mb = self._resident_mb()
        with self._lock:
            sha256, vigil, fault = self.pair.champion.sha256, self.vigil, self._fault
        if vigil.grown(resident_mb) and self._mute():
            return
        words = fault or vigil.trouble(resident_mb)
        if words and not self._give_up(sha256, words):
            self.words = words
        elif not words:
            self.words = ""
            if vigil.has_held and self.record.trial:
                self.record = slots.change(self._device, lambda record: trial_run.held(record, sha256))

    def _mute(self) -> bool:
        """The challenger goes first; True while it is going."""
        challenger = self.pair.challenger
        if challenger is None:
            return False
        if self._muted != challenger.sha256:
            self._muted, self._seen = challenger.sha256, None
            self.challenger_words = f"the challenger is out, {self.vigil.grown(self._resident_mb())}"
            self._say(self.challenger_words)
        return True

    def _give_up(self, sha256: str, words: str) -> bool:
        """True where this bundle speaks no more, or only until the one before is loaded."""
        before, record = self.record.failed, slots.trouble(self._device, sha256, words)
        self.record, failed = record, record.failed
        if failed is None or failed.bundle.sha256 != sha256:
            return False
        if failed != before:
            self._say(f"version {failed.bundle.version} is taken back: {words}")
        return True

    def _give_up_or_say(self, sha256: str, words: str) -> None:
        """Whatever becomes of the slot file, a process whose net hangs has to end."""
        try:
            self._give_up(sha256, words)
        except (StoreError, ConfigError) as error:
            self._say(f"the bundle that hangs is not taken back: {error}")

    def _follow(self, record: Speaking) -> None:
        """Loads what the files name now, unless that is at work or ready already."""
        seen = (record.now, record.since, slots.stamp(self._device)[1], self._muted)
        if seen == self._seen:
            self.record = record
            return
        self.close()
        champion = open_bundle(slots.champion(self._device))
        if champion.sha256 != self.pair.champion.sha256:
            record = _counted(self._device, self.vigil.mean_ms, self._say)
            champion = open_bundle(slots.champion(self._device))
            seen = (record.now, record.since, *seen[2:])
        # What cannot be loaded is not tried again before the files change.
        self.record, self._seen = record, seen
        challenger = _challenger(self._device, champion, self._say)
        if challenger and challenger.sha256 == self._muted:
            challenger = None
        pair = Pair(champion, challenger, record)
        if pair.hashes != self.pair.hashes:
            ready = self._loaded(pair)
            with self._lock:
                self._ready = ready

    def _loaded(self, pair: Pair) -> Ready:
        """Both; the champion alone where the challenger's nets cannot be loaded."""
        self._loading = (time.monotonic(), pair.champion)
        try:
            return Ready(pair, self._load(pair.champion, pair.challenger))
        except ModelError as error:
            if pair.challenger is None:
                self._give_up(pair.champion.sha256, str(error))
                raise
            self.challenger_words = str(error)
            self._say(f"no challenger runs: {error}")
        finally:
            self._loading = None
        return self._loaded(Pair(pair.champion, None, pair.record))

    def _spoken_by(self, pair: Pair) -> None:
        """`pair` is at work from now on."""
        changed = pair.champion.sha256 != self.pair.champion.sha256
        if pair.challenger:
            self.challenger_words = ""
        self.pair = pair
        if changed:
            former_ms = self.vigil.mean_ms if pair.record.trial else None
            self.vigil = Vigil(_usual_ms(pair.record) or former_ms, self._resident_mb())
            self._fault = self.words = ""
        else:
            self.vigil.weighed(self._resident_mb())


def _hanging(bundle: Bundle) -> str:
    return f"version {bundle.manifest.version} hangs while it is loaded (limit {LOADING_S:.0f} s): use another bundle"


def _counted(device: DeviceConfig, usual_ms: float | None, say: Callable[[str], None]) -> Speaking:
    """A start is counted before it; a disk that takes nothing stops no inspection."""
    try:
        return slots.start(device, usual_ms)
    except StoreError as error:
        say(f"this start is not counted: {error}")
        return slots.speaking(device)


def _challenger(device: DeviceConfig, champion: Bundle, say: Callable[[str], None]) -> Bundle | None:
    """None where none is named, it cannot be used, or it is the champion itself."""
    path = slots.challenger(device)
    if path is None:
        return None
    try:
        opened = open_bundle(path)
    except ModelError as error:
        say(f"no challenger runs: {error}")
        return None
    return None if opened.sha256 == champion.sha256 else opened


def _usual_ms(record: Speaking) -> float | None:
    return record.trial.usual_ms if record.trial else None
