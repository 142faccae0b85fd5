"""W&B is not asked for a key amid a run."""

import pytest
from core.errors import ConfigError
from smallwright_trackers.config import WandbConfig
from smallwright_trackers.wandb import WeightsAndBiases

pytest.importorskip("wandb")


@pytest.mark.parametrize(
    ("environment", "entry", "host"),
    [
        ({}, "", "api.wandb.ai"),
        ({"WANDB_BASE_URL": "http://ours:8080"}, "machine api.wandb.ai login user password x", "ours"),
        ({}, "machine api.wandb.ai login user password x", None),
        ({"WANDB_API_KEY": "x"}, "", None),
    ],
)
def test_online_is_refused_while_planning_where_nobody_is_logged_in(monkeypatch, tmp_path, environment, entry, host):
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "netrc").write_text(entry)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    WeightsAndBiases(WandbConfig()).check("tracker.wandb")
    online = WeightsAndBiases(WandbConfig(mode="online"))
    if host is None:
        online.check("tracker.wandb")
        return
    with pytest.raises(ConfigError, match=rf"^tracker\.wandb\.mode=online: nobody is logged in at {host}\. "):
        online.check("tracker.wandb")
