"""Settings, their errors, the plan; and that none of it needs torch."""

import subprocess
import sys
from importlib import resources

import pytest
from core.config import build, identity
from core.errors import ConfigError, UserError
from core.interfaces import Job
from omegaconf import OmegaConf
from pretrain_support import Tiny, TinyConfig, write_tokens
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.plan import memory_bytes
from smallwright_pretrain.trainer import TorchTitanPretrain


def test_the_yaml_lists_every_key_with_the_default():
    text = resources.files("smallwright_pretrain.conf.pretrain").joinpath("torchtitan.yaml").read_text()
    values = OmegaConf.to_container(OmegaConf.create(text))
    assert values.pop("name") == "torchtitan"
    assert set(values) == set(TorchTitanConfig.__dataclass_fields__)
    assert build(TorchTitanConfig, values, "pretrain") == TorchTitanConfig()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"global_batch_size": 6, "nproc": 4}, r"global_batch_size=6: not divisible by nproc=4\. Use 8"),
        ({"global_batch_size": 8, "micro_batch_size": 3}, r"micro_batch_size=3: must divide .* = 8"),
        ({"steps": 0}, r"steps=0: must be 1 or more"),
        ({"steps": 5, "warmup_steps": 6}, r"warmup_steps=6: longer than steps=5"),
        ({"learning_rate": float("nan")}, r"learning_rate=nan"),
        ({"decay_ratio": 1.5}, r"decay_ratio=1\.5"),
        ({"keep_latest": 1}, r"keep_latest=1: must be 2 or more"),
        ({"nproc": 2, "replicate": 4}, r"replicate=4: must divide nproc=2"),
        ({"precision": "float16"}, r"precision=float16: must be one of"),
    ],
)
def test_wrong_settings_name_the_key_and_the_fix(values, message):
    with pytest.raises(ConfigError, match=message):
        build(TorchTitanConfig, values, "pretrain")


def test_hardware_settings_are_no_identity():
    other = TorchTitanConfig(nproc=2, micro_batch_size=2, device="cpu", compile=True, log_interval=3)
    assert identity(other) == identity(TorchTitanConfig())
    assert identity(TorchTitanConfig(learning_rate=1e-4)) != identity(TorchTitanConfig())


def test_planning_imports_no_torch_and_counts_tokens():
    code = (
        "import sys; from smallwright_pretrain.trainer import TorchTitanPretrain as T; "
        "from smallwright_pretrain.config import TorchTitanConfig as C; from pretrain_support import *; "
        "plan = T(C(steps=10, seq_len=32, global_batch_size=4)).plan(Tiny(TinyConfig())); "
        "assert plan['tokens'] == 1280 and plan['seq_len'] == 32, plan; "
        "print(sorted({'torch', 'transformers', 'torchtitan', 'vllm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_memory_follows_states_and_activations():
    tiny = Tiny(TinyConfig())
    one = memory_bytes(TorchTitanConfig(global_batch_size=16, seq_len=32), tiny)
    states = 16 * tiny.parameters()
    activations = one - states
    assert activations > 0
    assert (
        memory_bytes(TorchTitanConfig(global_batch_size=16, seq_len=32, nproc=2), tiny)
        == states // 2 + activations // 2
    )
    assert (
        memory_bytes(TorchTitanConfig(global_batch_size=16, seq_len=32, micro_batch_size=4), tiny)
        == states + activations // 4
    )
    assert memory_bytes(TorchTitanConfig(global_batch_size=16, seq_len=32, activation_checkpoint="full"), tiny) < one


def test_a_sequence_longer_than_the_file_is_refused_before_any_process_starts(tmp_path):
    tokens = write_tokens(tmp_path, documents=3, vocab=64)
    job = Job(name="pretrain", output=tmp_path, inputs={"tokens": tokens}, seed=0, architecture=Tiny(TinyConfig()))
    with pytest.raises(UserError, match=r"pretrain\.seq_len=4096: the training file has \d+ tokens"):
        TorchTitanPretrain(TorchTitanConfig(seq_len=4096)).run(job)


def test_more_ranks_than_cores_are_refused_on_a_cpu(tmp_path):
    tokens = write_tokens(tmp_path, documents=60, vocab=64)
    job = Job(name="pretrain", output=tmp_path, inputs={"tokens": tokens}, seed=0, architecture=Tiny(TinyConfig()))
    settings = TorchTitanConfig(seq_len=32, nproc=4096, global_batch_size=4096, device="cpu")
    with pytest.raises(UserError, match=r"pretrain\.nproc=4096: this machine has \d+ cores"):
        TorchTitanPretrain(settings).run(job)
