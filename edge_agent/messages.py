"""The messages on the wire beside `records.Case`: what device and cloud tell each other, field by field.

Field names are the names on the wire; docs/asyncapi.yaml is generated from them. Their bytes and topics are in `wire`.
"""

from typing import Annotated, Literal

import msgspec

from edge_agent.histogram import Histogram
from edge_agent.records import BundleRef, DispositionWord, FramingStatus, Mode, VerdictWord, WaterStatus

PART_BYTES = 256 * 1024
CLIP_BYTES = 512 * 1024 * 1024
CLIP_SUFFIX = ".twclip"
CLIP_TYPE = "application/x-tankwatch-clip"

SHA256 = r"^[0-9a-f]{64}$"
IDENTIFIER = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
# Python's `$` also matches before a final line feed; the lengths close that gap for hashes.
Sha256 = Annotated[str, msgspec.Meta(pattern=SHA256, max_length=64)]
Identifier = Annotated[str, msgspec.Meta(pattern=IDENTIFIER, max_length=128)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""As large as a database takes."""
AlarmPriority = Literal["low", "medium", "high"]
AlarmState = Literal["normal", "unacknowledged", "acknowledged", "returned", "shelved", "suppressed", "out_of_service"]
"""After ISA-18.2. On the wire only those whose cause is there: never `normal`, never `returned`."""
CameraWord = Literal["ok", "stalled", "lost", "unknown"]
UpdateWord = Literal["running", "fetching", "trying", "ready", "refused", "returned"]
"""`ready`: it runs from the next case on. `refused`: it never ran. `returned`: it failed; the one before is back."""


class UpdateReport(msgspec.Struct, frozen=True, kw_only=True):
    """How far the device is with a bundle that it was asked to run."""

    bundle: BundleRef
    state: UpdateWord
    words: str = ""
    """What went wrong, its limit and the cure; empty while all is well."""
    at: str
    """UTC, ISO 8601: since when it is so."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Retained, and the last will: is the device there, and what does it run?"""

    schema: Literal["tankwatch/status/1"] = "tankwatch/status/1"
    status: Literal["online", "offline"]
    mode: Mode | None = None
    mode_words: str = ""
    """Why this mode is in force."""
    bundle: BundleRef | None = None
    challenger: BundleRef | None = None
    update: UpdateReport | None = None
    """Of the last bundle that was wanted as champion."""
    challenger_update: UpdateReport | None = None
    """Of the last one that was wanted as challenger."""
    software: str
    """Version of this program."""
    since: str
    """UTC, ISO 8601: since when the status holds, as far as the device knows."""
    uplink_id: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    """Of this start of the uplink, random: where one comes back after another has spoken, two devices have one name."""


class ClipManifest(msgspec.Struct, frozen=True, kw_only=True):
    """Announces a clip before its parts."""

    schema: Literal["tankwatch/clip-manifest/1"] = "tankwatch/clip-manifest/1"
    sha256: Sha256
    bytes: Annotated[int, msgspec.Meta(ge=1, le=CLIP_BYTES)]
    parts: Annotated[int, msgspec.Meta(ge=1)]
    part_bytes: Annotated[int, msgspec.Meta(ge=1, le=PART_BYTES)] = PART_BYTES
    case_id: Identifier
    content_type: str = CLIP_TYPE


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What the cloud's store holds now, sent after its commit."""

    schema: Literal["tankwatch/receipt/1"] = "tankwatch/receipt/1"
    cases: tuple[tuple[Identifier, Sha256], ...] = ()
    """Case id and hash of the stored payload."""
    clips: tuple[Sha256, ...] = ()
    """Clips that are stored whole."""
    parts: tuple[tuple[Sha256, Count], ...] = ()
    """Clips that are not whole yet, with the number of the next part that is wanted: where to resume."""
    refused: tuple[Sha256, ...] = ()
    """Clips that are not taken now: their parts need not be sent, and they may be offered again later."""


class SoftwareMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """The device's own health."""

    version: str
    uptime_s: float
    disk_free_mb: float
    waiting_cases: Count
    waiting_clips: Count
    oldest_waiting_s: float | None = None
    sent: Count = 0
    """Messages published since start."""
    receipted: Count = 0
    """Cases and clips receipted since start."""
    resent: Count = 0
    reconnects: Count = 0
    resident_mb: float | None = None
    """Memory that the uplink holds."""
    inspect_starts: Count = 0
    """How often the inspection was started since this bundle speaks; more than once: it has failed."""
    waiting_bytes: Count = 0
    """Of cases and clips that wait for their receipt."""
    cpu_s: float | None = None
    """Of the uplink, since its start."""
    inspect_started_at: str | None = None
    """UTC, ISO 8601: when the running inspection began."""
    inspect_cpu_s: float | None = None
    """Of the inspection, since its start."""
    inspect_resident_mb: float | None = None
    cpu_ratio: float | None = None
    """Share of all the device's cores that was busy over the last 10 s, 0..1."""
    memory_mb: float | None = None
    memory_free_mb: float | None = None
    """What programs can still have."""
    temperature_c: float | None = None
    """Of the device's hottest zone; None where it does not tell."""
    disk_mb: float | None = None
    """Size of the disk that holds the outbox."""


class FrameCounts(msgspec.Struct, frozen=True):
    """Frames by what they were good for, since start; each counts once."""

    usable: Count = 0
    misframed: Count = 0
    """The markers are not where they belong, or not in sight."""
    blind: Count = 0
    """Black, white, or otherwise without a view of the tank."""
    duplicated: Count = 0
    """The very picture that came before."""
    frozen: Count = 0
    """The same, for a second and longer."""
    passed: Count = 0
    """Sound, and not looked at: over an empty tank in which nothing moves some are enough."""


class MissingCounts(msgspec.Struct, frozen=True):
    """Looks at the picture at which a value could not be measured, since start."""

    noise: Count = 0
    paper: Count = 0
    blur: Count = 0
    clarity: Count = 0
    corners: Count = 0
    """Fewer than four."""


class PictureMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """How good the picture is, by a look every two seconds; None = could not be measured."""

    frames: FrameCounts = FrameCounts()
    looks: Count = 0
    missing: MissingCounts = MissingCounts()
    contrast_levels: float | None = None
    """Grey levels between the dark and the light parts of the tank view."""
    noise_levels: float | None = None
    """Camera noise, standard deviation in grey levels."""
    paper_levels: float | None = None
    """Grey levels between the markers' black and white."""
    blur_px: float | None = None
    """Of the markers' edges, standard deviation in pixels of the tank view: the smaller the sharper."""
    clarity: float | None = None
    """Of the water, 0 (opaque) .. 1 (clear)."""
    corners_seen: Count | None = None
    rotation_deg: float | None = None
    """Against the picture at set-up."""
    smallest_bubble_px: float | None = None
    """Diameter in the tank view from which bubbles are found."""
    smallest_bubble_mm: float | None = None


class InputMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """What the camera delivers."""

    camera: CameraWord = "unknown"
    fps: float | None = None
    frames: Count = 0
    dropped: Count = 0
    framing: FramingStatus = "unchecked"
    shift_px: float | None = None
    water: WaterStatus = "unknown"
    clarity: float | None = None
    brightness: float | None = None
    """Mean grey level, 0..255."""
    reconnects: Count = 0
    """To the camera, since start."""
    left_out: Count = 0
    """Frames that showed nothing new, since start: their capture time did not rise, or they had come before."""
    picture: PictureMetrics = PictureMetrics()
    camera_fault: str = ""
    """What is wrong with the camera, more finely: unplugged, silent, frozen, stale, time_jump, reordered, duplicated,
    half_rate, resolution, black, white, noise or exposure; others may come. Empty while nothing is."""


class VerdictCounts(msgspec.Struct, frozen=True):
    """Cases by the machine's word, since start."""

    ok: Count = 0
    leak: Count = 0
    uncertain: Count = 0
    not_tested: Count = 0


class OutcomeCounts(msgspec.Struct, frozen=True):
    """Cases by comparison with the inspector, since start."""

    agree: Count = 0
    machine_leak: Count = 0
    human_leak: Count = 0
    unsure: Count = 0
    not_tested: Count = 0
    undecided: Count = 0
    machine_only: Count = 0


class DecisionCounts(msgspec.Struct, frozen=True):
    """Cases by the inspector's word, since start."""

    ok: Count = 0
    leak: Count = 0
    none: Count = 0


class DeciderCounts(msgspec.Struct, frozen=True):
    """Cases by who decided, since start."""

    human: Count = 0
    machine: Count = 0
    none: Count = 0


class LatencyMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """How long things take, in seconds, since start."""

    step: Histogram = Histogram()
    """All that is done with one frame."""
    composite: Histogram = Histogram()
    """A composite: built, looked at by the champion and accounted for."""
    verdict: Histogram = Histogram()
    """The champion's word on a case, once it is asked for."""
    record: Histogram = Histogram()
    """From a case's last frame to its record."""
    put: Histogram = Histogram()
    """The outbox takes a case, for good."""


class OutputMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """What the device says."""

    cases: Count = 0
    verdicts: VerdictCounts = VerdictCounts()
    outcomes: OutcomeCounts = OutcomeCounts()
    step_ms: float | None = None
    """CPU time a frame, mean since the last metrics."""
    verdict_ms: float | None = None
    """From a case's last frame to its record: 95th percentile of the last cases."""
    challenger_cut: Count = 0
    """Cases in which the challenger was stopped so that the champion lost no frame."""
    decisions: DecisionCounts = DecisionCounts()
    deciders: DeciderCounts = DeciderCounts()
    latency: LatencyMetrics = LatencyMetrics()
    scores: Histogram = Histogram()
    """Of the cases that have one."""
    cycle_s: Histogram = Histogram()
    """From the beginning of one case to that of the next; pauses of ten minutes and more left out."""
    usable_s: Histogram = Histogram()
    """Of watching, of each case."""


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """Every 10 s."""

    schema: Literal["tankwatch/metrics/1"] = "tankwatch/metrics/1"
    at: str
    boot_id: str
    software: SoftwareMetrics
    input: InputMetrics = InputMetrics()
    output: OutputMetrics = OutputMetrics()


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """Retained while active; an empty payload on its topic ends it."""

    schema: Literal["tankwatch/alarm/1"] = "tankwatch/alarm/1"
    id: Identifier
    priority: AlarmPriority
    text: str
    since: str
    cause: str
    consequence: str
    action: str
    """What to do."""
    state: AlarmState = "unacknowledged"
    """`shelved`, `suppressed` (it follows from another alarm) and `out_of_service` are not on the operator's screen."""
    holds: bool = True
    """Whether its cause is there."""
    acknowledged_by: str = ""
    acknowledged_at: str | None = None
    """UTC, ISO 8601; None = by nobody."""
    shelved_until: str | None = None
    """UTC, ISO 8601; None = it is not shelved."""


class Disposition(msgspec.Struct, frozen=True, kw_only=True):
    """A copy of the device's word to the line, where the mode lets it decide."""

    schema: Literal["tankwatch/disposition/1"] = "tankwatch/disposition/1"
    case_id: Identifier
    disposition: DispositionWord
    expires_at: str


class SamplingWish(msgspec.Struct, frozen=True, kw_only=True):
    """More of a kind of case for the experts: agreements that fit every limit given are drawn at least so often.

    What is sent anyway stays so, and no probability is lowered. A limit on what was not measured fits nothing.
    """

    id: Identifier
    probability: Annotated[float, msgspec.Meta(gt=0, le=1)]
    until: Annotated[str, msgspec.Meta(max_length=40)]
    """UTC, ISO 8601; the wish ends then. One that is no time has ended."""
    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""
    verdict: VerdictWord | None = None
    score_from: float | None = None
    score_below: float | None = None
    clarity_below: float | None = None
    """Of the water, 0..1."""
    light_below: float | None = None
    """Grey level of the water, 0..255."""


class Desired(msgspec.Struct, frozen=True, kw_only=True):
    """Retained: what the cloud wants of the device. `mode` may lower the degree of automation, never raise it."""

    schema: Literal["tankwatch/desired/1"] = "tankwatch/desired/1"
    counter: Count
    """Only rises; a smaller or equal one is ignored."""
    bundle: BundleRef | None = None
    challenger: BundleRef | None = None
    mode: Mode | None = None
    audit_probability: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    """Floor of the audit's sampling probability."""
    sampling: tuple[SamplingWish, ...] = ()
    """Where several fit a case, the largest probability holds."""
    challenge_serials: tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=128)], ...] = ()
    """Of parts of known truth: their cases are sampled for `challenge`, with probability 1."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A one-off order; each id is carried out once."""

    schema: Literal["tankwatch/command/1"] = "tankwatch/command/1"
    id: Identifier
    order: Literal["send_clip", "resend_since", "trigger", "self_test"]
    case_id: Identifier | None = None
    """For `send_clip`."""
    since: str | None = None
    """UTC, ISO 8601; for `resend_since`."""
    expires_at: str | None = None


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a command."""

    schema: Literal["tankwatch/reply/1"] = "tankwatch/reply/1"
    id: Identifier
    done: bool
    text: str


class ModeCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """What a station's own cases and challenge parts show of one bundle there; its bounds hold together, always."""

    miss_rate_upper: Annotated[float, msgspec.Meta(ge=0, le=1)]
    """Of leaking units that were answered, those answered ok."""
    false_alarm_rate_upper: Annotated[float, msgspec.Meta(ge=0, le=1)]
    confidence: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    shown_by: Literal["units", "challenge parts"]
    """What the bound on misses rests on."""
    leaky: Count
    good: Count
    coverage: Annotated[float, msgspec.Meta(ge=0, le=1)]
    """Share of the tested units that were answered ok or leak."""
    measured_at: str
    """UTC, ISO 8601."""
    expires_at: str


class ModeOrder(msgspec.Struct, frozen=True, kw_only=True):
    """How much one station may decide with one bundle under one profile. It counts only as a signed target."""

    schema: Literal["tankwatch/mode-order/1"] = "tankwatch/mode-order/1"
    site: str
    station: str
    mode: Mode
    counter: Count
    """Only rises; an order that is not newer than the one in force is ignored."""
    bundle_sha256: Sha256
    profile_sha256: Sha256
    answers_wish: Count = 0
    """Counter of the newest `desired` that whoever gave the order knew: its mode and older ones no longer lower."""
    certificate: ModeCertificate | None = None
    """None only at shadow and below."""
    reason: str
    ordered_by: str
    ordered_at: str
    """UTC, ISO 8601."""
    expires_at: str
