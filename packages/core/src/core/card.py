"""The model card: ``README.md`` beside a model's weights, written from the manifests of what it was made from.

A stage that exports a model gets one without scores, which are known only later; ``python -m core.publish`` writes it
anew, with the scores of every evaluation in the store. It says nothing that another run of the same settings would not:
no paths, times or hosts.
"""

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from core import lineage, store
from core.fingerprint import FILE_ENDINGS

FILE = "README.md"
OPT_OUT_TABLE = "opt-out signals"
"""Table in which a step that reads pages counts the wishes of their owners."""
OPTED_OUT = "opted out"
"""Reason of documents that were set aside for such a wish."""
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
HUB_METRICS = {"acc": "accuracy", "acc_norm": "accuracy", "exact_match": "exact_match", "bleu": "bleu", "f1": "f1"}
"""Names that the hub has for metrics of lm-eval."""
REASONS_SHOWN = 4
ANSWERS_SHOWN = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Origins:
    """The manifests behind a model: its own, and those of what it was made from, each once, nearest first."""

    manifests: Sequence[Mapping[str, Any]]

    def of(self, folder: str) -> list[Mapping[str, Any]]:
        """Return the manifests of one kind of artifact, such as ``data``."""
        return [manifest for manifest in self.manifests if manifest["folder"] == folder]


def origins(manifest: Mapping[str, Any], artifact: Path) -> Origins:
    """Follow the inputs of an artifact as far as they are still there.

    Args:
        manifest: The artifact's own, which need not be on the disk yet.
        artifact: Its folder.

    Raises:
        ArtifactError: a manifest on the way is damaged.
    """
    found: dict[Path, Mapping[str, Any]] = {artifact: manifest}
    waiting = [artifact]
    while waiting:
        folder = waiting.pop(0)
        for path in found[folder]["inputs"].values():
            place = lineage.place_of(path, artifact)
            if place not in found and (loaded := store.load_manifest(place)) is not None:
                found[place] = loaded
                waiting.append(place)
    return Origins(manifests=list(found.values()))


def write_at_export(artifact: Path, manifest: Mapping[str, Any]) -> None:
    """Write the card of a model that a stage has just made, where it made one and left no card of its own."""
    folder = artifact / "hf"
    if manifest["folder"] != "model" and (folder / "config.json").is_file() and not (folder / FILE).exists():
        (folder / FILE).write_text(
            compose(folder, origins(manifest, artifact), title=_title(manifest)), encoding="utf-8"
        )


def compose(
    model: Path,
    made_from: Origins,
    *,
    title: str,
    scores: Sequence[Mapping[str, Any]] = (),
    said: Sequence[Mapping[str, Any]] = (),
    hub_id: str | None = None,
    license: str | None = None,
) -> str:
    """Return the text of the card.

    Args:
        model: The Hugging Face folder.
        made_from: Manifests behind it; none for a model whose origin is not known.
        scores: Rows of evaluations, as in their manifests (``summary.eval``).
        said: What it wrote to prompts, as :func:`core.answers.said` has it.
        hub_id: Where the model will be; None: it is loaded from its folder.
        license: The hub's name of a licence; None: left to fill.
    """
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    parts = [
        f"# {title}",
        _what(config, made_from),
        _loading(config, hub_id),
        _use(made_from, chat=(model / "chat_template.jinja").is_file()),
        "\n\n".join(_data(made_from)),
        "\n\n".join(_training(made_from)),
        _scores(scores),
        _said(said),
        _origin(made_from),
    ]
    return f"{_metadata(title, made_from, scores, license)}\n" + "\n\n".join(part for part in parts if part) + "\n"


def _title(manifest: Mapping[str, Any]) -> str:
    """Return a name for a model: what made it, of which architecture and size."""
    arch = manifest["identity"].get("arch") or {}
    name = arch.get("implementation") or manifest["identity"].get("implementation") or "model"
    return name if manifest["folder"] == "pretrain" else f"{name}, {manifest['stage']}"


