"""Checked net bytes -> answers: composites to evidence, a case's features to its score.

One session each, one thread, no spinning (spinning threads cost four times the work at 15 frames/s). All
preprocessing of pixels is inside the nets, so that training and the device cannot differ.
"""

from typing import NamedTuple

import cv2
import numpy as np
import onnxruntime

from edge_agent.account import FEATURES
from edge_agent.bundle import Thresholds
from edge_agent.errors import ModelError
from edge_agent.kymograph import ORIGIN_ROWS
from edge_agent.records import Composite, Evidence

STRIDE = 4
"""Tank view pixels per cell of the detector's maps."""
MOST_BUBBLES = 64
"""Strongest peaks kept of one composite."""
SMALLEST_VIEW_PX = 32
MAPS, CLASSES = 9, 4
"""Probabilities of rising bubble, attached bubble, bead and speck; offset x, y in cells; velocity x, y in pixels per
spacing; log2 of the diameter in pixels."""
FARTHEST_CELLS, FASTEST_PX = 2.0, 200.0
"""Of a bubble from its cell's middle, and from frame to frame; a net that says more is not believed."""
DIAMETERS_PX = 0.5, 64.0
"""What a detector may say of a size."""


class Net:
    """A running ONNX net. `data` must have passed `onnxcheck`; opened bundles have."""

    def __init__(self, data: bytes, name: str, input_rank: int) -> None:
        self._name = name
        try:
            self._session = onnxruntime.InferenceSession(data, _options(), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no base class
            raise ModelError(f"the {name} net cannot be loaded ({_first_line(error)}): use another bundle") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1 or len(inputs[0].shape or ()) != input_rank:
            raise ModelError(
                f"the {name} net takes {len(inputs)} inputs and gives {len(outputs)} outputs, "
                f"one input of rank {input_rank} and one output are needed: use a bundle made for this version"
            )
        self._input = inputs[0].name
        self.shape: tuple[int | str, ...] = tuple(inputs[0].shape)
        """Of the input, as the net declares it; an axis of any size has a name."""

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """Raises ModelError where the net does not take `batch` or does not give finite numbers."""
        try:
            answer = self._session.run(None, {self._input: batch})[0]
        except Exception as error:  # onnxruntime's errors share no base class
            shape = "x".join(map(str, batch.shape))
            raise ModelError(
                f"the {self._name} net refuses {shape} ({_first_line(error)}): use another bundle"
            ) from error
        # A sum is five times as quick, and nothing that is not finite leaves it finite; a sum alone may overflow.
        if not np.isfinite(answer.sum()) and not np.isfinite(answer).all():
            raise ModelError(f"the {self._name} net gives numbers that are not finite: use another bundle")
        return answer


class Detector:
    """Looks for rising bubbles on composites."""

    def __init__(self, data: bytes, thresholds: Thresholds) -> None:
        self._net = Net(data, "detector", 4)
        self._bubble_above = thresholds.bubble_above

    def look(self, composite: Composite) -> Evidence:
        """Evidence at the time of the composite's middle frame; positions are those in the middle frame."""
        maps = self._net(_batch(composite.image))[0]
        if maps.shape[0] != MAPS:
            raise ModelError(
                f"the detector net gives {maps.shape[0]} maps, {MAPS} are needed: use a bundle made for this version"
            )
        bubbles = _bubbles(maps, self._bubble_above, composite.spacing_s)
        classes = maps[:CLASSES]
        return Evidence(
            monotonic_s=composite.monotonic_s - composite.spacing_s,
            heat=maps[0],
            bubbles=bubbles,
            score=float(bubbles[0, 2]) if len(bubbles) else float(maps[0].max()),
            classes=np.stack([classes.mean(axis=(1, 2)), classes.max(axis=(1, 2))]),
            beads=maps[2],
        )


class OriginReader:
    """Kymographs of strips -> log odds that bubbles rise again and again from each height of them."""

    def __init__(self, data: bytes) -> None:
        self._net = Net(data, "origins", 4)

    def __call__(self, strips: np.ndarray) -> np.ndarray:
        """(n, *kymograph.PICTURE) float32 as `kymograph.strips` gives them -> (n, ORIGIN_ROWS) float32."""
        said = self._net(strips)
        if said.shape != (len(strips), ORIGIN_ROWS):
            raise ModelError(
                f"the origins net gives {said.shape} for {len(strips)} strips, {ORIGIN_ROWS} heights each are needed: "
                "use a bundle made for this version"
            )
        return said


class CaseScore(NamedTuple):
    """What the aggregator says of a case."""

    leak: float
    """Calibrated probability that it leaks, at equal odds."""
    distance: float
    """From the middle of the cases that it was trained on, as the detector's maps show them; 1 is usual."""


class Aggregator:
    """A case's features -> its score."""

    def __init__(self, data: bytes) -> None:
        self._net = Net(data, "aggregator", 2)
        takes = self._net.shape[1]
        if takes != len(FEATURES):
            raise ModelError(
                f"the aggregator net takes {takes} features, this version gives {len(FEATURES)}: "
                "use a bundle made for this version"
            )
        # A net that says something else is refused before any case.
        self.score(np.zeros(takes, np.float32))

    def score(self, features: np.ndarray) -> CaseScore:
        """`features`: (F,) float32 of `account.Account.features`. Raises ModelError."""
        said = self._net(features.astype(np.float32)[None])
        if said.shape != (1, 2):
            raise ModelError(
                f"the aggregator net gives {said.shape} for a case, a score and a distance are needed: "
                "use a bundle made for this version"
            )
        leak, distance = said[0].tolist()
        return CaseScore(min(max(leak, 0.0), 1.0), max(distance, 0.0))


def _batch(image: np.ndarray) -> np.ndarray:
    """(h, w, 3) -> (1, 3, h', w'), cut to whole cells; a composite's own memory where nothing has to be cut."""
    height, width = (size // STRIDE * STRIDE for size in image.shape[:2])
    if min(height, width) < SMALLEST_VIEW_PX:
        raise ModelError(f"a tank view of {width}x{height} px, {SMALLEST_VIEW_PX} px are needed: use a larger picture")
    return np.ascontiguousarray(image[:height, :width].transpose(2, 0, 1))[None]


def _bubbles(maps: np.ndarray, above: float, spacing_s: float) -> np.ndarray:
    """(9, h, w) as MAPS says -> (n, 6) rows as Evidence has them."""
    heat = maps[0]
    rows, columns = np.nonzero(heat >= above)
    peaks = heat[rows, columns] >= cv2.dilate(heat, np.ones((3, 3), np.uint8))[rows, columns]
    rows, columns = rows[peaks], columns[peaks]
    strongest = np.argsort(-heat[rows, columns], kind="stable")[:MOST_BUBBLES]
    rows, columns = rows[strongest], columns[strongest]
    score, _, _, _, dx, dy, vx, vy, size = maps[:, rows, columns]
    dx, dy = np.clip((dx, dy), -FARTHEST_CELLS, FARTHEST_CELLS)
    vx, vy = np.clip((vx, vy), -FASTEST_PX, FASTEST_PX)
    x_px, y_px = (columns + 0.5 + dx) * STRIDE, (rows + 0.5 + dy) * STRIDE
    diameter_px = np.exp2(np.clip(size, *np.log2(DIAMETERS_PX)))
    return np.stack([x_px, y_px, score, vx / spacing_s, vy / spacing_s, diameter_px], axis=1).astype(np.float32)


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:160] if str(error) else type(error).__name__
