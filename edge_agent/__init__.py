"""The device: from camera frames to cases, and from cases to the broker."""

import os

# onnxruntime's official builds report to their maker from the first import on, unless told not to before it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
