"""What a task makes of its items: a mistake in one of them is said in one line."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

from core.errors import InputError


@contextlib.contextmanager
def items_of(name: str) -> Iterator[None]:
    """Say in one line that an item lacks what its task reads of it."""
    import jinja2

    try:
        yield
    except (jinja2.UndefinedError, KeyError) as error:
        raise InputError(
            f"eval.tasks: an item of {name} lacks what the task reads of it: {first_line(error)}. Give the column in "
            "all its rows."
        ) from error
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        if "abstract class" in str(error):
            raise InputError(f"eval.tasks: the class of {name} is not whole: {first_line(error)}. Write it.") from error
        raise InputError(
            f"eval.tasks: an item of {name} is not as the task reads it: {type(error).__name__}: {first_line(error)}. "
            "Mend its row."
        ) from error


def say_in_one_line(task: Any, name: str) -> None:
    """Let what a task makes of its items fail in one line; what the engine says while it is asked stays as it is."""

    def said(method: Any) -> Any:
        @functools.wraps(method)
        def called(*arguments: Any, **named: Any) -> Any:
            with items_of(name):
                return method(*arguments, **named)

        return called

    for method in ("build_all_requests", "apply_filters", "process_results"):
        setattr(task, method, said(getattr(task, method)))


def try_first(task: Any) -> None:
    """Make the prompt of the first item, so that columns that are not there show before an engine starts."""
    for doc in list(task.eval_docs)[:1]:
        task.doc_to_text(doc)
        task.doc_to_target(doc)
        if task.OUTPUT_TYPE == "multiple_choice":
            task.doc_to_choice(doc)


def first_line(error: Exception) -> str:
    """Return the first line of an error, or its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
