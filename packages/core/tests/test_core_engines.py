"""Environments of engines."""

import contextlib
import gc
import os
import sys

import pytest
from core import engines
from core.errors import InputError


def test_a_stage_without_a_launcher_keeps_what_the_user_has_set(monkeypatch):
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    monkeypatch.setenv("VLLM_NO_USAGE_STATS", "restored after the test")
    monkeypatch.delenv("VLLM_NO_USAGE_STATS")
    engines.set_missing({"TOKENIZERS_PARALLELISM": "true", "VLLM_NO_USAGE_STATS": "1"})
    assert os.environ["TOKENIZERS_PARALLELISM"] == "false"
    assert os.environ["VLLM_NO_USAGE_STATS"] == "1"


def test_only_a_stage_that_may_fetch_reaches_the_hub():
    assert engines.hub_environment(False) == engines.offline_environment()
    assert engines.offline_environment()["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in engines.hub_environment(True)
    assert engines.hub_environment(True)["HF_HUB_DISABLE_TELEMETRY"] == "1"


def test_vllm_keeps_the_cache_size_that_the_user_has_set(monkeypatch):
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "7")
    assert engines.vllm_environment(eager=True)["VLLM_CPU_KVCACHE_SPACE"] == "7"
    monkeypatch.delenv("VLLM_CPU_KVCACHE_SPACE")
    assert engines.vllm_environment(eager=True)["VLLM_CPU_KVCACHE_SPACE"] == "1"


@pytest.mark.parametrize(
    ("torch", "vision", "fits"),
    [("2.13.0+cpu", "0.28.0+cu130", False), ("2.13.0+cpu", "0.28.0+cpu", True), ("2.13.0+cu130", "0.28.0+cu130", True),
     ("2.13.0+cpu", None, True), (None, "0.28.0+cu130", True)],
)  # fmt: skip
def test_a_torchvision_that_transformers_cannot_import_is_refused(tmp_path, monkeypatch, torch, vision, fits):
    for name, version in (("torch", torch), ("torchvision", vision)):
        if version is not None:
            (tmp_path / name).mkdir()
            (tmp_path / name / "__init__.py").touch()
            (tmp_path / name / "version.py").write_text(f"debug = False\n__version__ = '{version}'\n")
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    engines._version_of.cache_clear()
    try:
        with contextlib.nullcontext() if fits else pytest.raises(InputError, match="pip uninstall torchvision"):
            engines.check_torchvision()
    finally:
        engines._version_of.cache_clear()


def test_an_import_is_spared_collections_which_then_go_on():
    gc.unfreeze()
    with engines.importing():
        assert not gc.isenabled()
        made = [[] for _ in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= len(made)
    gc.disable()
    try:
        with pytest.raises(ImportError), engines.importing():
            raise ImportError
        assert not gc.isenabled(), "whoever had switched them off keeps them off"
    finally:
        gc.enable()
