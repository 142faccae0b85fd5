"""Write the folder that ``eval.data_dir`` reads from data sets as other repositories keep them, gzipped JSON lines.

    python tools/eval_data.py <folder> --to data

``<folder>`` has, as far as they are at hand: ``multiple_choice/`` (mosaicml/llm-foundry, scripts/eval/local_data),
``mmlu/`` (allenai/OLMo), ``gsm8k/`` (openai/grade-school-math), ``ifeval/`` (google-research) and ``bbh/``
(suzgunmirac/BIG-Bench-Hard). What is missing is left out; what is there may be a part of a set: the scores say of how
many items they are.
"""

import argparse
import gzip
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

LETTERS = "ABCDE"
Row = dict[str, Any]


def main() -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    for place, rows in found(options.folder):
        target = options.to / f"{place}.jsonl"
        target.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        target.write_text("".join(lines), encoding="utf-8")
        print(f"{target}: {len(lines)} rows")
    return 0


def found(folder: Path) -> Iterator[tuple[str, list[Row]]]:
    """Yield where each split goes, and its rows with the columns that the hub gives them."""
    sources = (
        ("multiple_choice/arc_easy.jsonl.gz", "allenai__ai2_arc/ARC-Easy/test", arc),
        ("multiple_choice/openbook_qa.jsonl.gz", "allenai__openbookqa/main/test", openbookqa),
        ("multiple_choice/piqa.jsonl.gz", "ybisk__piqa/plain_text/validation", piqa),
        ("multiple_choice/winogrande.jsonl.gz", "allenai__winogrande/winogrande_xl/validation", winogrande),
        ("mmlu/mmlu_dev.jsonl.gz", "cais__mmlu/all/dev", dict),
        ("mmlu/mmlu_validation.jsonl.gz", "cais__mmlu/all/validation", dict),
        ("gsm8k/train.jsonl.gz", "openai__gsm8k/main/train", dict),
        ("gsm8k/test_first200.jsonl", "openai__gsm8k/main/test", dict),
        ("ifeval/input_data_dev.jsonl.gz", "google__IFEval/default/train", dict),
    )
    for source, place, convert in sources:
        if (folder / source).is_file():
            yield place, [convert(row) for row in read(folder / source)]
    for path in sorted((folder / "bbh").glob("*.json.gz")):
        examples = json.loads(gzip.decompress(path.read_bytes()))["examples"]
        yield f"lighteval__big_bench_hard/{path.name.partition('.')[0]}/train", examples


def read(path: Path) -> Iterable[Row]:
    """Return the rows of a file of JSON lines, gzipped or not."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def arc(row: Mapping[str, Any]) -> Row:
    """Return a question of ARC."""
    return {"question": row["query"].removeprefix("Question: ").strip(), **_lettered(row)}


def openbookqa(row: Mapping[str, Any]) -> Row:
    """Return a question of OpenBookQA."""
    return {"question_stem": row["query"], **_lettered(row)}


def piqa(row: Mapping[str, Any]) -> Row:
    """Return a goal of PIQA with its two solutions."""
    goal = row["query"].removeprefix("Question: ").removesuffix("\n")
    return {"goal": goal, "sol1": row["choices"][0], "sol2": row["choices"][1], "label": row["gold"]}


def winogrande(row: Mapping[str, Any]) -> Row:
    """Return a sentence of Winogrande with its gap, which the file has twice, up to each option."""
    one, other = row["context_options"]
    before = 0
    while before < min(len(one), len(other)) and one[before] == other[before]:
        before += 1
    before = one.rfind(" ", 0, before) + 1
    return {
        "sentence": f"{one[:before]}_ {row['continuation']}",
        "option1": one[before:],
        "option2": other[before:],
        "answer": str(row["gold"] + 1),
    }


def _lettered(row: Mapping[str, Any]) -> Row:
    letters = list(LETTERS[: len(row["choices"])])
    return {"choices": {"text": row["choices"], "label": letters}, "answerKey": letters[row["gold"]]}


if __name__ == "__main__":
    sys.exit(main())
