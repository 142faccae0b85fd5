"""From the tokens artifacts of a run and its stages to the feed. No torch: planning does it, too."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

import numpy as np
from core.errors import InputError

from smallwright_pretrain import mixture as mixtures
from smallwright_pretrain.feed import Feed, FeedStage, Listed, SourceSize
from smallwright_pretrain.mixture import Changes, StageData
from smallwright_pretrain.windows import VIEWS, TokenWindows


class Sources:
    """The corpora of a run in the views and lengths that its stages draw windows of.

    Args:
        tokens: Tokens artifacts by the label of their corpus.
        stages: In their order.
        drawn: By the number of a stage, the file of the windows that were drawn for it. Until there is one, such a
            stage is counted with its mixture, which is that of the stage before.

    Raises:
        core.errors.UserError: a mixture is none, or names a corpus that is not there; files are missing.
    """

    def __init__(
        self, tokens: Mapping[str, Path], stages: Sequence[StageData], drawn: Mapping[int, Path] = MappingProxyType({})
    ) -> None:
        if not tokens:
            raise InputError("pretrain: needs token files. Choose data, tokenizer and tokens before pretraining.")
        self._tokens, self._stages = tokens, stages
        self._opened: dict[tuple[str, int], TokenWindows] = {}
        alone = sum(stage.round == 1 for stage in stages) == 1
        self._parts = [mixtures.of_stage(stage, list(tokens), alone=alone) for stage in stages]
        used = dict.fromkeys((part.source, part.corpus, part.view) for parts in self._parts for part in parts)
        self.names = tuple(name for name, _, _ in used)
        self._views = {name: (corpus, view) for name, corpus, view in used}
        self._drawn = {number: _listed(file, self.names) for number, file in drawn.items()}

    def corpus(self, name: str) -> str:
        """Return the corpus that a source is a view of."""
        return self._views[name][0]

    def tokens(self, corpus: str) -> int:
        """Return the tokens of a corpus that can be trained on."""
        return next(own.shards.tokens for (name, _), own in self._opened.items() if self.corpus(name) == corpus)

    def windows(self, name: str, seq_len: int) -> TokenWindows:
        """Return a source cut into windows of a length."""
        if (name, seq_len) not in self._opened:
            corpus, view = self._views[name]
            self._opened[name, seq_len] = VIEWS[view](self._tokens[corpus], "train", seq_len)
        return self._opened[name, seq_len]

    def declared(self, stage: int) -> dict[str, float]:
        """Return the share of each corpus that a stage draws from as it was declared, all of its views together."""
        parts = self._parts[stage]
        if self._stages[stage].mixture is None:
            return {part.corpus: float(self.tokens(part.corpus)) for part in parts}
        shares = dict.fromkeys((part.corpus for part in parts), 0.0)
        for part in parts:
            shares[part.corpus] += float(part.share)
        return shares

    def changed(self, stage: int, shares: Mapping[str, Fraction]) -> dict[str, Fraction] | None:
        """Return other shares of a stage's corpora as shares of its sources: views of a corpus share as declared.

        None: they are not shares of these corpora, as after a branch with other ones.
        """
        views: dict[str, list[mixtures.Part]] = {}
        for part in self._parts[stage]:
            views.setdefault(part.corpus, []).append(part)
        if not views.keys() >= shares.keys():
            return None
        found = {}
        for corpus, share in shares.items():
            whole = sum((part.share for part in views[corpus]), Fraction(0))
            for part in views[corpus]:
                found[part.source] = share * (part.share / whole if whole else Fraction(1, len(views[corpus])))
        return found

    def feed(self, seed: int, skipped: Sequence[tuple[int, int]] = (), changes: Changes = MappingProxyType({})) -> Feed:
        """Return the feed of all stages.

        Args:
            seed: Of the order of windows.
            skipped: See :class:`smallwright_pretrain.feed.Feed`.
            changes: By the number of a stage, from which of its positions on other shares of its corpora hold.

        Raises:
            core.errors.InputError: a corpus with a share has no window of a stage's length.
        """
        lengths: dict[str, set[int]] = {name: set() for name in self.names}
        stages = []
        for number, (stage, parts) in enumerate(zip(self._stages, self._parts, strict=True)):
            for part in parts:
                lengths[part.source].add(stage.seq_len)
            stages.append(
                FeedStage(
                    shares=None if stage.mixture is None else {part.source: part.share for part in parts},
                    seq_len=stage.seq_len,
                    sequences=stage.sequences,
                    drawn_from=tuple(part.source for part in parts),
                    name=stage.name,
                    changes=[
                        (start, shares)
                        for start, corpora in changes.get(number, ())
                        if (shares := self.changed(number, corpora)) is not None
                    ],
                    listed=self._drawn.get(number),
                )
            )
        sizes = [
            SourceSize(name=name, windows={length: self.windows(name, length).full_windows for length in own})
            for name, own in lengths.items()
        ]
        return Feed(sizes, stages, seed, skipped)

    def read_once(self) -> set[str]:
        """Return the corpora that a mixture forbids to repeat."""
        return {part.corpus for parts in self._parts for part in parts if not part.wrap}


def _listed(file: Path, names: Sequence[str]) -> Listed:
    """Return drawn windows with the numbers that their sources have here."""
    from smallwright_pretrain.drawing import read

    own, listed = read(file)
    if unknown := set(own) - set(names):
        raise InputError(f"{file}: has windows of {', '.join(sorted(unknown))}, and this run has {', '.join(names)}.")
    return Listed(np.array([names.index(name) for name in own], np.int64)[listed.source_N], listed.window_N)
