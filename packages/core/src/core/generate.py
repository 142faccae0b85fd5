# PYTHON_ARGCOMPLETE_OK
"""Let a model answer a file of prompts. A killed command goes on where it stopped when it is given again.

    python -m core.generate runs/<run> --prompts prompts.txt --out answers.jsonl
    python -m core.generate <hub id> --prompts prompts.jsonl --out answers.jsonl n=4 temperature=0.8 engine=vllm

A line of a text file is a prompt; a line of a .jsonl is a string, {"prompt": ...} or {"messages": [...]}. Each line of
what comes out has the prompt and its answers, in the order of the file.
"""

from collections.abc import Sequence

from core import model_cli

OPTIONS = {"prompts": "a text file with a prompt a line, or .jsonl", "out": "the .jsonl file to write"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return model_cli.main("generate", __doc__, arguments, OPTIONS)


if __name__ == "__main__":
    model_cli.leave(main())
