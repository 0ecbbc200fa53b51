"""bundle.zip <-> Bundle: everything a verdict depends on, in one file with one version and one hash.

A bundle is a stored (uncompressed) zip of `manifest.json` and `nets/<name>.onnx`; it is opened only through the
checks below, before any runtime sees a byte of it.
"""

from typing import Literal

import msgspec

NetName = Literal["detector", "aggregator", "lamps", "water"]
NET_NAMES: tuple[NetName, ...] = ("detector", "aggregator", "lamps", "water")


class Preprocessing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How frames become what the nets see."""

    spacing_ms: float
    """Wanted time between neighbouring frames of a composite."""
    spacing_tolerance_ms: float
    """A composite whose frames miss the spacing by more is not made."""
    period_ms: float
    """Wanted time between composites."""
    max_view_px: tuple[int, int]
    """Tank views are made no larger than this, width and height."""


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every limit that a verdict depends on."""

    ok_below: float
    """Case score under which a unit is ok."""
    leak_above: float
    """Case score over which it leaks; between the two it is uncertain."""
    bubble_above: float
    """Detector score from which a peak is a bubble."""
    settle_s: float
    """After immersion trapped air rises: births before this are no evidence of a leak."""
    lamp_lit_above: float
    murky_below: float
    """Clarity under which the water is murky."""


class Sensitivity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the nets can see, measured on the bundle's own test set; gives the smallest leak a case could have shown."""

    smallest_bubble_px: float = 2.0
    """Diameter in the tank view from which `recall` holds."""
    recall: float = 0.8
    bubbles_needed: Literal[1, 2, 3] = 2


class Lineage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a bundle comes from."""

    recipe: str
    seed: int
    dataset_sha256: str | None
    parent_sha256: str | None
    code: str
    """Version of the training code (git commit, or 'unknown')."""


class BundleManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """manifest.json of a bundle."""

    schema: Literal["tankwatch/bundle/1"] = "tankwatch/bundle/1"
    name: str
    version: int
    created_at: str
    nets: dict[NetName, str]
    """sha256 of each net's bytes."""
    preprocessing: Preprocessing
    thresholds: Thresholds
    sensitivity: Sensitivity = Sensitivity()
    lineage: Lineage
    card: str
    """The model card, Markdown."""
