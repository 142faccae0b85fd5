"""From words to token ids and back: turns of a chat or text, and answers that are shown while they grow."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.cli import printable
from core.errors import InputError

Message = Mapping[str, str]
"""``role`` (``system``, ``user`` or ``assistant``) and ``content``."""


def ids_of_turns(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """Return a conversation as the model reads it, up to where its answer begins.

    Raises:
        InputError: the chat template refuses it: a template is a program of its own.
    """
    try:
        ids = tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, return_dict=False)
    except Exception as error:  # whatever a template raises
        said = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"the model's chat template refuses this: {said[:300]}") from error
    return list(ids)


def ids_of_text(tokenizer: Any, text: str) -> list[int]:
    """Return a text as the model reads it; of an empty one, the token that texts begin with or are parted by."""
    begin = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    return list(tokenizer(text)["input_ids"]) or [0 if begin is None else begin]


def text_of(tokenizer: Any, tokens: Sequence[int]) -> str:
    """Return the text of an answer."""
    return tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)


def shown(text: str) -> str:
    """Return what a model wrote, without what would steer a terminal."""
    return "\t".join(map(printable, text.split("\t")))


class Growing:
    """An answer that is shown while it grows: characters of several tokens appear when they are whole."""

    def __init__(self, tokenizer: Any, show: Callable[[str], None], before: Sequence[int] = ()) -> None:
        """Begin.

        Args:
            show: Gets the pieces.
            before: The prompt's last tokens, where the answer continues a text: whether it begins with a space depends
                on them.
        """
        from tokenizers.decoders import DecodeStream

        self._stream = DecodeStream(ids=list(before), skip_special_tokens=True)
        self._backend, self._show = tokenizer.backend_tokenizer, show
        self.tokens: list[int] = []

    def __call__(self, token: int) -> None:
        """Take the next token."""
        self.tokens.append(token)
        if piece := self._stream.step(self._backend, token):
            self._show(piece)
