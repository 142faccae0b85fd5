"""Settings of the trackers. None changes what comes out, so none is part of an artifact's identity."""

import dataclasses
from typing import Literal

from core.typed import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class WandbConfig:
    """Weights & Biases: a run there for each stage that logs something, in one group for the run here."""

    project: str = setting("smallwright", min_length=1, identity=False)
    entity: str | None = setting(None, min_length=1, identity=False)
    """User or team; None: the default of who is logged in."""
    mode: Literal["offline", "online"] = setting("offline", identity=False)
    """``offline``: kept in the run's folder, for ``wandb sync``; ``online``: sent at once."""
    tags: tuple[str, ...] = setting((), identity=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MLflowConfig:
    """MLflow: a run there for each stage that logs something, tagged with the run here."""

    tracking_uri: str | None = setting(None, min_length=1, identity=False)
    """Where runs are kept: a server, ``http://host:5000``, or ``sqlite:///file.db`` (with the whole package mlflow).
    None: files in ``mlflow/`` of the run's folder."""
    experiment: str = setting("smallwright", min_length=1, identity=False)
