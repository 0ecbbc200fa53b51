"""`twin:seed=7,cases=12,...` -> what to simulate; the one place where a person's words about the twin become values."""

from dataclasses import dataclass

from calibration import faults
from calibration.faults import Impairment
from calibration.profiles import profile_named
from edge_agent.errors import StationError


@dataclass(frozen=True, slots=True)
class TwinSpec:
    """Options of a twin station; `cases` None = 12 in a recording, endless where live."""

    seed: int = 0
    cases: int | None = None
    first: int = 0
    """The run's immersion to begin with."""
    own: bool = False
    """Each case has the station that its recording of `twin record` would have."""
    empty: int = 0
    """The run's first immersions, in which nothing is lowered: a station that is being set up."""
    leaky_share: float | None = None
    profile: str = "reference"
    fps: float | None = None
    """None: the station's own where `own`, else USUAL_FPS."""
    size: tuple[int, int] = (640, 480)
    station: str = "TANK1"
    live: bool = False
    poses: int = 1
    single: bool = False
    colour: bool = False
    faults: tuple[Impairment, ...] = ()


USUAL_FPS = 20.0
KEYS = (
    "seed", "cases", "first", "own", "empty", "leaky_share", "profile", "fps", "size", "station", "live", "poses",
    "single", "colour", "fault",
)  # fmt: skip


def read_spec(spec: str) -> TwinSpec:
    """Raises StationError naming the key, its fault and the known keys. Several faults: `fault=freeze@12+noise@20`."""
    text = spec.removeprefix("twin:")
    values: dict[str, object] = {}
    for pair in filter(None, text.split(",")):
        key, equals, value = pair.partition("=")
        if key not in KEYS or not equals:
            raise StationError(f"twin option {pair!r} is not known: write key=value with the keys {' '.join(KEYS)}")
        values["faults" if key == "fault" else key] = _value(key, value)
    return TwinSpec(**values)  # type: ignore[arg-type]


def _value(key: str, text: str) -> object:
    try:
        return _READERS[key](text)
    except ValueError:
        raise StationError(f"twin option {key}={text} is not usable: {_SHAPES[key]}") from None


def _whole(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError
    return value


def _rate(text: str) -> float:
    value = float(text)
    if not 1 <= value <= 240:
        raise ValueError
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError
    return value


def _size(text: str) -> tuple[int, int]:
    width, height = (int(side) for side in text.split("x"))
    if not (320 <= width <= 3840 and 240 <= height <= 2160):
        raise ValueError
    return width, height


def _station(text: str) -> str:
    if not (1 <= len(text) <= 16 and all(letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-" for letter in text)):
        raise ValueError
    return text


def _switch(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError
    return text == "1"


def _profile(text: str) -> str:
    profile_named(text)
    return text


def _faults(text: str) -> tuple[Impairment, ...]:
    return tuple(faults.parse(one) for one in text.split("+"))


_READERS = {
    "seed": _whole, "cases": _whole, "first": _whole, "own": _switch, "empty": _whole, "leaky_share": _share,
    "profile": _profile, "fps": _rate, "size": _size, "station": _station,
    "live": _switch, "poses": _whole, "single": _switch, "colour": _switch, "fault": _faults,
}  # fmt: skip
_WHOLE = "write a whole number from 0"
_SHAPES = {
    "seed": _WHOLE, "cases": _WHOLE, "first": _WHOLE, "poses": _WHOLE, "empty": _WHOLE, "own": "write 0 or 1",
    "leaky_share": "write a number from 0 to 1", "fps": "write a number from 1 to 240",
    "size": "write WIDTHxHEIGHT from 320x240 to 3840x2160", "station": "write 1 to 16 of A-Z 0-9 -",
    "live": "write 0 or 1", "single": "write 0 or 1", "colour": "write 0 or 1",
}  # fmt: skip
