"""What a training reads of each corpus: the mixture as it was declared and as it is, and how often text is repeated.

Counted by the feed in closed form, before the training and after it. No torch: planning counts, too.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core.errors import UserError
from core.interfaces import TokensMeta

from smallwright_pretrain import mixture as mixtures
from smallwright_pretrain.mixture import StageData

FEW_EPOCHS = 4
"""Up to here repeated text is worth almost as much as new text (Muennighoff et al. 2023, arXiv 2305.16264)."""
CLOSE = 1e-9


def planned(
    tokens: Mapping[str, Path | None],
    stages: Sequence[StageData],
    *,
    max_epochs: float | None = None,
    skipped: Sequence[tuple[int, int]] = (),
    sizes: Mapping[str, int] | None = None,
    changes: mixtures.Changes = MappingProxyType({}),
    drawn: Mapping[int, Path] = MappingProxyType({}),
    chosen: Mapping[int, Mapping[str, int]] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return what a training reads of each corpus.

    Args:
        tokens: Finished tokens artifacts by the label of their corpus; None: not made yet.
        stages: Of the training.
        max_epochs: How often a corpus may be read at most; None: as often as it takes.
        skipped: Sequences that are not trained on, see :class:`smallwright_pretrain.feed.Feed`.
        sizes: Tokens that corpora are said to have, for those that are not made yet.
        changes: Mixtures that a policy decided on, see :meth:`smallwright_pretrain.sources.Sources.feed`.
        drawn: Windows of further rounds, see :class:`smallwright_pretrain.sources.Sources`; until they are drawn, a
            round is counted in the shares of the one before.
        chosen: By the number of a stage, the sequences of each source that a policy chose.

    Returns:
        ``unknown``, the corpora not made into tokens yet, and of which no size is said. While any are not made, what
        is realised is None, and ``corpora`` has something only where ``sizes`` are said.
        ``corpora`` by label, each with ``tokens`` (read in the whole training, repetitions counted), ``size`` (its
        tokens) and ``epochs`` (how often its most repeated text is read). ``stages``, each with ``name``, ``seq_len``,
        ``tokens`` and ``sources``: by name ``declared`` (share, None: in proportion to the tokens), ``realised``
        (share) and ``tokens``; with ``drawn`` where windows are drawn and none declared. ``notes``, lines for people.

    Raises:
        core.errors.UserError: a mixture is none of these corpora, or a corpus would be read too often.
    """
    unknown = [label for label, folder in tokens.items() if folder is None]
    alone = sum(stage.round == 1 for stage in stages) == 1
    parts = [mixtures.of_stage(stage, list(tokens), alone=alone) for stage in stages]
    rows = [_declared(stage, own) for stage, own in zip(stages, parts, strict=True)]
    if unknown or not tokens:
        known = {label: size for label in tokens if (size := _size(tokens[label], label, sizes)) is not None}
        expected = _expected(stages, parts, known, all_known=len(known) == len(tokens))
        _refuse(expected, max_epochs, {part.corpus for own in parts for part in own if not part.wrap})
        left = [label for label in unknown if label not in known]
        return {"unknown": left, "corpora": expected, "stages": rows, "notes": _repeated(expected)}
    from smallwright_pretrain.sources import Sources  # NumPy: not for a plan without sizes

    sources = Sources({label: folder for label, folder in tokens.items() if folder is not None}, stages, drawn)
    feed = sources.feed(0, skipped, changes)  # another seed draws other windows, and as many
    read: dict[str, dict[str, Any]] = {}
    notes = []
    for number, (stage, row) in enumerate(zip(stages, rows, strict=True)):
        count = dict(zip(feed.names, feed.drawn_in(number).tolist(), strict=True))
        count |= chosen.get(number, {})
        realised = stage.round == 1 or number in drawn
        for name, own in row["sources"].items():
            corpus, windows = sources.corpus(name), sources.windows(name, stage.seq_len).full_windows
            share = count[name] / max(1, stage.sequences)
            own |= {"realised": share if realised else None, "tokens": count[name] * stage.seq_len}
            total = read.setdefault(corpus, {"tokens": 0, "size": sources.tokens(corpus), "epochs": 0.0})
            total["tokens"] += own["tokens"]
            total["epochs"] += count[name] / windows if windows else 0.0
        if (error := feed.rounding(number)) > 0:
            notes.append(f"the shares of {'the mixture' if alone else stage.name} are rounded, by {error:.1g} at most.")
    _refuse(read, max_epochs, sources.read_once())
    notes += [f"{label} is in no mixture: nothing of it is read." for label in tokens if label not in read]
    return {"unknown": [], "corpora": read, "stages": rows, "notes": [*notes, *_repeated(read)]}


def _size(folder: Path | None, label: str, said: Mapping[str, int] | None) -> int | None:
    if said is None:
        return None
    return said.get(label) if folder is None else TokensMeta.load(folder).train_tokens


def _expected(
    stages: Sequence[StageData],
    parts: Sequence[Sequence[mixtures.Part]],
    sizes: Mapping[str, int],
    *,
    all_known: bool,
) -> dict[str, dict[str, Any]]:
    """Return what is read of the corpora whose sizes are known, by their declared shares."""
    read: dict[str, dict[str, Any]] = {}
    for stage, own in zip(stages, parts, strict=True):
        by_size = stage.mixture is None
        whole = sum(sizes.values())
        for part in own:
            if (size := sizes.get(part.corpus)) is None or (by_size and not all_known):
                continue
            tokens = stage.sequences * stage.seq_len * (size / whole if by_size else float(part.share))
            total = read.setdefault(part.corpus, {"tokens": 0, "size": size, "epochs": 0.0})
            total["tokens"] += round(tokens)
            total["epochs"] += tokens / size
    return read


def _declared(stage: StageData, parts: Iterable[mixtures.Part]) -> dict[str, Any]:
    tokens = stage.sequences * stage.seq_len
    by_size = stage.mixture is None
    by_draw = stage.round > 1
    sources = {
        part.source: {
            "declared": None if by_size or by_draw else float(part.share),
            "realised": None,
            "tokens": None if by_size else round(float(part.share) * tokens),
        }
        for part in parts
    }
    row = {"name": stage.name, "seq_len": stage.seq_len, "tokens": tokens, "sources": sources}
    return {**row, "drawn": True} if by_draw else row


def _refuse(read: Mapping[str, Mapping[str, Any]], max_epochs: float | None, once: set[str]) -> None:
    for corpus, total in read.items():
        limit = min(1.0 if corpus in once else float("inf"), float("inf") if max_epochs is None else max_epochs)
        if total["epochs"] > limit * (1 + CLOSE):
            by_setting = limit == max_epochs
            rule = f"pretrain.max_epochs={max_epochs:g}" if by_setting else f"wrap=false of {corpus}"
            raise UserError(
                f"{rule}: {corpus} would be read {_often(total)}. Take fewer steps, a smaller share of it, more of its "
                f"text, or {'a higher limit' if by_setting else 'wrap=true'}."
            )


def _repeated(read: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [
        f"{corpus} is read {_often(total)}: above {FEW_EPOCHS} epochs repeated text is worth less and less "
        "(Muennighoff et al. 2023)."
        for corpus, total in read.items()
        if total["epochs"] > FEW_EPOCHS
    ]


def _often(total: Mapping[str, Any]) -> str:
    return f"{total['epochs']:.2f} times ({total['tokens']:,} tokens out of {total['size']:,})"
