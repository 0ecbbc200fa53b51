"""A bundle's file <-> Bundle: everything a verdict depends on, in one file with one version and one hash.

A bundle is a stored (uncompressed) zip of `manifest.json`, `nets/<name>.onnx`, golden cases and, for retraining, the
features that the aggregator was fitted to. It is opened only through the checks below, before any runtime sees a byte
of it; golden clips are looked through by `edge_agent.golden`, when they are judged.
"""

import hashlib
import io
import re
import struct
import zipfile
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from edge_agent import durable
from edge_agent.errors import ModelError
from edge_agent.lamp_reading import USUAL_LIMITS, LampLimits
from edge_agent.onnxcheck import check_onnx
from edge_agent.records import BundleRef, Visibility

NetName = Literal["detector", "origins", "aggregator", "lamps", "water"]
NET_NAMES: tuple[NetName, ...] = ("detector", "origins", "aggregator", "lamps", "water")


Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Inner = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Millis = Annotated[float, msgspec.Meta(ge=1, le=10_000)]
Weight = Annotated[float, msgspec.Meta(ge=0, le=100)]


class Preprocessing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How frames become what the nets see."""

    spacing_ms: Millis
    """Wanted time between neighbouring frames of a composite."""
    spacing_tolerance_ms: Millis
    """A composite whose frames miss the spacing by more is not made."""
    period_ms: Millis
    """Wanted time between composites."""
    max_view_px: tuple[int, int]
    """Tank views are made no larger than this, width and height."""


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every limit that a verdict depends on."""

    ok_below: Share
    """Case score under which a unit is ok."""
    leak_above: Share
    """Case score over which it leaks; between the two it is uncertain."""
    bubble_above: Inner
    """Detector score from which a peak is a bubble."""
    settle_s: Annotated[float, msgspec.Meta(ge=0, le=60)]
    """After immersion trapped air rises: births before this are no evidence of a leak."""
    lamp_lit_above: Inner
    murky_below: Inner
    """Clarity under which the water is murky."""
    lamp_dark_below: Inner | UnsetType = UNSET
    """Unset = as in `USUAL_LIMITS`."""
    novel_above: Annotated[float, msgspec.Meta(gt=0, le=1e6)] | UnsetType = UNSET
    """Distance from the cases of training over which a case is like none of them. Unset = not measured: none is."""

    @property
    def lamps(self) -> LampLimits:
        dark_below = USUAL_LIMITS.dark_below if self.lamp_dark_below is UNSET else self.lamp_dark_below
        return LampLimits(self.lamp_lit_above, dark_below)

    def __post_init__(self) -> None:
        if self.ok_below > self.leak_above:
            raise ValueError(f"ok_below {self.ok_below} lies above leak_above {self.leak_above}")


