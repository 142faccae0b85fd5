"""What an architecture must hold: four faces that are the same model, and counts that are true.

Shape suffixes: B batch, L sequence, V vocabulary.
"""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from core import typed
from core.engines import offline_environment, vllm_environment
from core.interfaces import Architecture
from core.served import check_head_width

from smallwright_testing.base import Conformance
from smallwright_testing.engines import Loaded, adapter_of, environment, log_probabilities, titan_logits
from smallwright_testing.learning import Learning

LOG_PROBABILITY = 1e-4
"""Largest difference in nats between two engines in float32."""
EXECUTED = 0.01
"""Largest share by which counted and measured matrix products may differ."""
WEIGHT_PRODUCTS = ("mm", "addmm", "_grouped_mm")
"""Products with a weight, or with those of experts; attention's products of activations are ``bmm``, or inside a fused
kernel."""


class ArchitectureConformance(Learning, Conformance):
    """Run as ``class TestMine(ArchitectureConformance): plugin = "mine"``."""

    kind = "architectures"
    where = "arch"
    size: ClassVar[str | None] = "nano"
    """Named size that ``settings`` start from; None: ``settings`` give every dimension."""
    vocab_size: ClassVar[int] = 256
    seq_len: ClassVar[int] = 64
    """Tokens of a row; longer than a sliding window, where there is one."""

    @classmethod
    def given(cls) -> dict[str, Any]:
        size = {} if cls.size is None else {"size": cls.size}
        return {**size, "vocab_size": cls.vocab_size, **cls.settings}

    @classmethod
    def architecture(cls, **values: Any) -> Architecture:
        """Return the architecture with the settings of this class, and ``values``."""
        return cls.entry().load()(cls.config(**values))

    @classmethod
    def refused(cls) -> Mapping[str, Mapping[str, Any]]:
        """Return ``wrong_settings``, and for the usual keys heads that do not divide and a width of nothing."""
        config = cls.config()
        usual: dict[str, Mapping[str, Any]] = {}
        if hasattr(config, "hidden_size"):
            usual["hidden_size"] = {"hidden_size": 0}
        if hasattr(config, "num_attention_heads") and hasattr(config, "num_key_value_heads"):
            more = config.num_attention_heads + 1
            usual["num_key_value_heads"] = {"num_key_value_heads": more}
            if hasattr(config, "head_dim"):
                usual["num_attention_heads"] = {
                    "num_attention_heads": config.hidden_size - 1,
                    "num_key_value_heads": 1,
                    "head_dim": None,
                }
        return {**usual, **cls.wrong_settings}

    @pytest.fixture(scope="class")
    @classmethod
    def loaded(cls) -> Loaded:
        """The TorchTitan and the Transformers model with the same weights."""
        return Loaded.of(cls.architecture(), cls.seq_len)

    def test_every_named_size_has_the_parameters_it_declares(self) -> None:
        import torch
        from smallwright_pretrain.cpu import use_device

        use_device("cpu")
        from smallwright_pretrain.attention import inner_attention

        named = getattr(self.entry().load_config(), "SIZES", {})
        for name, values in named.items():
            vocabulary = {} if values.get("vocab_size") else {"vocab_size": self.vocab_size}
            architecture = self.entry().load()(self.config_of(name, vocabulary))
            with torch.device("meta"):
                titan = architecture.titan_config(inner_attention=inner_attention("cpu"), seq_len=self.seq_len).build()
                hf = architecture.hf_model_class()(architecture.hf_config())
            counts = {"declared": architecture.parameters(), "titan": _stored(titan), "hf": _stored(hf)}
            assert len(set(counts.values())) == 1, f"size={name}: {counts}"

    @classmethod
    def config_of(cls, size: str, values: Mapping[str, Any]) -> Any:
        """Return the configuration of a named size, without the settings of this class."""
        config_class = cls.entry().load_config()
        assert config_class is not None
        return typed.build(config_class, {"size": size, **values}, cls.where)

    def test_these_settings_have_the_parameters_they_declare(self, loaded: Loaded) -> None:
        declared = loaded.architecture.parameters()
        assert {"titan": _stored(loaded.titan), "hf": _stored(loaded.hf)} == {"titan": declared, "hf": declared}

    def test_the_trainer_takes_its_configuration(self, tmp_path: Path) -> None:
        """The trainer has the model's configuration adapt itself to a run before it builds the model."""
        import torch
        from smallwright_pretrain.cpu import use_device

        use_device("cpu")
        from smallwright_pretrain.attention import inner_attention
        from smallwright_pretrain.config import TorchTitanConfig
        from smallwright_pretrain.titan import trainer_config

        architecture = self.architecture()
        model = architecture.titan_config(inner_attention=inner_attention("cpu"), seq_len=self.seq_len)
        settings = TorchTitanConfig(seq_len=self.seq_len)
        run = trainer_config(settings, model=model, name=self.plugin, tokens={}, output=tmp_path, seed=0)
        model.update_from_config(config=run)
        with torch.device("meta"):
            assert _stored(model.build()) == architecture.parameters()

    def test_executed_parameters_are_those_a_forward_pass_multiplies(self, loaded: Loaded) -> None:
        import torch
        from torch.utils.flop_counter import FlopCounterMode

        def grouped(rows: Any, experts: Any, *_: Any, **__: Any) -> int:
            """Each row is multiplied with one expert's matrix; PyTorch's counter does not know this product."""
            return 2 * rows[0] * experts[1] * experts[2]

        products = {torch.ops.aten._grouped_mm: grouped}
        with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=products) as counter:
            loaded.hf(input_ids=loaded.ids_BL, use_cache=False)
        by_operator = {str(operator): flops for operator, flops in counter.get_flop_counts()["Global"].items()}
        weights = sum(flops for name, flops in by_operator.items() if name.split(".")[-1] in WEIGHT_PRODUCTS)
        executed = weights / 2 / loaded.ids_BL.numel()
        assert loaded.architecture.executed_parameters() == pytest.approx(executed, rel=EXECUTED), by_operator

    def test_flops_grow_with_the_sequence_by_the_attention_width(self) -> None:
        architecture = self.architecture()
        base = 6 * architecture.executed_parameters()
        assert architecture.flops_per_token(0) == base
        # So short that no window cuts it off.
        assert architecture.flops_per_token(8) - base == 48 * architecture.attention_width() > 0

    def test_titan_and_transformers_give_the_same_log_probabilities(self, loaded: Loaded) -> None:
        import torch

        with torch.no_grad():
            titan_BLV = titan_logits(loaded.titan, loaded.ids_BL).log_softmax(-1)
            hf_BLV = loaded.hf(input_ids=loaded.ids_BL).logits.log_softmax(-1)
        assert titan_BLV.std() > 0.1, "all tokens are about as likely: nothing is compared"
        assert (titan_BLV - hf_BLV).abs().max() < LOG_PROBABILITY

    def test_weights_are_bit_equal_from_titan_to_transformers_and_back(self, loaded: Loaded) -> None:
        import torch

        adapter = adapter_of(loaded.architecture, self.seq_len)
        state = loaded.titan.state_dict()
        back = adapter.from_hf(adapter.to_hf(state))
        assert back.keys() == state.keys()
        assert not [name for name in state if not torch.equal(state[name], back[name])]

    def test_an_unknown_weight_is_refused_and_not_dropped(self, loaded: Loaded) -> None:
        import torch

        adapter = adapter_of(loaded.architecture, self.seq_len)
        with pytest.raises(KeyError, match="no_such_weight"):
            adapter.from_hf({**adapter.to_hf(loaded.titan.state_dict()), "no_such_weight": torch.zeros(1)})

    @pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
    def test_an_export_is_read_back_bit_equal(self, loaded: Loaded, dtype: str, tmp_path: Path) -> None:
        import torch
        from safetensors.torch import load_file

        kind = getattr(torch, dtype)
        state = {name: value.to(kind) for name, value in loaded.titan.state_dict().items()}
        model = type(loaded.hf)(loaded.architecture.hf_config()).to(kind)
        model.load_state_dict(adapter_of(loaded.architecture, self.seq_len).to_hf(state), strict=False)
        model.save_pretrained(tmp_path)
        read = type(model).from_pretrained(tmp_path, dtype=kind)
        assert {name for name, _ in read.named_parameters()} == {name for name, _ in model.named_parameters()}
        for (name, before), (_, after) in zip(model.named_parameters(), read.named_parameters(), strict=True):
            assert before.dtype == after.dtype == kind
            assert torch.equal(before, after), name
        files = sorted(tmp_path.glob("*.safetensors"))
        stored = sum(value.numel() for file in files for value in load_file(file).values())
        assert stored == loaded.architecture.parameters(), "a shared tensor is stored once"
        assert not list(tmp_path.glob("*.bin")), "pickles run code when they are read"

    def test_generation_with_a_cache_equals_generation_without(self, loaded: Loaded) -> None:
        import torch

        prompt_BL = loaded.ids_BL[:1, :8]
        length = self.seq_len - 8
        options = {"max_new_tokens": length, "min_new_tokens": length, "pad_token_id": 0}

        def sample(use_cache: bool) -> torch.Tensor:
            """Sample: the likeliest token of a random model is often the same whatever it sees."""
            with torch.random.fork_rng():
                torch.manual_seed(0)
                return loaded.hf.generate(prompt_BL, do_sample=True, top_k=0, use_cache=use_cache, **options)

        cached = sample(True)
        assert torch.equal(cached, sample(False))
        assert cached.shape[1] == self.seq_len

    def test_log_probabilities_with_a_cache_equal_those_without(self, loaded: Loaded) -> None:
        import torch

        with torch.no_grad():
            whole_BLV = loaded.hf(input_ids=loaded.ids_BL).logits
            cache, parts = None, []
            for ids_B1 in loaded.ids_BL.split(1, dim=1):
                answer = loaded.hf(input_ids=ids_B1, past_key_values=cache, use_cache=True)
                cache = answer.past_key_values
                parts.append(answer.logits)
        difference_BLV = torch.cat(parts, dim=1).log_softmax(-1) - whole_BLV.log_softmax(-1)
        assert difference_BLV.abs().max() < LOG_PROBABILITY

    @pytest.mark.slow
    def test_vllm_gives_titans_log_probabilities(self, loaded: Loaded, tmp_path: Path) -> None:
        import torch

        if importlib.util.find_spec("vllm") is None:
            pytest.skip("vLLM is not installed: pip install 'smallwright-pretrain[cpu]' or [gpu]")
        check_head_width(
            loaded.architecture, "this test", "leave it out: test_vllm_gives_titans_log_probabilities = None"
        )
        loaded.hf.save_pretrained(tmp_path / "hf")
        prompts_BL = loaded.ids_BL.tolist()
        with torch.no_grad():
            expected = log_probabilities(titan_logits(loaded.titan, loaded.ids_BL), loaded.ids_BL)
        reference = tmp_path / "reference.json"
        served_as = loaded.architecture.vllm_architecture()
        reference.write_text(
            json.dumps({"prompts": prompts_BL, "vllm_architecture": served_as, "log_probabilities": {}})
        )
        command = [sys.executable, "-m", "smallwright_pretrain.verify_vllm", str(reference), str(tmp_path / "hf")]
        variables = {**environment(self.plugin_files), **vllm_environment(eager=True), **offline_environment()}
        ended = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=300)
        assert ended.returncode == 0, ended.stderr[-3000:]
        served = torch.tensor(json.loads(reference.read_text())["log_probabilities"]["vLLM"])
        assert (served - expected).abs().max() < LOG_PROBABILITY


def _stored(model: Any) -> int:
    """Return the number of stored weights; a tied or shared tensor counts once."""
    return sum(parameter.numel() for parameter in {id(p): p for p in model.parameters()}.values())
