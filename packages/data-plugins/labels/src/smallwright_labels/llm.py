"""The step ``score_llm``: labels by a language model, on the backend that the settings name."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core import fingerprint, store
from core.data.steps import Phase, StepContext
from core.errors import InputError
from core.writing import files_in

from smallwright_labels.asking import reply_tokens
from smallwright_labels.config import ScoreLlmConfig
from smallwright_labels.label_files import Item, Record
from smallwright_labels.labeller import Labeller
from smallwright_labels.prompting import Prompts
from smallwright_labels.reuse import index_labels


class ScoreLlm(Labeller):
    """Labels a sample by a language model (``label_scorer: llm:<model>@<revision>``)."""

    config: ScoreLlmConfig
    _served: Mapping[str, Any] = MappingProxyType({})
    """What a server said about its model."""
    _known: Prompts | None = None

    def bind(self, context: StepContext) -> None:
        super().bind(context)
        self._prompts()
        self.config.api_key()
        model = str(self.config.model)
        if self.config.base_url is None and model.startswith(("/", ".", "~")) and not _folder(model):
            raise InputError(f"data.scorer.model={model}: there is no such directory.")

    def describe(self) -> dict[str, Any]:
        """Return what the labels rest on: model, resolved revision, prompts in full, sampling settings."""
        config, prompts = self.config, self._prompts()
        revision = config.revision if config.base_url else resolved_revision(str(config.model), config.revision)
        keys = ("backend", "model", "max_chars", "justification", "justification_chars", "structured", "chat", "dtype")
        return {
            "scorer": f"llm:{config.model}{f'@{revision[:19]}' if revision else ''}",
            "revision": revision,
            "scale": prompts.scale,
            "prompts": {prompt.tag: prompt.text for prompt in prompts.variants()},
            "sampling_settings": f"temperature={config.temperature} top_p={config.top_p} seed={config.seed} "
            f"max_tokens={reply_tokens(config)} max_chars={config.max_chars} justification={config.justification} "
            f"justification_chars={config.justification_chars} reask={config.reask} chat={config.chat} "
            f"structured={'engine' if config.backend == 'vllm' else config.structured}",
            **{key: getattr(config, key) for key in keys},
            **({} if config.base_url else {"max_model_len": config.max_model_len}),
        }

    def on_the_way(self) -> dict[str, Any]:
        """Return where the server was, and what it said about its model in case it was asked in this run."""
        return {"server": self.config.base_url, "served": dict(self._served)} if self.config.base_url else {}

    def prepare(self, work: Path) -> None:
        if self.config.reuse:
            index_labels(self.config.reuse, work, self.describe())

    def prompt_tag(self, item: Item) -> str | None:
        self._known = self._known or self._prompts()
        prompt = self._known.of(item.metadata)
        return None if prompt is None else prompt.tag

    def labelling(self, corpus: Path, work: Path) -> list[Phase]:
        if self.config.backend != "datatrove":
            return super().labelling(corpus, work)
        from smallwright_labels.datatrove_inference import AskRank, CollectAnswers, division

        asking = f"ask-{division(self.config)}"  # the name under which finished ranks are marked
        return [
            Phase(name=asking, pipeline=[AskRank(self, corpus, work)], tasks=self.config.ranks),
            Phase(name="collect", pipeline=[CollectAnswers(self, corpus, work)], tasks=1),
        ]

    def label(self, items: Iterator[Item]) -> Iterator[tuple[Item, Record]]:
        if self.config.backend == "server":
            from smallwright_labels.server import ServerBackend

            backend = ServerBackend(self.config, self._prompts())
            yield from backend.label(items)
            self._served = backend.served
            return
        from smallwright_labels.vllm_engine import VllmBackend

        yield from VllmBackend(self.config, self._prompts()).label(items)

    def _prompts(self) -> Prompts:
        return Prompts(self.config.prompt or self.config.domain, self.config.prompt_by)


def resolved_revision(model: str, revision: str | None) -> str | None:
    """Return what exactly a model is: a hash of a directory's content, or the commit of a hub model that was loaded.

    None where that cannot be known without the network.
    """
    folder = _folder(model)
    if folder is not None:
        content = {str(path.relative_to(folder)): fingerprint.fingerprint(str(path)) for path in files_in(folder)}
        return f"sha256:{store.digest(content)[:16]}"
    try:
        from huggingface_hub import constants, file_download
    except ImportError:
        return revision
    cache = Path(constants.HF_HUB_CACHE) / file_download.repo_folder_name(repo_id=model, repo_type="model")
    reference = cache / "refs" / (revision or "main")
    return reference.read_text().strip() if reference.is_file() else revision


def _folder(model: str) -> Path | None:
    path = Path(model)  # "~" is not expanded: a run's identity takes the content of the path as it is written
    return path if path.is_dir() else None