class RecallCurve(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the share of bubbles that are found depends on their size and on what the picture shows.

    Logit of the share = offset + size * ln(diameter in tank view px) - the sum over the other fields of
    weight * ln(how much worse than `usual`). No weight is negative: nothing worse lets smaller bubbles be seen.
    """

    usual: Visibility
    """What the stations that it was fitted on are like (medians)."""
    offset: Annotated[float, msgspec.Meta(ge=-100, le=100)]
    size: Annotated[float, msgspec.Meta(ge=0.1, le=100)]
    noise_levels: Weight = 0.0
    light_levels: Weight = 0.0
    paper_levels: Weight = 0.0
    blur_px: Weight = 0.0
    smear_px: Weight = 0.0
    clarity: Weight = 0.0


class Sensitivity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the nets can see, measured on the bundle's own test set; gives the smallest leak a case could have shown."""

    smallest_bubble_px: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 2.0
    """Diameter in the tank view from which `recall` holds, where visibility is usual."""
    recall: Inner = 0.8
    bubbles_needed: Literal[1, 2, 3] = 2
    curve: RecallCurve | UnsetType = UNSET
    """Unset = not measured: the smallest bubble is the same whatever the picture shows."""


class TrainingRange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Between which values the middle 98 % of the training cases lie: what lies beyond was hardly seen in training."""

    cases: int
    """In which it was measured."""
    light_levels: tuple[float, float]
    noise_most: float
    clarity_least: float


class Lineage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a bundle comes from."""

    recipe: str
    seed: int
    dataset_sha256: str | None
    parent_sha256: str | None
    code: str
    """Git commit of the training code, '-dirty' where files differed from it, or 'unknown'."""


class Certificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a bundle's limits were shown to keep, once, on cases that had no part in choosing them.

    It holds for cases like those of `data`, and for nothing else. Rates are shares of the answered cases of a class.
    """

    data: str
    """What was judged: the name of its manifest."""
    data_sha256: str
    """Of the manifest."""
    measured_at: str
    """UTC, ISO 8601."""
    ok_below: float
    leak_above: float
    confidence: float
    """That both upper bounds hold, together."""
    cases: int
    """Leaks and good units, answered or not."""
    silent: int
    """Leaks that showed too few bubbles for anybody to see; they are not among `cases`."""
    coverage: float
    """Share of `cases` that was answered ok or leak."""
    leaks: int
    """Answered leaks."""
    missed: int
    miss_rate_upper: float
    miss_rate_estimate: float
    """As likely too high as too low."""
    goods: int
    """Answered good units."""
    false_alarms: int
    false_alarm_rate_upper: float
    false_alarm_rate_estimate: float
    program: str | UnsetType = UNSET
    """Hash of the sources and libraries that judged them (`models.code_version`); another program may judge otherwise.
    Unset in certificates of before 2026-12."""


MOST_GOLDEN = 8
LARGEST_TOLERANCE = 0.05
"""More would let through what is another verdict to a person."""


class GoldenCase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A clip that travels in the bundle, `golden/<name>.twclip`, and what its own nets said of it when it was made."""

    name: Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9-]{1,40}\Z")]
    sha256: str
    """Of the clip's bytes."""
    leaky: bool
    """The truth, which the nets need not have seen."""
    verdict: Literal["ok", "leak", "uncertain"]
    score: Annotated[float, msgspec.Meta(ge=0, le=1)]
    tolerance: Annotated[float, msgspec.Meta(gt=0, le=LARGEST_TOLERANCE)]
    """The score may differ by so much where the bundle runs."""


class BundleManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """manifest.json of a bundle."""

    schema: Literal["tankwatch/bundle/1"] = "tankwatch/bundle/1"
    name: str
    version: int
    created_at: str
    """UTC, ISO 8601; of a retrained bundle the time of the newest review that it was trained on."""
    nets: dict[NetName, str]
    """sha256 of each net's bytes."""
    preprocessing: Preprocessing
    thresholds: Thresholds
    sensitivity: Sensitivity = Sensitivity()
    lineage: Lineage
    card: str
    """The model card, Markdown."""
    features: str | None = None
    """sha256 of the features that the aggregator was fitted to; None where the bundle does not carry them."""
    certificates: tuple[Certificate, ...] = ()
    """What it was shown to keep, and on which data; a certificate is of these nets under these thresholds."""
    golden: Annotated[tuple[GoldenCase, ...], msgspec.Meta(max_length=MOST_GOLDEN)] = ()
    """What it has to say again wherever it is to run."""
    training_range: TrainingRange | UnsetType = UNSET
    """Unset = not measured: bundles from before there was one."""


