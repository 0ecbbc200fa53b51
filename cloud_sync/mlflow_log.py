"""A finished run -> a copy of its figures on an MLflow server, where MLFLOW_TRACKING_URI names one.

The catalogue is `runs`; this is a copy for those who already look elsewhere. Nothing here stops a run.
"""

import importlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from cloud_sync.runs import Run

VARIABLE = "MLFLOW_TRACKING_URI"
EXPERIMENT = "tankwatch retraining"
Warn = Callable[[str], None]


def copy(run: Run, warn: Warn) -> bool:
    """True where MLflow holds the run now."""
    address = os.environ.get(VARIABLE)
    if not address:
        return False
    try:
        client = importlib.import_module("mlflow").MlflowClient(tracking_uri=address)
        _write(client, run)
    except ModuleNotFoundError as error:
        warn(f"{VARIABLE} is set but {error.name} is not installed: install the extra mlflow, or unset it")
    except Exception as error:  # noqa: BLE001 - its client passes on whatever the server, the proxy or the disk raise
        warn(f"run {run.id} could not be logged to {VARIABLE} ({error!r}): it is in the catalogue all the same")
    else:
        return True
    return False


def _write(client: Any, run: Run) -> None:
    known = client.get_experiment_by_name(EXPERIMENT)
    experiment = known.experiment_id if known else client.create_experiment(EXPERIMENT)
    tags = {"scope": run.scope, "why": run.why, "started_by": run.started_by, "bundle": run.bundle_sha256 or ""}
    begun_ms = int(1000 * (run.started_at or run.queued_at))
    made = client.create_run(experiment, start_time=begun_ms, run_name=f"run {run.id}", tags=tags).info.run_id
    params = {
        "dataset": f"{run.dataset} {run.dataset_version}",
        "dataset_sha256": run.dataset_sha256,
        "parent_sha256": run.parent_sha256,
        "code": run.code,
        "seed": run.seed,
        **msgspec.json.decode(run.settings),
    }
    for name, value in params.items():
        client.log_param(made, name, value)
    for name, number in figures(msgspec.json.decode(run.metrics or b"{}")):
        client.log_metric(made, name, number)
    client.set_terminated(made, end_time=int(1000 * (run.ended_at or run.queued_at)))


def figures(metrics: Any, before: str = "") -> Iterator[tuple[str, float]]:
    """Every number with its path, as MLflow takes names: letters, digits, underscores, dots and slashes."""
    if isinstance(metrics, dict):
        for name, value in metrics.items():
            yield from figures(value, f"{before}/{name}" if before else str(name))
    elif isinstance(metrics, int | float) and not isinstance(metrics, bool):
        yield before, float(metrics)
