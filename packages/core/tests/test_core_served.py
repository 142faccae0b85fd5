"""What vLLM cannot serve here is refused while planning, with what it can."""

from types import SimpleNamespace

import pytest
from core import served
from core.errors import ConfigError


def test_a_head_without_a_kernel_is_refused_with_the_widths_that_have_one(monkeypatch):
    monkeypatch.setattr(served, "cpu_head_widths", lambda: (32, 64, 80))
    for width in (32, 80, None):
        served.check_head_width(SimpleNamespace(head_width=lambda width=width: width), "eval.engine=vllm", "x")
    with pytest.raises(ConfigError) as error:
        served.check_head_width(SimpleNamespace(head_width=lambda: 40), "eval.engine=vllm", "eval.engine=transformers")
    assert str(error.value) == (
        "arch.head_dim=40: eval.engine=vllm cannot serve it; the kernels of vLLM for a CPU have heads of 32, 64, 80. "
        "Set arch.head_dim=32, or eval.engine=transformers."
    )
    monkeypatch.setattr(served, "cpu_head_widths", tuple)  # another build, or none
    served.check_head_width(SimpleNamespace(head_width=lambda: 40), "eval.engine=vllm", "x")


def test_the_widths_are_those_of_the_installed_build():
    widths = served.cpu_head_widths()
    assert not widths or {32, 64, 128} <= set(widths)
