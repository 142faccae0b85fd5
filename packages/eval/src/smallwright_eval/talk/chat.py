"""``core.chat``: a conversation in the terminal, or through pipes."""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core import cli
from core.errors import ConfigError, InputError, UserError
from core.headline import count
from core.interfaces import ModelCommand, NamedModel
from core.model_cli import changed

from smallwright_eval.talk import loading, start, wording
from smallwright_eval.talk.config import ChatConfig
from smallwright_eval.talk.conversation import Conversation
from smallwright_eval.talk.talker import Talker

HELP = """\
/system <text>    what the model is told before the first turn; without a text it is taken away
/reset            forget the conversation; the system's message stays
/set key=value    change a setting, such as temperature=0.2; /set alone shows them
/save <file>      write the conversation as JSON
/help             this
//...             say something to the model that begins with /
Ctrl-C stops an answer, Ctrl-D leaves."""
LOADED_WITH = ("engine", "dtype", "device", "trust_remote_code", "chat_template", "system")
"""Settings that /set cannot change any more."""


class Chat(ModelCommand):
    """Talk to a model: it answers in turns where it has learned its chat template, and completes what is written
    elsewhere."""

    config: ChatConfig

    def environment(self) -> dict[str, str]:
        """Return what makes the engine start fast and quiet."""
        return start.environment(self.config.engine)

    def check(self, model: NamedModel) -> None:
        """Refuse an engine that is not here, or heads that it cannot serve."""
        start.check(model, self.config.engine)

    def run(self, model: NamedModel) -> int:
        """Read what the user says until the input ends."""
        talker = start.talker(model, self.config)
        turns = loading.takes_turns(self.config, model, talker.tokenizer)
        if self.config.system and not turns:
            raise ConfigError("system: the model has learned no chat template; it completes text. Leave it out.")
        return _Talk(self.config, model, talker, turns).run()


class _Talk:
    def __init__(self, config: ChatConfig, model: NamedModel, talker: Talker, turns: bool) -> None:
        self.config, self.model, self.talker = config, model, talker
        self.positions = loading.positions(model)
        self.sampling = loading.sampling(config, model, self.positions)
        self.conversation: Conversation | None = None
        if turns:
            self.conversation = Conversation(talker.tokenizer, self._room(), config.system)
        self.person = sys.stdin.isatty() and sys.stdout.isatty()
        if config.seed is not None:
            talker.seed(config.seed)

    def run(self) -> int:
        self._greet()
        for line in self._lines():
            try:
                if line.startswith("/") and not line.startswith("//"):
                    self._command(line)
                elif line.strip():
                    self._answer(line.removeprefix("/") if line.startswith("//") else line)
            except UserError as error:
                self._say(str(error))
        return 0

    def _greet(self) -> None:
        size = f", {count(self.model.planned.parameters())} parameters" if self.person else ""
        self._say(f"{self.model.label}{size}, {self.talker.about}. /help lists commands, Ctrl-D leaves.")
        if self.conversation is None:
            self._say("It has learned no chat template: it completes what you write, each line anew.")

    def _lines(self) -> Iterator[str]:
        """Yield what the user says; Ctrl-C throws a line away."""
        if self.person:
            with contextlib.suppress(ImportError):
                import readline  # noqa: F401 - gives input() a history and keys to edit with
        while True:
            try:
                line = input("> ") if self.person else next(sys.stdin, None)
            except EOFError:
                print()
                return
            except KeyboardInterrupt as stopped:
                if isinstance(stopped, cli.Terminated) or not self.person:
                    raise
                print("\nCtrl-D leaves.")
                continue
            except UnicodeDecodeError:
                self._say("this is no UTF-8, and was left out.")
                continue
            if line is None:
                return
            yield line.rstrip("\r\n")

    def _answer(self, said: str) -> None:
        forgotten = 0
        if self.conversation is not None:
            prompt, forgotten = self.conversation.ask(said)
        else:
            prompt = wording.ids_of_text(self.talker.tokenizer, said)
            if len(prompt) > self._room():
                raise InputError(f"this has {len(prompt)} tokens, and the model reads {self._room()}. Shorten it.")
        if forgotten:
            self._say(f"the oldest {forgotten} messages are forgotten: the model reads {self._room()} tokens.")
        began, first = time.monotonic(), []

        def show(piece: str) -> None:
            first.append(time.monotonic())
            print(wording.shown(piece), end="", flush=True)

        if self.conversation is None:
            print(wording.shown(said), end="", flush=True)
        growing = wording.Growing(self.talker.tokenizer, show, prompt[-8:] if self.conversation is None else ())
        stopped = ended = False
        try:
            ended = self.talker.stream(prompt, self.sampling, growing)
        except KeyboardInterrupt as interrupt:
            if isinstance(interrupt, cli.Terminated) or not self.person:
                raise
            stopped = True
        print(flush=True)
        if self.conversation is not None:
            self.conversation.answered(wording.text_of(self.talker.tokenizer, growing.tokens))
        self._tell(len(growing.tokens), began, first, "stopped" if stopped else "" if ended else "cut off")

    def _tell(self, tokens: int, began: float, first: list[float], why: str) -> None:
        """Say how fast an answer was, to a person; that it was cut, to everybody."""
        if why == "cut off":
            self._say(f"[cut off after {tokens} tokens: max_new_tokens]")
        elif self.person:
            speed = f", {tokens / max(time.monotonic() - first[0], 1e-6):.0f} a second" if tokens > 1 and first else ""
            waited = f", the first after {first[0] - began:.1f} s" if first else ""
            self._say(f"[{'stopped, ' if why else ''}{tokens} tokens{waited}{speed}]")

    def _command(self, line: str) -> None:
        name, _, rest = line[1:].partition(" ")
        rest = rest.strip()
        if name == "help":
            self._say(HELP)
        elif name == "set":
            self._set(rest)
        elif self.conversation is None and name in ("system", "reset", "save"):
            raise InputError(f"/{name}: the model completes text, each line anew: there is no conversation.")
        elif name == "system":
            assert self.conversation is not None
            self.conversation.instruct(rest or None)
            self._say("the model is told so from the next answer on." if rest else "no system's message any more.")
        elif name == "reset":
            assert self.conversation is not None
            self.conversation.reset()
            self._say("the conversation is forgotten.")
        elif name == "save" and rest:
            assert self.conversation is not None
            more: dict[str, Any] = {"model": self.model.named, "settings": vars(self.sampling)}
            self.conversation.save(Path(rest), **more)
            self._say(f"written to {rest}.")
        else:
            what = "give a file: /save talk.json" if name == "save" else f"/{name} is no command. /help lists them"
            raise InputError(f"{what}.")

    def _set(self, words: str) -> None:
        if words:
            key = words.partition("=")[0]
            if key in LOADED_WITH:
                raise ConfigError(f"{key}: is set when the program starts. Start it again with {words}.")
            before, self.config = self.config, changed(self.config, words.split())
            self.sampling = loading.sampling(self.config, self.model, self.positions)
            if self.conversation is not None:
                self.conversation.room = self._room()
            if self.config.seed is not None and self.config.seed != before.seed:
                self.talker.seed(self.config.seed)
        self._say(
            ", ".join(f"{key}={value}" for key, value in {**vars(self.sampling), "seed": self.config.seed}.items())
        )

    def _room(self) -> int:
        return max(1, self.positions - self.sampling.max_new_tokens)

    def _say(self, text: str) -> None:
        """Say something that is not the model's: beside its answers, not among them, where others read them."""
        print(wording.shown(text), file=sys.stdout if self.person else sys.stderr, flush=True)
