"""``pretrain.precision=auto``: what was measured faster, on this machine, for a model of this size."""

import pytest
from core import compose, discovery, graph
from smallwright_pretrain import precision
from smallwright_pretrain.stage import TorchTitanPretrain


@pytest.mark.parametrize(
    ("flags", "parameters", "chosen"),
    [
        ("avx2 avx512f", 20_000_000, "float32"),
        ("avx512_bf16 amx_bf16", 1_000_000, "float32"),
        ("avx512_bf16 amx_bf16", 20_000_000, "bfloat16"),
        ("avx512_bf16 amx_bf16", 3_000_000_000, "bfloat16"),
        ("avx512_bf16", 1_000_000, "bfloat16"),
        ("avx512_bf16", 100_000_000, "bfloat16"),
        ("", 1, "float32"),
    ],
)
def test_a_cpu_takes_what_was_faster_at_the_nearest_size(flags, parameters, chosen):
    found = precision.of_cpu(parameters, frozenset(flags.split()))
    assert found.value == chosen
    assert found.source.startswith("auto: ")


@pytest.mark.parametrize(
    ("device", "capability", "chosen"),
    [("auto", 9.0, "bfloat16"), ("cuda", 7.5, "float32"), ("cuda", None, "bfloat16"), ("cpu", 9.0, "float32")],
)
def test_a_gpu_takes_bfloat16_where_its_tensor_cores_do(monkeypatch, device, capability, chosen):
    monkeypatch.setattr(precision, "gpu_capability", lambda: capability)
    monkeypatch.setattr(precision, "instructions", frozenset)
    assert precision.choose(10**9, device).value == chosen


def test_the_instructions_are_those_that_linux_names(monkeypatch, tmp_path):
    (tmp_path / "cpuinfo").write_text("processor : 0\nflags\t\t: fpu avx512_bf16\nbugs\t\t: amx_bf16\n")
    monkeypatch.setattr(precision, "CPU_INFO", tmp_path / "cpuinfo")
    assert precision.instructions() == {"fpu", "avx512_bf16"}
    monkeypatch.setattr(precision, "CPU_INFO", tmp_path / "elsewhere")
    assert precision.instructions() == frozenset()


def test_planning_puts_what_was_chosen_in_the_identity(monkeypatch):
    """Another machine may choose otherwise; what it trains is another artifact."""
    registry = discovery.load()
    monkeypatch.setattr(precision, "gpu_capability", lambda: None)

    def planned(value, flags=""):
        monkeypatch.setattr(precision, "instructions", lambda: frozenset(flags.split()))
        config = compose.compose(["+arch=gqa", f"pretrain.precision={value}"], registry)
        return next(spec for spec in graph.build(config, registry, without_corpus=True) if spec.name == "pretrain")

    there, here = planned("auto", "avx512_bf16"), planned("auto")
    assert there.identity() == planned("bfloat16").identity()
    assert here.identity() == planned("float32").identity()
    assert (there.followed["precision"].value, here.followed["precision"].value) == ("bfloat16", "float32")
    assert planned("float32").followed == {}
    assert isinstance(there.build(), TorchTitanPretrain)
