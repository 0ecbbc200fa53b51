"""An opened bundle -> nothing, or ModelError: each net does what the device asks of it, the golden cases hold."""

import numpy as np

from edge_agent import golden
from edge_agent.account import FEATURES
from edge_agent.bundle import Bundle
from edge_agent.infer import Aggregator, Detector, OriginReader
from edge_agent.kymograph import PICTURE
from edge_agent.lamps import LampReader
from edge_agent.records import Composite, Frame
from edge_agent.station import Lamp
from edge_agent.water import WaterGauge


def verify(opened: Bundle) -> None:
    """Runs each net once, and all of them on the golden cases.

    Raises ModelError where one does not do what the device asks of it, or where a golden case is judged otherwise.
    """
    thresholds = opened.manifest.thresholds
    grey = np.random.default_rng(0).integers(0, 256, (96, 128), dtype=np.uint8)
    picture = np.repeat(grey[..., None], 3, axis=2)
    Detector(opened.nets["detector"], thresholds).look(Composite(picture, 0.1, 0.05))
    OriginReader(opened.nets["origins"])(np.zeros((2, *PICTURE), np.float32))
    Aggregator(opened.nets["aggregator"]).score(np.zeros(len(FEATURES), np.float32))
    lamps = tuple(Lamp(means, (10, 10, 20, 20)) for means in ("ok", "leak"))
    LampReader(opened.nets["lamps"], lamps).read(Frame(picture, 0, 0.0, 0.0))
    WaterGauge(opened.nets["water"]).clarity(grey)
    golden.reproduce(opened)
