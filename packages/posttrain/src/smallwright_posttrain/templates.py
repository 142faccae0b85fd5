"""What can be said of a chat template from its text alone, before any tokenizer is loaded."""

import importlib.util
import re
from pathlib import Path
from typing import Any

from core.errors import ConfigError

from smallwright_posttrain import marks

_BEGINS = re.compile(r"\{%-?\s*generation\s*-?%\}")
_MARKS = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")
"""Of the assistant's text in Hugging Face's templates, which Jinja itself does not know."""


def default(template: Any) -> str:
    """Return the text of a tokenizer's template: of several named ones the default; empty where there is none."""
    if isinstance(template, dict):
        template = template.get("default") or next(iter(template.values()), "")
    return template or ""


def check_syntax(template: str, where: str) -> None:
    """Refuse a text that is no Jinja template.

    Raises:
        ConfigError: naming the line.
    """
    import jinja2
    import jinja2.sandbox

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(extensions=["jinja2.ext.loopcontrols"])
    try:
        environment.parse(_MARKS.sub("", template))
    except jinja2.TemplateSyntaxError as error:
        raise ConfigError(
            f"{where}: the tokenizer's chat template is no Jinja template (line {error.lineno}: {error.message})."
        ) from None


def marks_answers(template: str) -> bool:
    """Whether the assistant's tokens can be told: by marks in the template, a replacement of TRL's, or :mod:`marks`."""
    return bool(_BEGINS.search(template)) or known_to_trl(template) or marks.marked(template) is not None


def known_to_trl(template: str) -> bool:
    """Whether TRL has a replacement with marks for exactly this template."""
    trl = importlib.util.find_spec("trl")  # not imported: that takes seconds
    folders = trl.submodule_search_locations if trl is not None else None
    return any(
        path.read_text(encoding="utf-8") == template
        for folder in folders or ()
        for path in Path(folder).glob("chat_templates/*.jinja")
        if not path.stem.endswith("_training") and path.with_stem(f"{path.stem}_training").exists()
    )
