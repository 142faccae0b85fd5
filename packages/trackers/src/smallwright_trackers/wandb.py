"""Weights & Biases: a run there for each stage, named by the making of its artifact, so that it can be resumed."""

import netrc
import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from core.checks import check_modules
from core.errors import ConfigError
from core.run import Run, StageWork

from smallwright_trackers.by_stage import StageTracker

STEP = "step"
"""Axis of every curve: W&B's own counter would refuse what comes late, such as the score of an earlier checkpoint."""

SERVER = "https://api.wandb.ai"
FLUSH_SECONDS = 0.5
"""What was logged this long ago survives a kill; W&B's own is 15."""


class WeightsAndBiases(StageTracker):
    """Logs to Weights & Biases: into the run's folder, or there at once."""

    _run: Any = None
    _last: float = float("-inf")

    def check(self, where: str) -> None:
        """See :meth:`core.interfaces.Tracker.check`."""
        check_modules(where, {"wandb": "wandb"}, "smallwright-trackers[wandb]")
        host = urlsplit(os.environ.get("WANDB_BASE_URL") or SERVER).hostname or ""
        if self.config.mode == "online" and not _is_logged_in(host):  # W&B would ask at the terminal, amid the run
            raise ConfigError(
                f"{where}.mode=online: nobody is logged in at {host}. Run wandb login, or set WANDB_API_KEY, and "
                "WANDB_BASE_URL for a server of your own."
            )

    def open(self, run: Run, stage: StageWork) -> None:
        """See :meth:`StageTracker.open`."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        is_online = self.config.mode == "online"
        self._run = wandb.init(
            project=self.config.project,
            entity=self.config.entity,
            mode=self.config.mode,
            tags=list(self.config.tags),
            dir=str(run.directory),
            id=stage.key,
            resume="allow" if is_online else None,  # what is kept here is put together by the server, by its id
            group=run.name,
            name=f"{run.name}-{stage.name}",
            job_type=stage.name,
            config={"smallwright": run.id, "artifact": stage.artifact.name, **run.config},
            settings=_settings(wandb.Settings),
        )
        self._run.define_metric(STEP, hidden=True)
        self._run.define_metric("*", step_metric=STEP)
        last = self._run.summary.get(STEP) if is_online else None
        self._last = float("-inf") if last is None else float(last)

    def write(self, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """See :meth:`StageTracker.write`."""
        for step, numbers in rows:
            if step > self._last:  # the server has the others already
                self._run.log({STEP: step, **numbers})

    def close(self, failed: bool) -> None:
        """See :meth:`StageTracker.close`."""
        self._run.finish(exit_code=int(failed))


def _is_logged_in(host: str) -> bool:
    """Whether there is a key for a server, where W&B looks for it."""
    if any(os.environ.get(name) for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")):
        return True
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _settings(known: Any) -> Any:
    """Return W&B's settings of a run; those that begin with x_ may go with any version of it."""
    wanted = {
        "console": "off",  # what the run prints is its own
        "silent": True,
        "disable_git": True,  # manifests have the commit
        "x_disable_stats": True,
        "x_transaction_log_flush_interval": FLUSH_SECONDS,
    }
    return known(**{key: value for key, value in wanted.items() if key in known.model_fields})