def _metadata(title: str, made_from: Origins, scores: Sequence[Mapping[str, Any]], license: str | None) -> str:
    """Return the block that the hub reads."""
    block: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["smallwright"],
        "datasets": datasets(made_from),
        "metrics": list(dict.fromkeys(HUB_METRICS.get(row["metric"], row["metric"]) for row in scores)),
    }
    if languages := _languages(made_from):
        block["language"] = languages
    if base := base_models(made_from):
        block["base_model"] = base
    if license is not None:
        block = {"license": license, **block}
    if scores:
        block["model-index"] = [{"name": title, "results": _index(scores)}]
    text = yaml.safe_dump(block, sort_keys=False, allow_unicode=True)
    to_fill = "" if license is not None else "# license: fill in, such as apache-2.0\n"
    return f"---\n{to_fill}{text}---"


def _index(scores: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    by_task: dict[str, list[dict[str, Any]]] = {}
    for row in scores:
        metric = {"type": HUB_METRICS.get(row["metric"], row["metric"]), "name": row["metric"], "value": row["value"]}
        by_task.setdefault(row["task"], []).append(metric)
    return [
        {"task": {"type": "text-generation"}, "dataset": {"name": name, "type": name}, "metrics": metrics}
        for name, metrics in by_task.items()
    ]


def datasets(made_from: Origins) -> list[str]:
    """Return the hub ids of data sets that the model learned from; a recipe's name is none, nor is a file's."""
    named = [(manifest, (manifest.get("config") or {}).get("dataset")) for manifest in made_from.of("posttrain")]
    named += [(manifest, settings.get("dataset")) for manifest, _, settings in _steps(made_from)]
    return _hub_ids(named)


def base_models(made_from: Origins) -> list[str]:
    """Return the hub ids of models that the model began as."""
    named = [(manifest, (manifest.get("summary") or {}).get("origin")) for manifest in made_from.of("model")]
    named += [(manifest, (manifest.get("config") or {}).get("source")) for manifest in made_from.of("init")]
    return _hub_ids(named)


def _hub_ids(named: Sequence[tuple[Mapping[str, Any], Any]]) -> list[str]:
    """Return those names that are ids of the hub: what lay at a path of that name was read from there."""
    found = []
    for manifest, name in named:
        if isinstance(name, str) and HUB_ID.fullmatch(name) and not name.endswith(FILE_ENDINGS):
            local = [file for file in manifest["external_files"] if "://" not in file and f"/{name}/" in f"{file}/"]
            found += [] if local else [name]
    return list(dict.fromkeys(found))


def _languages(made_from: Origins) -> list[str]:
    return list(dict.fromkeys(code for _, _, settings in _steps(made_from) for code in settings.get("languages") or ()))


def _steps(made_from: Origins) -> Iterator[tuple[Mapping[str, Any], str, Mapping[str, Any]]]:
    """Yield manifest, label and settings of every step behind a model."""
    for manifest in made_from.of("data"):
        data = manifest["identity"].get("data")
        for label, step in (data.get("steps") or {}).items() if isinstance(data, Mapping) else ():
            yield manifest, label, step.get("config") or {}


def _what(config: Mapping[str, Any], made_from: Origins) -> str:
    sizes = [
        f"{config[key]:,} {words}"
        for key, words in (
            ("num_hidden_layers", "layers"),
            ("hidden_size", "wide"),
            ("num_attention_heads", "attention heads"),
            ("vocab_size", "tokens in the vocabulary"),
            ("max_position_embeddings", "positions"),
        )
        if isinstance(config.get(key), int)
    ]
    made = [manifest.get("summary") or {} for manifest in made_from.manifests]
    stored = next((summary["stored_parameters"] for summary in made if "stored_parameters" in summary), None)
    size = f" of {stored:,} stored parameters" if isinstance(stored, int) else ""
    dtype = f" Weights are {config[key]}." if (key := _key(config, "dtype", "torch_dtype")) else ""
    return f"A language model{size} (`{config.get('model_type')}`): {', '.join(sizes)}.{dtype}"


def _key(config: Mapping[str, Any], *keys: str) -> str:
    return next((key for key in keys if isinstance(config.get(key), str)), "")


def _loading(config: Mapping[str, Any], hub_id: str | None) -> str:
    own = ", trust_remote_code=True" if config.get("auto_map") else ""
    where = "" if hub_id else "\n\n`.` is this folder."
    note = "\n\nIts architecture is in `hf.py` beside the weights, which Transformers runs." if own else ""
    return (
        "## Loading it\n\n```python\nfrom transformers import pipeline\n"
        f'generate = pipeline("text-generation", model="{hub_id or "."}"{own})\n```{where}{note}'
    )


def _use(made_from: Origins, *, chat: bool) -> str:
    aligned = bool(made_from.of("posttrain"))
    what = (
        "It was aligned after pretraining and answers in the form of its chat template."
        if aligned
        else "It is a base model: it continues text, and was not trained to follow instructions."
    )
    template = " It has a chat template, which it has not learned yet." if chat and not aligned else ""
    return (
        f"## Intended use\n\n{what}{template} It is meant for research on small models and as a start for further "
        "training. It may write what is wrong or offensive, repeats what its data say, and was not examined for its "
        "safety: do not use it unchecked where that does harm."
    )


def _data(made_from: Origins) -> Iterator[str]:
    """Say what the model read: each corpus, what was set aside and why, and what became of opt-outs."""
    yield "## Training data"
    corpora = made_from.of("data")
    if not corpora:
        yield "Not known here: nothing about it lies beside the model."
    for manifest in corpora:
        summary = manifest.get("summary") or {}
        name = str(summary.get("recipe") or _label(manifest))
        funnel = summary.get("funnel") or []
        counts = [f"{summary['documents']:,} documents kept"] if "documents" in summary else []
        counts += [f"of {funnel[0]['in']:,} records"] if funnel else []
        counts += [f"{summary['characters']:,} characters"] if "characters" in summary else []
        yield f"**{name}**: {', '.join(counts) or 'no account of it'}."
        if funnel:
            rows = [["step", "in", "kept", "set aside, with the commonest reasons"], ["---", "---:", "---:", "---"]]
            rows += [[row["step"], f"{row['in']:,}", f"{row['kept']:,}", _aside(row)] for row in funnel]
            yield _table(rows)
        yield _opt_outs(summary)


def _label(manifest: Mapping[str, Any]) -> str:
    return str(manifest.get("label") or (manifest.get("config") or {}).get("name") or manifest["stage"])


def _aside(row: Mapping[str, Any]) -> str:
    reasons = Counter(row.get("rejected", {})) + Counter(row.get("failed", {}))
    largest = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{count:,} {reason}" for reason, count in largest[:REASONS_SHOWN]]
    rest = sum(count for _, count in largest[REASONS_SHOWN:])
    return ", ".join([*shown, *([f"{rest:,} for other reasons"] if rest else [])])


def _opt_outs(summary: Mapping[str, Any]) -> str:
    """Return the account of the wishes of pages' owners (robots meta, X-Robots-Tag, TDM reservation)."""
    signals: dict[str, int] = {}
    for report in (summary.get("step_reports") or {}).values():
        for signal, count in (report.get("tables") or {}).get(OPT_OUT_TABLE, {}).items():
            signals[signal] = signals.get(signal, 0) + count
    dropped = sum(row.get("rejected", {}).get(OPTED_OUT, 0) for row in summary.get("funnel") or [])
    if not signals:
        return f"Opt-outs: no page of it was counted with one; {dropped:,} were set aside for one."
    listed = ", ".join(f"{count:,} {_cell(signal)}" for signal, count in sorted(signals.items()))
    return f"Opt-outs that pages stated: {listed}. Set aside for them: {dropped:,} pages."


def _training(made_from: Origins) -> Iterator[str]:
    """Say how the model was trained, first things first."""
    stages = [manifest for manifest in reversed(made_from.manifests) if manifest["folder"] in ("pretrain", "posttrain")]
    if stages:
        yield "## Training"
    for manifest in stages:
        summary, config = manifest.get("summary") or {}, manifest.get("config") or {}
        told = [f"{key.replace('_', ' ')} {config[key]}" for key in _SETTINGS if config.get(key) is not None]
        told += [f"{summary['tokens']:,} tokens"] if isinstance(summary.get("tokens"), int) else []
        if isinstance(summary.get("validation_loss"), float):
            told.append(f"validation loss {summary['validation_loss']:.3f} nats a token")
        if summary.get("dataset"):
            examples = f" ({summary['examples']:,} examples)" if isinstance(summary.get("examples"), int) else ""
            told.append(f"on `{_without_folder(str(summary['dataset']))}`{examples}")
        engine = summary.get("engine") or {}
        by = f" by {engine['name']}" if engine.get("name") else ""
        yield f"**{manifest['stage']}**{by}: {', '.join(told)}, seed {manifest['identity'].get('seed', 'unknown')}."


_SETTINGS = ("steps", "max_steps", "global_batch_size", "seq_len", "learning_rate", "precision", "num_train_epochs")


def _without_folder(name: str) -> str:
    """Return a data set's name as a stranger may see it: a path on somebody's machine is none."""
    return name if HUB_ID.fullmatch(name) else Path(name).name


def _scores(scores: Sequence[Mapping[str, Any]]) -> str:
    if not scores:
        return "## Scores\n\nNot measured yet."
    rows = [["task", "metric", "score", "standard error", "chance", "items", "shots", "by"], ["---"] * 8]
    for row in scores:
        measured = [row.get("engine") or {}, row.get("harness") or {}]
        by = ", ".join(f"{one['name']} {one.get('version', '')}".strip() for one in measured if one.get("name"))
        dtype = f", {measured[0]['dtype']}" if measured[0].get("dtype") else ""
        rows.append(
            [
                str(row["task"]),
                str(row["metric"]) + ("" if row.get("higher_is_better", True) else " (lower is better)"),
                *(_figure(row.get(key)) for key in ("value", "stderr", "chance")),
                *(_count(row.get(key)) for key in ("n", "num_fewshot")),
                by + dtype,
            ]
        )
    return f"## Scores\n\n{_table(rows)}\n\nEach row names its protocol: scores of other protocols do not compare."


def _said(said: Sequence[Mapping[str, Any]]) -> str:
    """Return the model's likeliest answers, as they came."""
    shown = [answer for answer in said if answer["decoding"] == "greedy" and answer["text"].strip()][:ANSWERS_SHOWN]
    if not shown:
        return ""
    parts = ["## What it says", "Its likeliest answers, unchanged; three dots stand where an answer was cut."]
    for answer in shown:
        text = answer["text"] + ("" if answer["ended"] else " ...")
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))  # the text cannot end it
        parts.append(f"**{_cell(answer['prompt'])}**\n\n{fence}text\n{text}\n{fence}")
    return "\n\n".join(parts)


def _figure(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else ""


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else ""


def _origin(made_from: Origins) -> str:
    if not made_from.manifests:
        return ""
    rows = [["stage", "made by", "identity"], ["---"] * 3]
    for manifest in made_from.manifests:
        identity, summary = manifest["identity"], manifest.get("summary") or {}
        given = str(summary.get("origin") or "")
        source = f" from {given} {summary.get('revision') or ''}".rstrip() if HUB_ID.fullmatch(given) else ""
        made_by = f"{identity.get('implementation')} of {identity.get('plugin')}{source}"
        rows.append([str(manifest["stage"]), made_by, f"`{store.digest(identity)}`"])
    return (
        f"## Made from\n\n{_table(rows)}\n\nMade with smallwright; the same settings and inputs give these identities."
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows)


def _cell(text: str) -> str:
    """Return text that cannot end its cell, nor bring markup of a page's into the card."""
    return re.sub(r"([\\|<>\[\]])", r"\\\1", " ".join(text.split()))
