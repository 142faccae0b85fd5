"""What a mixture says: the share of each corpus in the sequences of a stage, as exact fractions.

No torch: planning reads mixtures too. How positions follow shares is in :mod:`smallwright_pretrain.order`.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, Protocol

from core.errors import ConfigError

VIEWS = ("all", "long")
"""Windows of a corpus: of all its text, or only those that lie inside one document."""
TOLERANCE = Fraction(1, 1_000_000)
"""Shares that sum to 1 within this are scaled to sum to 1 exactly: 0.3333333 is taken for a third."""
KEYS = ("share", "of", "view", "wrap", "corpus")


Changes = Mapping[int, Sequence[tuple[int, Mapping[str, Fraction]]]]
"""By the number of a stage: from which of its positions on which share of each corpus holds."""


class StageData(Protocol):
    """What the feed must know of a stage of training."""

    @property
    def name(self) -> str: ...

    @property
    def mixture(self) -> Mapping[str, Any] | None:
        """Shares by corpus; None: in proportion to the tokens."""
        ...

    @property
    def seq_len(self) -> int: ...

    @property
    def sequences(self) -> int:
        """Trained on in this stage."""
        ...

    @property
    def round(self) -> int:
        """From 1 on; behind the first, windows are drawn and ``mixture`` is that of the stage before."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """One corpus of a mixture."""

    corpus: str
    share: Fraction
    """Of the sequences of the stage, from 0 to 1."""
    view: str = "all"
    """One of :data:`VIEWS`."""
    wrap: bool = True
    """False: no text of the corpus may be trained on twice."""

    @property
    def source(self) -> str:
        """The name of the corpus in this view: the unit that a feed draws from and an account counts."""
        return source_name(self.corpus, self.view)


def source_name(corpus: str, view: str) -> str:
    """Return the name of a corpus in a view: ``books``, or ``books (long)``."""
    return corpus if view == "all" else f"{corpus} ({view})"


def parts(mixture: Mapping[str, Any], where: str = "mixture") -> tuple[Part, ...]:
    """Return the corpora of a mixture, groups resolved: ``{web: {share: 0.6, of: {a: 0.5, b: 0.5}}, code: 0.4}``.

    A share is a number or text such as ``1/3``. The shares of the mixture, and those within each group, sum to 1. The
    keys ``view`` and ``wrap`` of a group are those of its corpora that do not say otherwise. A corpus may stand twice,
    all of it and its long documents, under another name: ``{dclm: 0.9, dclm_long: {share: 0.1, corpus: dclm, view:
    long}}``.

    Args:
        where: Place of the mixture in the configuration, for messages.

    Raises:
        core.errors.ConfigError: a share is no number or negative, shares do not sum to 1, a key is unknown, or a corpus
            is named twice.
    """
    found = tuple(_parts(mixture, where, Fraction(1), {"view": "all", "wrap": True}))
    names = [part.source for part in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"{where}: names {', '.join(twice)} more than once. Name each corpus once.")
    return found


def _parts(entries: Mapping[str, Any], where: str, whole: Fraction, above: Mapping[str, Any]) -> Iterator[Part]:
    if not isinstance(entries, Mapping) or not entries:
        raise ConfigError(
            f"{where}={entries}: must give a share to at least one corpus, such as {{web: 0.6, code: 0.4}}."
        )
    read = {str(name): _entry(value, f"{where}.{name}") for name, value in entries.items()}
    shares = {name: _share(entry.get("share"), f"{where}.{name}") for name, entry in read.items()}
    total = sum(shares.values(), Fraction(0))
    if abs(total - 1) > TOLERANCE:
        listed = " + ".join(f"{float(share):g}" for share in shares.values())
        raise ConfigError(f"{where}: the shares sum to {float(total):.7g} ({listed}), and must sum to 1.")
    for name, entry in read.items():
        share = whole * shares[name] / total
        own = {**above, **{key: entry[key] for key in above if key in entry}}
        if own["view"] not in VIEWS:
            raise ConfigError(f"{where}.{name}.view={own['view']}: must be one of {', '.join(VIEWS)}.")
        if not isinstance(own["wrap"], bool):
            raise ConfigError(f"{where}.{name}.wrap={own['wrap']}: must be true or false.")
        if "of" in entry:
            yield from _parts(entry["of"], f"{where}.{name}.of", share, own)
        else:
            yield Part(corpus=str(entry.get("corpus", name)), share=share, **own)


def _entry(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        return {"share": value}
    for key in value:
        if key not in KEYS:
            hint = "" if "of" in value else f" A group of corpora is {{share: ..., of: {{{key}: ...}}}}."
            raise ConfigError(f"{where}.{key}: unknown key. Known keys: {', '.join(KEYS)}.{hint}")
    if "share" not in value:
        raise ConfigError(f"{where}: has no share. Give it one, such as {where}.share=0.5.")
    return value


def _share(value: Any, where: str) -> Fraction:
    refusal = ConfigError(f"{where}={value}: must be a share from 0 to 1, such as 0.4 or 1/3.")
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Fraction)):
        raise refusal
    try:
        # The decimals as they were written: 0.1 is a tenth, not the nearest binary fraction.
        share = value if isinstance(value, Fraction) else Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        raise refusal from None
    if not 0 <= share <= 1:
        raise refusal
    return share


def checked(mixture: Mapping[str, Any], corpora: Sequence[str], where: str = "mixture") -> tuple[Part, ...]:
    """Return the corpora of a mixture, all of which the run has.

    Args:
        corpora: Labels of the corpora of the run.

    Raises:
        core.errors.ConfigError: see :func:`parts`; or naming the corpora that the run has.
    """
    found = parts(mixture, where)
    for part in found:
        if part.corpus not in corpora:
            raise ConfigError(
                f"{where}: this run has no corpus {part.corpus}. It has {', '.join(corpora)}; a group of them is "
                f"{{{part.corpus}: {{share: ..., of: {{...}}}}}}."
            )
    return found


def of_stage(stage: StageData, corpora: Sequence[str], *, alone: bool) -> tuple[Part, ...]:
    """Return the corpora that a stage draws from; the shares are those of its mixture, where it has one.

    Args:
        corpora: Labels of the corpora of the run.
        alone: Whether it is the only stage, whose mixture is ``pretrain.mixture``.

    Raises:
        core.errors.ConfigError: see :func:`checked`.
    """
    if stage.mixture is None:
        return tuple(Part(corpus=corpus, share=Fraction(1, len(corpora))) for corpus in corpora)
    where = "pretrain.mixture" if alone else f"pretrain.stages.{stage.name}.mixture"
    return checked(stage.mixture, corpora, where)


def shares(mixture: Mapping[str, Any] | None, sizes: Mapping[str, int], where: str = "mixture") -> dict[str, float]:
    """Return the share of each corpus in the tokens of a stage.

    Args:
        mixture: As in ``pretrain.mixture``; None: in proportion to the sizes, so that an epoch reads each window once.
        sizes: Tokens by corpus.

    Raises:
        core.errors.ConfigError: see :func:`checked`.
    """
    if mixture is None:
        total = sum(sizes.values())
        return {name: size / total if total else 0.0 for name, size in sizes.items()}
    return {part.corpus: float(part.share) for part in checked(mixture, list(sizes), where)}


def whole_counts(fractions: Sequence[Fraction], largest: int) -> tuple[list[int], float]:
    """Return the shares as counts of one period, and the largest error of a share.

    Exact where the common denominator is at most ``largest``; else rounded by the largest remainder, with at least one
    for each share above 0.

    Args:
        fractions: Sum to 1.
        largest: Of the sum of the counts.
    """
    period = math.lcm(*(share.denominator for share in fractions))
    if period <= largest:
        return [int(share * period) for share in fractions], 0.0
    ideal = [share * largest for share in fractions]
    counts = [max(int(value), 1 if value > 0 else 0) for value in ideal]
    by_remainder = sorted(range(len(ideal)), key=lambda place: counts[place] - ideal[place])
    missing = largest - sum(counts)
    for place in by_remainder[:missing] if missing > 0 else ():
        counts[place] += 1
    total = sum(counts)
    return counts, max(abs(count / total - float(share)) for count, share in zip(counts, fractions, strict=True))
