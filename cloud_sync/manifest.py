"""PURE. A dataset's manifest: one line an example, in the contract's words, with where it comes from."""

import msgspec

from cloud_sync.policy import LabelState
from cloud_sync.routing import Judged, Label, Split
from models.augmentation import Augmentation


class Word(msgspec.Struct, frozen=True):
    """One expert's judgement that stands, as it was given."""

    by: str
    at: str
    """UTC, ISO 8601."""
    judgement: Judged
    revision: int
    seen: str | None
    familiar: bool | None
    purpose: str
    blind: bool


class Lineage(msgspec.Struct, frozen=True):
    """Where an example comes from: who judged what when, what the machine was when it spoke, and why it is here."""

    clip_sha256: str
    bundle_sha256: str
    bundle_version: int
    profile_sha256: str | None
    verdict: str
    score: float | None
    sampled_for: str
    sampled_probability: float
    judged_by: str
    """Whose word counts; everybody's are in `words`."""
    judged_at: str
    """UTC, ISO 8601."""
    revision: int
    seen: str | None
    familiar: bool | None
    note: str
    started_at: float = 0.0
    """UTC, seconds since 1970."""
    usable_s: float | None = None
    clarity: float | None = None
    light_levels: float | None = None
    label_state: LabelState = "single"
    words: tuple[Word, ...] = ()
    origins: tuple[tuple[float, float, int, float], ...] = ()
    """Where bubbles come from: x, y in the clip's pixels, frame, seconds."""
    tags: tuple[str, ...] = ()
    serial: str | None = None
    drawn: str = ""
    """Why it is in its set."""
    sent_by: str | None = None
    """Who sent it to training, where somebody did."""
    policy_version: int | None = None
    policy_sha256: str | None = None
    augmentation: Augmentation = Augmentation()
    """What training does to the clip."""


class Example(msgspec.Struct, frozen=True):
    """A reviewed clip with its label; one line of the manifest, in the contract's words."""

    video: str
    label: Label
    decision: str
    split: Split
    case_id: str
    site: str
    station_id: str
    """`station` is the contract's word for a profile file, which a clip does not need."""
    lineage: Lineage

    @property
    def place(self) -> str:
        return f"{self.site}/{self.station_id}"


def line(example: Example) -> bytes:
    """The same bytes for the same example, for ever: keys sorted, no spaces, UTF-8."""
    return msgspec.json.encode(example, order="deterministic")


def read(manifest: bytes) -> list[Example]:
    """A manifest's examples, those of earlier versions of this program too."""
    return [msgspec.json.decode(one, type=Example) for one in manifest.splitlines()]
