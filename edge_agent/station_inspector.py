"""Device file, station profile and bundles -> the Inspector of one station, its clips and its judges.

Nothing runs here: `agent` hands in the camera, the outbox and who hears of troubles.
"""

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.bundle import Bundle
from edge_agent.camera import Camera
from edge_agent.case import Identity
from edge_agent.challenger import Beside, Challenger, InTurn
from edge_agent.config import DeviceConfig
from edge_agent.due import PATIENCE_S
from edge_agent.filming import Film, film_in
from edge_agent.immersion import TriggeredImmersions
from edge_agent.inspection import make_inspector, seat, working_view
from edge_agent.judge import Judge
from edge_agent.outbox import Outbox
from edge_agent.pipeline import Inspector, Sampling, Seated
from edge_agent.selfreport import SelfReport
from edge_agent.station_watch import HeldProfile
from edge_agent.switch import Pair


@dataclass(frozen=True, slots=True)
class Gear:
    """What one station is inspected with; another profile makes another one."""

    device: DeviceConfig
    held: HeldProfile
    pair: Pair
    """The champion, and the challenger if one is named."""
    camera: Camera
    outbox: Outbox
    report: SelfReport


def inspector_with(gear: Gear, immersions: TriggeredImmersions | None) -> Inspector:
    """Loads the nets. Raises ModelError."""
    device, profile, pair = gear.device, gear.held.profile, gear.pair
    size, _ = working_view(profile, pair.champion.manifest.preprocessing)
    return make_inspector(
        None,
        Identity(
            device.site,
            profile.station,
            gear.report.boot_id,
            "human_only",
            gear.held.sha256,
            shows_before=device.assist_shows == "before",
        ),
        profile,
        pair.champion,
        sampling=Sampling(device.audit.floor, _random(device).random),
        challenger=pair.challenger,
        immersions=immersions,
        patience_s=device.line.patience_s if device.line else PATIENCE_S,
        open_clip=clips_with(gear, size, pair.champion),
        beside=_beside(gear),
    )


def clips_with(gear: Gear, size_px: tuple[int, int], champion: Bundle) -> Callable[[str], Film]:
    """Case id -> the clip that its pictures go to; `size_px` of the tank view."""

    def complain(words: str) -> None:
        gear.report.not_filmed(words)
        warn(words)

    return film_in(
        gear.outbox.spool.draft,
        size_px,
        gear.held.profile,
        bundle=champion.ref,
        profile_sha256=gear.held.sha256,
        say=complain,
    )


def loader(gear: Gear) -> Callable[[Bundle, Bundle | None], Seated]:
    """Champion and challenger -> both, loaded and warm, for whoever changes them under way."""

    def load(champion: Bundle, challenger: Bundle | None) -> Seated:
        seated = seat(champion, challenger, gear.held.profile, beside=_beside(gear))
        seated.champion.warm_up()
        seated.eyes.warm_up()
        return seated

    return load


def warn(words: str) -> None:
    """One line that somebody should look at."""
    print(f"WARNING {words}", file=sys.stderr, flush=True)


def _beside(gear: Gear) -> Callable[[Judge], Challenger]:
    """A recording waits for the challenger, and gives the same result every time; a live camera does not wait."""

    def cut(words: str) -> None:
        gear.report.cut()
        warn(words)

    return (lambda judge: Beside(judge, say_cut=cut)) if gear.camera.live else InTurn


def _random(device: DeviceConfig) -> random.Random:
    return random.SystemRandom() if device.seed is None else random.Random(device.seed)
