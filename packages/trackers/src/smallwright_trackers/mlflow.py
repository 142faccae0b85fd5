"""MLflow: a run there for each stage, found again by its tag when a training goes on."""

import os
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from core.checks import check_modules
from core.run import Run, StageWork

from smallwright_trackers.by_stage import StageTracker, flat

FOLDER = "mlflow"
KEY = "smallwright.key"
"""Tag that names the making of the artifact."""
BATCH = {"metrics": 1000, "params": 100}
"""What MLflow takes at a time."""
LONGEST = 500
"""Characters of a setting; servers differ in what they take."""


class MLflow(StageTracker):
    """Logs to MLflow: into files in the run's folder, or to a server."""

    _client: Any = None
    _id = ""

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self._last: dict[str, int] = {}

    def check(self, where: str) -> None:
        """See :meth:`core.interfaces.Tracker.check`."""
        check_modules(where, {"mlflow": "mlflow"}, "smallwright-trackers[mlflow]")

    def open(self, run: Run, stage: StageWork) -> None:
        """See :meth:`StageTracker.open`."""
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow 3.17 and later refuse files without it
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient

        self._client = MlflowClient(tracking_uri=self.config.tracking_uri or (run.directory / FOLDER).as_uri())
        found = self._client.get_experiment_by_name(self.config.experiment)
        experiment = found.experiment_id if found else self._client.create_experiment(self.config.experiment)
        earlier = self._client.search_runs([experiment], f"tags.`{KEY}` = '{stage.key}'", max_results=1)
        if earlier:
            self._resume(earlier[0])
            return
        tags = {KEY: stage.key, "smallwright.run": run.id, "smallwright.artifact": stage.artifact.name}
        made = self._client.create_run(experiment, run_name=f"{run.name}-{stage.name}", tags=tags)
        self._id, self._last = made.info.run_id, {}
        self._log_settings(run.config)

    def _resume(self, earlier: Any) -> None:
        self._id = earlier.info.run_id
        self._client.update_run(self._id, status="RUNNING")
        history = self._client.get_metric_history
        self._last = {name: max(row.step for row in history(self._id, name)) for name in earlier.data.metrics}

    def _log_settings(self, config: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        params = [Param(_name(key), str(value)[:LONGEST]) for key, value in flat(config).items() if value is not None]
        for start in range(0, len(params), BATCH["params"]):
            self._client.log_batch(self._id, params=params[start : start + BATCH["params"]])

    def write(self, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """See :meth:`StageTracker.write`."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        named = [(_name(key), value, step) for step, numbers in rows for key, value in numbers.items()]
        metrics = [Metric(key, value, now, step) for key, value, step in named if step > self._last.get(key, -1)]
        for start in range(0, len(metrics), BATCH["metrics"]):
            self._client.log_batch(self._id, metrics=metrics[start : start + BATCH["metrics"]])

    def close(self, failed: bool) -> None:
        """See :meth:`StageTracker.close`."""
        self._client.set_terminated(self._id, "FAILED" if failed else "FINISHED")


def _name(key: str) -> str:
    """Return a name as MLflow takes it."""
    return re.sub(r"[^\w\-. :/]", "_", key)
