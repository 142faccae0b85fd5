# PYTHON_ARGCOMPLETE_OK
"""Serve a model to programs, as OpenAI's API has it, and to people: a page to talk to it, at the same address.

    python -m core.serve runs/<run>
    python -m core.serve <hub id> port=8001 max_model_len=2048
    VLLM_API_KEY=<key> python -m core.serve <artifact> host=0.0.0.0

Only this machine reaches it unless host says otherwise. Ctrl-C or SIGTERM ends it.
"""

from collections.abc import Sequence

from core import model_cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return model_cli.main("serve", __doc__, arguments)


if __name__ == "__main__":
    model_cli.leave(main())
