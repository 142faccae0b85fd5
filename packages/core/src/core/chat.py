# PYTHON_ARGCOMPLETE_OK
"""Talk to a model in the terminal. A model that has learned no chat template completes what is written.

    python -m core.chat runs/<run>
    python -m core.chat runs/<run>:pretrain max_new_tokens=100
    python -m core.chat HuggingFaceTB/SmolLM2-135M-Instruct temperature=0.2 top_p=0.9
    echo 'What is a remainder?' | python -m core.chat store/posttrain/<artifact> temperature=0

/help lists what can be said to the program instead of the model. Ctrl-C stops an answer, Ctrl-D leaves.
"""

from collections.abc import Sequence

from core import model_cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return model_cli.main("chat", __doc__, arguments)


if __name__ == "__main__":
    model_cli.leave(main())
