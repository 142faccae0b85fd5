"""Engines for the commands: what their processes want in the environment, and which of them a model can use."""

from core.engines import check_torchvision, tokenizers_environment, vllm_environment
from core.model_command import NamedModel
from core.served import check_head_width

from smallwright_eval import engines
from smallwright_eval.talk import loading
from smallwright_eval.talk.config import EngineConfig
from smallwright_eval.talk.talker import Talker


def environment(engine: str) -> dict[str, str]:
    """Return variables that must be set before an engine is imported. The model lies here: the hub is not asked."""
    common = {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin while they wait cost a busy machine most of its speed
    }
    if engine != "vllm":
        return {**common, **tokenizers_environment(parallel=False)}
    variables = {**common, **vllm_environment(eager=True), "VLLM_LOGGING_LEVEL": "ERROR"}
    del variables["VLLM_CPU_KVCACHE_SPACE"]  # it would overrule what the model needs, which is for the user alone to do
    return variables


def check(model: NamedModel, engine: str) -> None:
    """Refuse what an engine cannot do with a model here, before it is imported.

    Raises:
        core.errors.UserError: naming the setting and the fix.
    """
    check_torchvision()
    if engine == "vllm":
        engines.installed_vllm()
        check_head_width(model.planned, "engine=vllm", "engine=transformers")


def talker(model: NamedModel, config: EngineConfig) -> Talker:
    """Load a model on the engine that the settings name.

    Raises:
        core.errors.UserError: it cannot be loaded there.
    """
    tokenizer = loading.tokenizer(model, config.trust_remote_code)
    if config.engine == "vllm":
        from smallwright_eval.talk.by_vllm import VllmTalker

        return VllmTalker(model, config, tokenizer)
    from smallwright_eval.talk.by_transformers import TransformersTalker

    return TransformersTalker(model, config, tokenizer)
