"""The process behind :class:`smallwright_eval.verdicts.limited.Checker`: a question and an answer a line, as JSON."""

import importlib
import json
import os
import resource
import sys


def main(module: str, memory: int) -> None:
    """Answer questions until the input ends.

    Args:
        module: Whose functions are asked.
        memory: Bytes of address space that this process may take.
    """
    # What a library prints must not stand between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    asked = importlib.import_module(module)
    for line in sys.stdin:
        question = json.loads(line)
        try:
            function = question["function"]
            value = None if function is None else getattr(asked, function)(*question["arguments"])
            answer = {"value": value}
        except MemoryError:
            os._exit(1)  # as if it had been ended: nothing more can be trusted to work
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
