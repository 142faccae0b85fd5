"""What was said so far, and how much of it the model can read."""

import json
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.writing import write_json

from smallwright_eval.talk import wording
from smallwright_eval.talk.wording import Message


class Conversation:
    """Turns of a chat; the oldest are left out where the model cannot read them all."""

    def __init__(self, tokenizer: Any, room: int, system: str | None = None) -> None:
        """Begin.

        Args:
            room: Tokens that a prompt may have.
            system: What the model is told before the first turn; None: nothing.
        """
        self.tokenizer, self.room = tokenizer, room
        self.turns: list[Message] = []
        self.system: str | None = None
        self._saved: set[Path] = set()
        if system:
            self.instruct(system)

    def messages(self) -> list[Message]:
        """Return the whole conversation, the system's message first."""
        return [*self._system(), *self.turns]

    def instruct(self, system: str | None) -> None:
        """Set the system's message; None takes it away.

        Raises:
            InputError: the chat template takes none, or it leaves no room; the old one stays.
        """
        before, self.system = self.system, system
        try:
            if len(self._ids([{"role": "user", "content": "?"}])) > self.room:
                raise InputError(
                    f"the system's message leaves no room: the model reads {self.room} tokens. Shorten it."
                )
        except InputError:
            self.system = before
            raise

    def ask(self, content: str) -> tuple[list[int], int]:
        """Add what the user says, and return the prompt and how many of the oldest turns were forgotten to make room.

        Raises:
            InputError: the message alone is longer than the model reads, or the template refuses it. It is not added.
        """
        turns: list[Message] = [*self.turns, {"role": "user", "content": content}]
        forgotten = 0
        while len(ids := self._ids(turns)) > self.room:
            if len(turns) == 1:
                raise InputError(f"this has {len(ids)} tokens, and the model reads {self.room}. Shorten it.")
            # An answer goes with its question: some templates refuse a conversation that begins with an answer.
            oldest = next((place for place, turn in enumerate(turns) if place and turn["role"] == "user"), 1)
            forgotten += oldest
            turns = turns[oldest:]
        self.turns = turns
        return ids, forgotten

    def answered(self, content: str) -> None:
        """Add what the model said."""
        self.turns.append({"role": "assistant", "content": content})

    def reset(self) -> None:
        """Forget the turns; the system's message stays."""
        self.turns = []

    def save(self, path: Path, **more: Any) -> None:
        """Write the conversation as JSON, in the form that training on it reads.

        Raises:
            InputError: there is a file of that name which this conversation did not write, or it cannot be written.
        """
        try:
            path = path.expanduser().resolve()
            if path.exists() and path not in self._saved:
                raise InputError(f"{path}: is there already. Give another name.")
            write_json(path, {**json.loads(json.dumps(more)), "messages": self.messages()})
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror or error}.") from error
        except (ValueError, RuntimeError) as error:  # no name of a file, or no such user's home
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: is no name of a file: {error}.") from error
        self._saved.add(path)

    def _ids(self, turns: list[Message]) -> list[int]:
        return wording.ids_of_turns(self.tokenizer, [*self._system(), *turns])

    def _system(self) -> list[Message]:
        return [{"role": "system", "content": self.system}] if self.system else []
