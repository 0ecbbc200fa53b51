"""Twin stations and a bundle -> units of known truth, as the bundle's eyes saw them; and any bundle's word on each.

`fitted`: the twin's cases that a bundle carries for retraining; nothing has to be filmed. `filmed`: immersions at twin
stations through the whole device, seconds of work each; they stay in a folder, and an interrupted run goes on.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from tqdm import tqdm

import calibration
from calibration.twin import TwinCamera, open_twin
from edge_agent import clips, durable
from edge_agent.account import SCORED
from edge_agent.bundle import Bundle
from edge_agent.case import Identity
from edge_agent.filming import film_in
from edge_agent.infer import Aggregator
from edge_agent.inspection import make_inspector, working_view
from edge_agent.judge import Judge
from edge_agent.pipeline import Sampling
from edge_agent.records import FramingSummary, Verdict, WaterSummary
from edge_agent.replay import push_views
from edge_agent.verdict import Finding, Watched, decide
from models.cases import fitted_features

STATIONS = 3
"""Twin stations that are filmed."""
LEAKY_SHARE = 0.5
"""Of the filmed units: how often which of them come is drawn afterwards."""


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """One unit. `features`: (len(FEATURES),) float32; `clip`: its film, None where there is none."""

    leaky: bool
    features: np.ndarray
    clip: Path | None = None

    @property
    def late_s(self) -> float:
        """Seconds that it was watched after the water had settled."""
        return float(np.expm1(self.features[SCORED.index("late_seconds")]))


class _Truth(msgspec.Struct, frozen=True):
    """What is kept beside a film. `usable`: the unit was tested, and its leak showed."""

    leaky: bool
    usable: bool
    features: list[float] = []


def fitted(bundle: Bundle) -> list[Unit]:
    """Units of the cases that the bundle's aggregator was fitted to, whole ones of familiar kinds."""
    known = fitted_features(bundle)
    chosen = known.whole & known.familiar
    return [Unit(bool(leaky), values) for leaky, values in zip(known.leaky[chosen], known.values[chosen], strict=True)]


def filmed(bundle: Bundle, count: int, seed: int, folder: Path) -> list[Unit]:
    """Units of `count` immersions at STATIONS twin stations; what nobody could have judged is left out."""
    kept = folder / f"units-{seed}-{fingerprint(bundle)}"
    kept.mkdir(parents=True, exist_ok=True)
    numbers = tqdm(range(count), desc="filming", unit="unit", disable=None)
    made = [(number, _known(bundle, seed, number, kept)) for number in numbers]
    return [
        Unit(truth.leaky, np.array(truth.features, np.float32), _film(kept, number))
        for number, truth in made
        if truth.usable
    ]


def words(units: Sequence[Unit], bundle: Bundle) -> list[Verdict]:
    """What a bundle with the same eyes says of each unit: its aggregator and its limits."""
    aggregator = Aggregator(bundle.nets["aggregator"])
    return [_word(unit, aggregator, bundle) for unit in units]


def fingerprint(bundle: Bundle) -> str:
    """Changes with the bundle and the twin. The device's code has no part: what it makes of the same frames stays."""
    digest = hashlib.sha256(bundle.sha256.encode())
    for path in sorted(Path(str(calibration.__file__)).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _word(unit: Unit, aggregator: Aggregator, bundle: Bundle) -> Verdict:
    manifest, said = bundle.manifest, aggregator.score(unit.features)
    usable_s = unit.late_s + manifest.thresholds.settle_s
    composites = int(usable_s * 1000 / manifest.preprocessing.period_ms)
    watched = Watched(usable_s, composites, FramingSummary("ok"), WaterSummary("clear"))
    finding = Finding(
        said.leak, unit.late_s, None, "as the twin showed it", "as the twin showed it", distance=said.distance
    )
    return decide(watched, finding, None, manifest=manifest, px_per_mm=None)


def _known(bundle: Bundle, seed: int, number: int, folder: Path) -> _Truth:
    path = folder / f"{number:04d}.json"
    if path.is_file():
        return msgspec.json.decode(path.read_bytes(), type=_Truth)
    truth = _made(bundle, seed, number, folder)
    durable.write(path, msgspec.json.encode(truth))
    return truth


def _made(bundle: Bundle, seed: int, number: int, folder: Path) -> _Truth:
    """Films one unit and looks at the film as a retraining would."""
    station = number % STATIONS
    where = f"seed={seed * STATIONS + station},first={number // STATIONS},cases=1,station=TANK{station + 1}"
    camera = open_twin(f"twin:{where},profile=reference,leaky_share={LEAKY_SHARE}")
    tested = _inspected(camera, bundle, _film(folder, number))
    truth = camera.cases[0]
    if not tested or truth.silent:
        return _Truth(truth.label == "leak", usable=False)
    clip = clips.read(_film(folder, number))
    judge = Judge(bundle, clip.header.px_per_mm, clip.header.view_size_px)
    push_views(judge, clip)
    return _Truth(truth.label == "leak", True, judge.features(clip.watch.visibility).tolist())


def _inspected(camera: TwinCamera, bundle: Bundle, film: Path) -> bool:
    """Whether the device tested the unit; its film lies there then."""
    film.unlink(missing_ok=True)
    frames: Iterator = iter(camera.frames())
    first, profile = next(frames), camera.profile
    size, _ = working_view(profile, bundle.manifest.preprocessing)
    inspector = make_inspector(
        first,
        Identity("twin", profile.station, "film"),
        profile,
        bundle,
        sampling=Sampling(1.0, lambda: 0.0),
        open_clip=film_in(lambda _: film, size, profile, bundle=bundle.ref, profile_sha256=None),
    )
    cases = [case for frame in (first, *frames) for case in inspector.step(frame)] + inspector.finish()
    return len(cases) == 1 and cases[0].verdict != "not_tested" and cases[0].clip is not None


def _film(folder: Path, number: int) -> Path:
    return folder / f"{number:04d}.twclip"