MANIFEST = "manifest.json"
FEATURES = "lineage/features.npy"
LARGEST_FILE = 24 << 20
LARGEST_MEMBER = {MANIFEST: 256 << 10, FEATURES: 8 << 20}
LARGEST_NET = 4 << 20
LARGEST_GOLDEN = 1 << 20
LARGEST_DIRECTORY = 8 << 10
"""Bytes about the members: some 70 each, and there are 15 at most."""
_DIRECTORY_END = struct.Struct("<12sIIH")
"""Signature and counts, bytes of the directory, where it begins, length of a comment."""
_GOLDEN = re.compile(r"golden/[a-z0-9-]{1,40}\.twclip")


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """An opened bundle. `nets`: the checked bytes of each ONNX net; `features`: a .npy file's bytes, or None.

    `golden`: the bytes of each golden case's clip by its name, with the right hash but not yet looked through.
    """

    manifest: BundleManifest
    sha256: str
    """Of the whole file."""
    nets: dict[NetName, bytes] = field(repr=False)
    features: bytes | None = field(default=None, repr=False)
    golden: dict[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def ref(self) -> BundleRef:
        return BundleRef(version=self.manifest.version, sha256=self.sha256)


def open_bundle(path: Path | str) -> Bundle:
    """The bundle in `path`. Raises ModelError with the fact, the limit and the cure; no net has been run by then."""
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise ModelError(
                f"bundle {path} has {size} bytes, limit {LARGEST_FILE}: it is not one of ours, fetch it again"
            )
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"bundle {path} cannot be read ({error.strerror}): give an existing bundle file") from error
    return parse_bundle(data, str(path))


def parse_bundle(data: bytes, name: str = "bundle") -> Bundle:
    """Bytes of a bundle file -> Bundle, after all checks."""
    members = _members(data, name)
    manifest = _manifest(members, name)
    nets: dict[NetName, bytes] = {}
    for net in NET_NAMES:
        content = members[f"nets/{net}.onnx"]
        _same_hash(content, manifest.nets.get(net), f"net {net} of bundle {name}")
        check_onnx(content, f"net {net} of bundle {name}")
        nets[net] = content
    features = members.get(FEATURES)
    if features is not None or manifest.features is not None:
        _same_hash(features or b"", manifest.features, f"{FEATURES} of bundle {name}")
    golden = _golden(members, manifest, name)
    if _zipped(members) != data:
        # One content has one file: nothing before, between or behind its members, and no other words about them.
        raise ModelError(f"bundle {name} is packed otherwise than ours, bytes were added or changed: fetch it again")
    return Bundle(manifest, hashlib.sha256(data).hexdigest(), nets, features, golden)


def write_bundle(
    path: Path | str,
    manifest: BundleManifest,
    nets: dict[NetName, bytes],
    features: bytes | None = None,
    *,
    golden: dict[str, bytes] | None = None,
) -> Bundle:
    """Writes the file in one step, the same bytes for the same content, and opens it again.

    The hashes in `manifest` are filled in from `nets` and `features`; its golden cases are those of `golden`.
    """
    path, golden = Path(path), golden or {}
    filled = msgspec.structs.replace(
        manifest,
        nets={net: hashlib.sha256(nets[net]).hexdigest() for net in NET_NAMES},
        features=None if features is None else hashlib.sha256(features).hexdigest(),
    )
    members = {MANIFEST: msgspec.json.format(msgspec.json.encode(_as_written(filled)), indent=1)}
    members |= {f"nets/{net}.onnx": nets[net] for net in NET_NAMES}
    if features is not None:
        members[FEATURES] = features
    members |= {_golden_member(case): clip for case, clip in golden.items()}
    data = _zipped(members)
    bundle = parse_bundle(data, str(path))
    durable.write(path, data)
    return bundle


def _as_written(manifest: BundleManifest) -> dict[str, object]:
    """A bundle without certificates or golden cases has the bytes that it had before there were any."""
    written = msgspec.to_builtins(manifest)
    return {key: written[key] for key in written if written[key] or key not in ("certificates", "golden")}


def _zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for member, content in members.items():
            # A fixed date: the same content has the same hash.
            archive.writestr(zipfile.ZipInfo(member, date_time=(1980, 1, 1, 0, 0, 0)), content)
    return out.getvalue()


