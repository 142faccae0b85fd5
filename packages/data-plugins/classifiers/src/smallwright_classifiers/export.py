"""Write an encoder classifier as an ordinary transformers model, such as the published ones are.

python -m smallwright_classifiers.export store/data/<corpus>/reports/<step>/classifier my-classifier [--group python]
"""

import argparse
import shutil
import sys
from pathlib import Path

from core.errors import InputError, UserError

from smallwright_classifiers.config import EncoderClassifierConfig
from smallwright_classifiers.encoder import HEAD_FILE, EncoderKind
from smallwright_classifiers.model import COMMON, INDEX_FILE, RESULT_FILE, read_index


def export(classifier: Path, target: Path, group: str | None = None) -> None:
    """Write the model of a group (None: that of all labels) to ``target``, with its tokenizer.

    ``AutoModelForSequenceClassification`` loads it; its one output is the score.

    Raises:
        UserError: no encoder classifier there, no such group, or ``target`` exists.
    """
    kind = EncoderKind(EncoderClassifierConfig(pretrained=str(classifier), device="cpu"), seed=0)
    index = read_index(kind, str(classifier))
    if index is None:
        raise InputError(f"{classifier}: no {INDEX_FILE} there. Name reports/<step>/classifier of a corpus.")
    if group is not None and group not in index["groups"]:
        raise InputError(f"--group {group}: not among {', '.join(index['groups']) or 'none'}.")
    if target.exists():
        raise InputError(f"{target} exists; name a folder that does not.")
    model = classifier / (index["groups"][group] if group is not None else COMMON)
    if not index["settings"]["freeze"]:
        shutil.copytree(model, target, ignore=shutil.ignore_patterns(RESULT_FILE))
        return
    from safetensors.torch import load_file

    encoder = kind.encoder(index["settings"])
    outcome = encoder.model.load_state_dict(load_file(model / HEAD_FILE), strict=False)
    assert not outcome.unexpected_keys, outcome.unexpected_keys
    encoder.save(target)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("classifier", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--group", help="the classifier of this group of `by`; left out: that of all labels")
    arguments = parser.parse_args()
    try:
        export(arguments.classifier, arguments.target, arguments.group)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
