"""Settings of the evaluation stage."""

import dataclasses
from collections.abc import Mapping
from typing import Literal

from core.errors import ConfigError
from core.typed import setting

from smallwright_eval.judge.settings import NO_JUDGE, JudgeConfig
from smallwright_eval.sandbox.settings import ONE_PROGRAM, CodeConfig

PROMPTS = (
    "To find the area of a rectangle,",
    "In the first shop Ana counts 12 apples and 30 more arrive, so",
    "What is the capital of France?",
    "Explain a remainder in one sentence.",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LMEvalConfig:
    """Which tasks are asked, on which engine, with which numbers."""

    tasks: tuple[str, ...] = setting(("smallwright_lesson_completion", "smallwright_word_order"), files=True)
    """Names of lm-eval tasks, groups or tags; those of this package and of ``task_paths`` need no network."""
    task_paths: tuple[str, ...] = ()
    """More folders of lm-eval task YAML. File names in ``dataset_kwargs.data_files`` are relative to their YAML."""
    engine: Literal["auto", "vllm", "transformers"] = "auto"
    """What runs the model. ``auto``: what is done first by a table of measurements, which depends on the tasks, the
    size of the model and the machine; the scores name the engine that it was."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Numbers to compute in; ``auto`` is float32 on a CPU and bfloat16 on a GPU, and bfloat16 where the weights are
    quantised."""
    num_fewshot: int | None = setting(None, ge=0)
    """Examples in the prompt, for every task; None leaves each task's own number."""
    fewshot_by_task: Mapping[str, int] | None = setting(None, ge=0)
    """Examples in the prompt by name in ``tasks``; these win over ``num_fewshot``, which is refused where each has its
    own."""
    limit: int | float | None = setting(None, gt=0)
    """Only the first items of each task: a count, or a share below 1. For trying things out."""
    apply_chat_template: bool = False
    """Put the prompts in the model's chat template."""
    max_model_len: int | None = setting(None, ge=4)
    """Longest input in tokens; None is what the model's config allows."""
    perplexity: bool = True
    """Measure perplexity on the validation tokens, where the run has some."""
    perplexity_tokens: int | None = setting(None, ge=1)
    """Stop the held-out text at the last whole document within this many tokens; None takes all of it."""
    seed: int = setting(1234, ge=0, le=2**32 - 1)
    """Chooses few-shot examples and sampled answers. It is not the run's seed, so that runs of other seeds get the same
    examples; 1234 is lm-eval's own."""
    prompts: tuple[str, ...] = PROMPTS
    """What the model is asked for people to read, beside the tasks: it completes them, and gets them as a user's turn
    once it has learned its chat template. ``[]``: nothing."""
    prompts_file: str | None = setting(None, files=True)
    """A text file with a prompt a line, or ``.jsonl`` with strings or ``{"prompt": ...}``, instead of ``prompts``."""
    answer_tokens: int = setting(40, ge=1)
    """Longest answer in tokens."""
    answer_temperature: float = setting(0.8, gt=0)
    """Of the second answer to each prompt, which is sampled with ``seed``; the first is the likeliest."""
    bootstrap_iters: int = setting(1000, ge=0)
    """Resamplings for the standard errors of metrics without a formula for it; accuracies have one."""
    trust_remote_code: bool = False
    """Let a model directory bring Python code. Architectures of installed plugins do not need it."""
    allow_network: bool = False
    """Let tasks fetch their data from the Hugging Face hub."""
    batch_size: int = setting(512, ge=1, identity=False)
    """Requests handed to vLLM at a time; with transformers the rows of a batch, of which there are at most 32."""
    max_num_seqs: int = setting(128, ge=1, identity=False)
    """vLLM: sequences in one step."""
    max_num_batched_tokens: int = setting(4096, ge=1, identity=False)
    """vLLM: tokens in one step; logits of tokens x vocabulary are held at once."""
    kv_cache_gib: float | None = setting(None, gt=0, identity=False)
    """vLLM: GiB for the KV cache; None is 0.5 or two full inputs, on a GPU what ``gpu_memory_utilization`` leaves."""
    gpu_memory_utilization: float = setting(0.8, gt=0, le=1, identity=False)
    """vLLM on a GPU: share of its memory to use."""
    tensor_parallel_size: int = setting(1, ge=1, identity=False)
    """vLLM: GPUs that share one model."""
    enforce_eager: bool = setting(True, identity=False)
    """vLLM: no compilation and no CUDA graphs. The whole evaluation is faster so, unless long answers are generated."""
    parity: bool = False
    """Ask the first items of each task on the other engine too, and report how far the engines differ."""
    parity_items: int = setting(16, ge=1)
    """Items of each task that ``parity`` asks."""

    data_dir: str | None = setting(None, files=True)
    """A folder with the data of the tasks, as ``python -m core.fetch`` fills it, or JSON lines in the same places; then
    no task asks the network. ``<id on the hub with __ for />/<configuration or default>/<split>.jsonl``."""

    code: CodeConfig = ONE_PROGRAM
    """Tasks whose answers are programs (HumanEval, MBPP, MultiPL-E): how many are asked for, and what each may use in
    the sandbox."""
    judge: JudgeConfig = NO_JUDGE
    """The model that rates answers (MT-Bench), behind any server that speaks the protocol of OpenAI."""

    def __post_init__(self) -> None:
        if not self.tasks and not self.perplexity:
            raise ConfigError("tasks=[] and perplexity=false leave nothing to evaluate; name a task.")
        repeated = sorted({task for task in self.tasks if self.tasks.count(task) > 1})
        if repeated:
            raise ConfigError(f"tasks: {repeated[0]} is named twice; name it once.")
        for name in self.fewshot_by_task or {}:
            if name not in self.tasks:
                raise ConfigError(f"fewshot_by_task.{name}: not one of tasks ({', '.join(self.tasks)}).")
        if self.num_fewshot is not None and self.tasks and set(self.tasks) <= set(self.fewshot_by_task or {}):
            raise ConfigError(
                f"num_fewshot={self.num_fewshot}: changes nothing, for fewshot_by_task has a number for each of tasks. "
                "Set fewshot_by_task=null beside it, or the numbers there."
            )
        if self.prompts_file is not None and self.prompts != PROMPTS:
            raise ConfigError(f"prompts_file={self.prompts_file}: stands beside prompts. Leave one out.")
        if blank := [place for place, prompt in enumerate(self.prompts) if not prompt.strip()]:
            raise ConfigError(f"prompts: the one at place {blank[0] + 1} is empty. Leave it out.")
        if isinstance(self.limit, float) and self.limit >= 1:
            raise ConfigError(f"limit={self.limit}: a whole number of items, or a share below 1.")