def _members(data: bytes, name: str) -> dict[str, bytes]:
    """Member name -> bytes, for the names that a bundle may have and no others."""
    needed = {MANIFEST, *(f"nets/{net}.onnx" for net in NET_NAMES)}
    members: dict[str, bytes] = {}
    _check_directory(data, name)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                _acceptable(info, needed | {FEATURES}, members.keys(), name)
                members[info.filename] = archive.read(info)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, RuntimeError, OverflowError) as error:
        raise ModelError(f"bundle {name} is no whole zip file ({_short(error)}): fetch it again") from error
    missing = sorted(needed - members.keys())
    if missing:
        raise ModelError(
            f"bundle {name} lacks {', '.join(missing)}: it is cut off or older than this version, take a newer one"
        )
    return members


def _check_directory(data: bytes, name: str) -> None:
    """The directory is small, and all that is behind it is its own end: zipfile reads all of it before we see any."""
    _, size, begin, _ = _DIRECTORY_END.unpack(data[-_DIRECTORY_END.size :].rjust(_DIRECTORY_END.size, b"\0"))
    if not data.startswith(b"PK\3\4") or begin + size + _DIRECTORY_END.size != len(data):
        raise ModelError(f"bundle {name} is no whole zip file: fetch it again")
    if size > LARGEST_DIRECTORY:
        raise ModelError(
            f"bundle {name} has a directory of {size} bytes, limit {LARGEST_DIRECTORY}: it is not one of ours"
        )


def _acceptable(info: zipfile.ZipInfo, known: set[str], before: Collection[str], name: str) -> None:
    golden = bool(_GOLDEN.fullmatch(info.filename))
    if info.filename in before or not (golden or info.filename in known):
        raise ModelError(
            f"bundle {name} holds an unknown or repeated member {info.filename[:80]!r}: it is not one of ours"
        )
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size or info.flag_bits & 0x1:
        raise ModelError(
            f"bundle {name}: member {info.filename} is compressed or encrypted, only stored ones are read: pack it anew"
        )
    if golden and len(set(before) - known) >= MOST_GOLDEN:
        raise ModelError(f"bundle {name} holds more than {MOST_GOLDEN} golden cases: it is not one of ours")
    limit = LARGEST_GOLDEN if golden else LARGEST_MEMBER.get(info.filename, LARGEST_NET)
    if info.file_size > limit:
        raise ModelError(
            f"bundle {name}: member {info.filename} has {info.file_size} bytes, limit {limit}: it is not one of ours"
        )


def _manifest(members: dict[str, bytes], name: str) -> BundleManifest:
    try:
        return msgspec.json.decode(members[MANIFEST], type=BundleManifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError(
            f"bundle {name}: its manifest is not usable ({_short(error)}): use a bundle made for this version"
        ) from error


def _golden(members: dict[str, bytes], manifest: BundleManifest, name: str) -> dict[str, bytes]:
    """Case name -> clip; each of the manifest's cases has one, and there are no others."""
    named = [_golden_member(case.name) for case in manifest.golden]
    carried = [member for member in members if _GOLDEN.fullmatch(member)]
    if sorted(named) != sorted(carried):
        raise ModelError(
            f"bundle {name} carries {', '.join(sorted(carried)) or 'no golden case'}, its manifest names "
            f"{', '.join(sorted(named)) or 'none'}: fetch it again"
        )
    for case in manifest.golden:
        _same_hash(members[_golden_member(case.name)], case.sha256, f"golden case {case.name} of bundle {name}")
    return {case.name: members[_golden_member(case.name)] for case in manifest.golden}


def _golden_member(case: str) -> str:
    return f"golden/{case}.twclip"


def _short(error: Exception) -> str:
    """A name may be quoted in it, of 64 KB."""
    words = str(error)
    return words if len(words) <= 200 else f"{words[:120]} … {words[-60:]}"


def _same_hash(content: bytes, wanted: str | None, what: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != wanted:
        raise ModelError(
            f"{what} has hash {found[:12]}, the manifest says {str(wanted)[:12]}: it was altered, fetch it again"
        )
