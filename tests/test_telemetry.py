"""The device speaks to its broker and to nobody else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("module", ["edge_agent.infer", "edge_agent.agent", "models.export"])
def test_the_runtime_of_the_nets_keeps_no_identity_to_report_under(module, tmp_path):
    """onnxruntime writes `.ses` into the temporary folder when it begins to report."""
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    code = f"import {module}, os, sys; assert 'onnxruntime' in sys.modules; assert os.environ['ORT_DISABLE_TELEMETRY']"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=environment | {"TMPDIR": str(tmp_path)})
    assert list(tmp_path.iterdir()) == []
