"""Marks around the assistant's text for a chat template that has none, found by what the template writes.

Most templates write each message as a beginning of its role, the content, and an end: ChatML in all its variants,
Llama 3, Gemma. Beginnings and ends are read off short conversations, and put together with Hugging Face's marks; the
result counts only where it writes the same text as the template. It tells which tokens to learn, and is never exported.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

ONE, TWO, THREE, FOUR = "Qzu", "Qza", "Qzv", "Qzs"
"""Contents that no template brings by itself."""
PLACEHOLDERS = {name: f"<placeholder of {name}>" for name in ("bos_token", "eos_token", "pad_token", "unk_token")}
"""For templates whose tokenizer is not known yet."""
PROBES = (
    ("user", "assistant"),
    ("system", "user", "assistant"),
    ("user", "assistant", "user", "assistant", "user", "assistant"),
    ("system", "user", "assistant", "user"),
)
TEXTS = ("one", " two\n\nlines \n", "3 {{ x }}", "<b>four</b>", "\tfive", "six")
CONTENTS = ("message['content']", "message['content'] | trim")


def marked(template: str, tokens: Mapping[str, Any] = PLACEHOLDERS) -> str | None:
    """Return a template with marks that writes the same text; None where none is found.

    Args:
        template: Without marks.
        tokens: The tokenizer's special tokens by their names, as templates have them.
    """
    if "strftime_now" in template:  # writes another text each day
        return None
    try:
        write = _writer(template, tokens)
        parts = _parts(write)
        if parts is None:
            return None
        probes = [messages for messages in _probes() if messages[0]["role"] in parts]
        wanted = [write(messages) for messages in probes]
    except Exception:  # a template is a program of its own: it raises what it likes
        return None
    made = (_assembled(parts, content) for content in CONTENTS)
    return next((text for text in made if text is not None and _written(text, probes, tokens) == wanted), None)


def _writer(template: str, tokens: Mapping[str, Any]) -> Any:
    """Return the function that writes a conversation as Transformers would."""
    import jinja2
    import jinja2.sandbox

    def refuse(message: str) -> None:
        raise ValueError(message)

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = refuse
    compiled = environment.from_string(template)
    return lambda messages: compiled.render(messages=messages, tools=None, add_generation_prompt=False, **tokens)


def _turns(roles: Sequence[str], texts: Sequence[str]) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]


def _probes() -> list[list[dict[str, str]]]:
    shifted = itertools.cycle(TEXTS)
    return [_turns(roles, list(itertools.islice(shifted, len(roles)))) for roles in PROBES]


def _parts(write: Any) -> dict[str, tuple[str, str]] | None:
    """Return what stands before and after the content of each role.

    ``""`` has what begins a text without a system's message. A template that refuses one has no such role.
    """
    first = _between(write, ("user", "assistant", "user"), (ONE, TWO, THREE))
    alone = _between(write, ("user", "assistant"), (ONE, TWO))
    asked = _between(write, ("user",), (ONE,))
    if first is None or alone is None or asked is None:
        return None
    ends = {"user": asked[1], "assistant": alone[2]}
    user, assistant = _without(first[2], ends["assistant"], ""), _without(first[1], ends["user"], "")
    prefix = None if user is None else _without(first[0], "", user)
    if user is None or assistant is None or prefix is None:
        return None
    parts = {"": (prefix, ""), "user": (user, ends["user"]), "assistant": (assistant, ends["assistant"])}
    try:
        system = _between(write, ("system", "user", "assistant"), (FOUR, ONE, TWO))
    except Exception:  # it has no such role
        return parts
    closing = None if system is None else _without(system[1], "", user)
    return None if system is None or closing is None else {**parts, "system": (system[0], closing)}


def _between(write: Any, roles: Sequence[str], contents: Sequence[str]) -> list[str] | None:
    """Return what a template writes around the contents of a conversation; None where it repeats or drops one."""
    text, found = write(_turns(roles, contents)), []
    for content in contents:
        before, here, text = text.partition(content)
        if not here:
            return None
        found.append(before)
    return [*found, text] if not any(content in part for content in contents for part in (*found, text)) else None


def _without(text: str, begin: str, end: str) -> str | None:
    """Return a text without its begin and end; None where it has others."""
    if not (text.startswith(begin) and text.endswith(end) and len(text) >= len(begin) + len(end)):
        return None
    return text[len(begin) : len(text) - len(end)]


def _assembled(parts: Mapping[str, tuple[str, str]], content: str) -> str | None:
    """Return the template; None where nothing but space ends an answer, so that no end could be learned."""
    begins, ends = parts["assistant"]
    end = ends.rstrip()
    if not end:
        return None
    prefix = parts[""][0]
    written = [f"{{% if messages[0]['role'] != 'system' %}}{{{{ {prefix!a} }}}}{{% endif %}}"]
    written += ["{% for message in messages %}{% if message['role'] == 'assistant' %}"]
    written += [f"{{{{ {begins!a} }}}}{{% generation %}}{{{{ ({content}) + {end!a} }}}}{{% endgeneration %}}"]
    written += [f"{{{{ {ends[len(end) :]!a} }}}}"]
    for role, (before, after) in parts.items():
        if role in ("system", "user"):
            text = f"{before!a} + ({content}) + {after!a}"
            written += [f"{{% elif message['role'] == '{role}' %}}{{{{ {text} }}}}"]
    written += ["{% else %}{{ raise_exception('no marks for the role ' + message['role']) }}{% endif %}{% endfor %}"]
    return "".join(written)


def _written(marked_template: str, probes: Sequence[Any], tokens: Mapping[str, Any]) -> list[str]:
    write = _writer(marked_template.replace("{% generation %}", "").replace("{% endgeneration %}", ""), tokens)
    return [write(messages) for messages in probes]
