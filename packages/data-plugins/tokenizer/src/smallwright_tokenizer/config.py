"""Settings of the tokenizer and of the packer."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from core import hub
from core.errors import ConfigError
from core.typed import setting

from smallwright_tokenizer import ready

if TYPE_CHECKING:
    from core.registry import Registry

END_OF_TEXT = "<|endoftext|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
PADDING = "<|pad|>"
NEEDED_TOKENS = (END_OF_TEXT, TURN_START, TURN_END, PADDING)

# Ids 0 to 16 in the order of SmolLM2's tokenizer (id HuggingFaceTB/cosmo2-tokenizer, SmolLM2 §4.1); the padding token
# is ours: SmolLM2 pads with <|im_end|>, which hides the end of the last turn from code that masks padding by its id.
SPECIAL_TOKENS = (
    END_OF_TEXT,
    TURN_START,
    TURN_END,
    "<repo_name>",
    "<reponame>",
    "<file_sep>",
    "<filename>",
    "<gh_stars>",
    "<issue_start>",
    "<issue_comment>",
    "<issue_closed>",
    "<jupyter_start>",
    "<jupyter_text>",
    "<jupyter_code>",
    "<jupyter_output>",
    "<jupyter_script>",
    "<empty_output>",
    PADDING,
)

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
"""Files of a tokenizer that exists; weights may lie beside them."""
BYTES = 256
LARGEST_VOCABULARY = 1 << 22
"""Four times what the largest published tokenizers have. Training sets memory aside for it before it counts."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BpeConfig:
    """A byte-level BPE tokenizer: trained on the corpus, or an existing one."""

    path: str | None = setting(None, files=TOKENIZER_FILES)
    """Use this tokenizer (a directory or a hub id) instead of training one; the other settings are then unused."""
    revision: str | None = setting(None)
    """Commit, tag or branch of the hub tokenizer named by ``path``."""
    vocab_size: int = setting(2048, le=LARGEST_VOCABULARY)
    """Ids in all: special tokens, 256 bytes and merges. SmolLM2 has 49152 (§4.1)."""
    split_digits: bool = setting(True)
    """Each digit is a token of its own, as in SmolLM2's tokenizer."""
    min_frequency: int = setting(2, ge=1)
    """A pair seen fewer times is never merged."""
    training_documents: int | None = setting(1_000_000, ge=1)
    """Train on about this many documents, chosen by a hash of their ids; null: on all of them."""
    weights: Mapping[str, float] | None = setting(None, gt=0, min_length=1)
    """Share of the training text that each recipe of ``+data=[...]`` gives, by its name; null: all that there is.
    SmolLM2's tokenizer: FineWeb-Edu 0.70, Cosmopedia 0.15, OpenWebMath 0.08, StarCoderData 0.05, StackOverflow 0.02
    (§4.1)."""
    special_tokens: tuple[str, ...] = setting(SPECIAL_TOKENS)
    """Tokens with the ids 0, 1, 2, ... in this order; never produced from the text of a document."""

    def __post_init__(self) -> None:
        missing = [token for token in NEEDED_TOKENS if token not in self.special_tokens]
        if missing:
            raise ConfigError(
                f"special_tokens: {' '.join(missing)} must be among them (documents, chat turns, padding)."
            )
        if len(set(self.special_tokens)) != len(self.special_tokens):
            raise ConfigError("special_tokens: a token is listed twice; each must appear once.")
        least = len(self.special_tokens) + BYTES
        if self.vocab_size < least:
            raise ConfigError(
                f"vocab_size={self.vocab_size}: must be at least {least} "
                f"({len(self.special_tokens)} special tokens and {BYTES} bytes)."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeldOutConfig:
    """What a packer holds out.

    Held out for validation are the documents whose ids have the smallest hashes: one in a hundred, up to two million
    tokens; of a small corpus as many as give a hundred thousand tokens, up to one in twenty. At least one document goes
    to each side.
    """

    validation_fraction: float = setting(0.01, gt=0, lt=1)
    """Share of documents held out for validation."""
    validation_tokens: int = setting(2_000_000, ge=1)
    """Tokens held out at most; beyond it a larger corpus makes no loss more exact that anybody looks at."""
    validation_least: int = setting(100_000, ge=0)
    """Tokens to hold out of a corpus of which ``validation_fraction`` gives fewer, yet at most a twentieth of it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataTroveConfig(HeldOutConfig):
    """Tokens that DataTrove's ``DocumentTokenizer`` wrote, as nanotron and others train on them."""

    folder: str = setting(files=True)
    """Has files ``<name>.ds`` with ids and ``<name>.ds.index`` with the ends of their documents."""

    def check(self, registry: "Registry", where: str) -> None:
        """Refuse a folder without such files, or with one of another size than its index says."""
        ready.files_of(Path(self.folder), f"{where}.folder={self.folder}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadyConfig(HeldOutConfig):
    """Tokens that were made elsewhere: files ``.ds`` of DataTrove, or Parquet with a column ``input_ids``."""

    folder: str = setting(files=True)
    """A folder, or a dataset of the hub with or without ``@<revision>``."""
    rows: Literal["document", "stream"] | None = None
    """Of Parquet: ``document``, a row ends with a document; ``stream``, rows are pieces of one stream, documents ending
    with the end of text alone. None: documents, unless they all have one length."""
    revision: str | None = None
    """Commit of a dataset on the hub; planning writes it."""

    def check(self, registry: "Registry", where: str) -> None:
        """Refuse a folder without such files; of a dataset on the hub, find the commit."""
        owner = f"{where}.folder={self.folder}"
        if Path(self.folder).is_dir():
            ready.files_below(Path(self.folder), owner)
            return
        name, _, revision = self.folder.partition("@")
        # Small files say the commit; what is large is fetched when it is taken.
        place = hub.snapshot(name, revision or None, ("*.metadata", "*.md"), f"{where}.folder", "dataset")
        object.__setattr__(self, "folder", name)
        object.__setattr__(self, "revision", place.name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackedConfig(HeldOutConfig):
    """Token files: documents one after another, each ended by the end-of-text token."""

    add_special_tokens: bool = setting(False)
    """Put before and behind each document what the tokenizer's own template adds, such as ``<s>``. Models that were
    trained with it want it; the end-of-text token comes in any case, and only once."""
    batch_documents: int = setting(256, ge=1, identity=False)
    """Documents tokenized at once. 256 balances threads without holding many texts in memory."""
