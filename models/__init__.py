"""Training: from recordings and datasets to bundles, and the evaluation of bundles."""

import os

# As in edge_agent: onnxruntime reports to nobody.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
