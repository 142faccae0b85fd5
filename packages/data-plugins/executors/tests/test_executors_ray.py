"""Ray, for real, on this machine: a cluster of two workers (about 12 seconds to start and end one)."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from core.errors import ConfigError, InputError
from smallwright_executors.config import RayConfig
from smallwright_executors.ray_executor import RayExecutor


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    """Ray's switches are set in the environment; each test starts without them."""
    for variable in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_USAGE_STATS_ENABLED", "RAY_task_oom_retries"):
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)


def executor(toy, **settings):
    return RayExecutor(RayConfig(**{"workers": 2, **settings}), toy.plugin)


def test_same_bytes_as_local(toy):
    expected = toy.local()
    assert toy.run(executor(toy), "ray") == expected
    assert toy.content("ray") == toy.content("local")
