"""Read and write the files of a Hugging Face tokenizer directory without importing transformers."""

import json
from pathlib import Path
from typing import Any

from core.errors import InputError

CHAT_TEMPLATE_FILE = "chat_template.jinja"

# ChatML. The generation markers let a trainer find the assistant's tokens; they are part of Hugging Face's template
# language and produce no text. The end of the turn is inside them: the model must learn to stop.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}"
    "{{ message['content'] + '<|im_end|>' }}"
    "{% endif %}"
    "{{ '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        InputError: the file is missing or holds no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: this file is missing; a tokenizer directory needs it.") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: not readable as JSON ({error}).") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object.")
    return content


def token_ids(directory: Path) -> dict[str, int]:
    """Return every token of ``tokenizer.json`` with its id, added tokens included."""
    content = read_json(directory / "tokenizer.json")
    vocabulary = content.get("model", {}).get("vocab", {})
    if isinstance(vocabulary, list):  # Unigram models list [piece, score] in order of id
        vocabulary = {piece: index for index, (piece, _) in enumerate(vocabulary)}
    return {**vocabulary, **{token["content"]: token["id"] for token in content.get("added_tokens", [])}}


def vocabulary_size(directory: Path) -> int:
    """Return the rows that an embedding needs: the largest id plus one."""
    return 1 + max(token_ids(directory).values())


def end_of_text_id(directory: Path) -> int:
    """Return the id of the token that ends a document: ``<|endoftext|>`` where there is one, else ``eos_token``.

    Chat tokenizers name the end of a turn as their ``eos_token``, which must not end documents.

    Raises:
        InputError: the tokenizer has neither.
    """
    ids = token_ids(directory)
    if "<|endoftext|>" in ids:
        return ids["<|endoftext|>"]
    token = read_json(directory / "tokenizer_config.json").get("eos_token")
    text = token.get("content") if isinstance(token, dict) else token
    if text not in ids:
        raise InputError(f"{directory}: eos_token {text!r} is not in the vocabulary; set it in tokenizer_config.json.")
    return ids[text]


def write_config(directory: Path, special_tokens: tuple[str, ...]) -> None:
    """Write ``tokenizer_config.json`` and the chat template beside ``tokenizer.json``."""
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|endoftext|>",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|pad|>",
        "additional_special_tokens": [token for token in special_tokens if token not in ("<|endoftext|>", "<|pad|>")],
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (directory / CHAT_TEMPLATE_FILE).write_text(CHAT_TEMPLATE, encoding="utf-8")


def chat_template(directory: Path) -> tuple[str, str]:
    """Return the template that an existing tokenizer will have, and whether it is ``own``, ``added`` or ``none``.

    It is given ChatML when it has none and knows ChatML's tokens. Of several named ones it is the default's.
    """
    own = read_json(directory / "tokenizer_config.json").get("chat_template")
    if (directory / CHAT_TEMPLATE_FILE).exists():
        own = (directory / CHAT_TEMPLATE_FILE).read_text(encoding="utf-8")
    if isinstance(own, list):
        named = {str(entry.get("name")): entry.get("template") for entry in own if isinstance(entry, dict)}
        own = named.get("default") or next(iter(named.values()), "")
    if own:
        return str(own), "own"
    if {"<|im_start|>", "<|im_end|>"} <= token_ids(directory).keys():
        return CHAT_TEMPLATE, "added"
    return "", "none"


def complete_chat_template(directory: Path) -> str:
    """Give an existing tokenizer the template of :func:`chat_template`.

    Returns:
        ``own``, ``added`` or ``none``: what the tokenizer has now.
    """
    _, kind = chat_template(directory)
    if kind != "added":
        return kind
    config = read_json(directory / "tokenizer_config.json")
    (directory / CHAT_TEMPLATE_FILE).write_text(CHAT_TEMPLATE, encoding="utf-8")
    config["chat_template"] = CHAT_TEMPLATE
    (directory / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return "added"
