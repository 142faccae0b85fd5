"""``core.generate``: a model answers a file of prompts, in batches that are kept as they are done."""

import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from core import store
from core.errors import ConfigError, InputError, UserError
from core.interfaces import ModelCommand, NamedModel
from core.writing import write_json, write_text
from tqdm import tqdm

from smallwright_eval.talk import asked, loading, start, wording
from smallwright_eval.talk.asked import Asked
from smallwright_eval.talk.config import GenerateConfig
from smallwright_eval.talk.talker import Answer, Talker

VLLM_PROMPTS = 64
"""Times ``batch_size``: prompts that vLLM gets at once, for it makes batches by itself."""


class Generate(ModelCommand):
    """Answer each prompt of a file.

    Beside ``<out>.jsonl`` stand ``<out>.json``, which says how it was made, and ``<out>.rejected.jsonl`` with the
    prompts that have no answer, where there are some. What is done is in ``<out>.jsonl.begun`` until all is.
    """

    config: GenerateConfig

    def environment(self) -> dict[str, str]:
        """Return what makes the engine start fast and quiet."""
        return start.environment(self.config.engine)

    def check(self, model: NamedModel) -> None:
        """Refuse an engine that is not here, and files that cannot be read or written."""
        start.check(model, self.config.engine)
        out = Path(self.config.out)
        if not out.parent.is_dir():
            raise InputError(f"out={out}: there is no folder {out.parent}. Make it.")
        if Path(self.config.prompts).resolve() == out.resolve():
            raise ConfigError(f"out={out}: is the file of the prompts. Give another name.")
        asked.read(Path(self.config.prompts), f"prompts={self.config.prompts}")

    def run(self, model: NamedModel) -> int:
        """Answer what is not answered yet, and write the whole."""
        return _Work(self.config, model).run()


class _Work:
    def __init__(self, config: GenerateConfig, model: NamedModel) -> None:
        self.config, self.model = config, model
        self.out = Path(config.out)
        self.about = self.out.with_suffix(".json")
        self.partial = self.out.with_name(f"{self.out.name}.begun")
        self.prompts, self.rejected = asked.read(Path(config.prompts), f"prompts={config.prompts}")

    def run(self) -> int:
        identity = self._identity()
        if self._is_finished(identity):
            print(f"{self.out}: all is answered already.", file=sys.stderr)
            return 0
        done = self._done(identity)
        began = time.monotonic()
        talker = start.talker(self.model, self.config)
        sampling = loading.sampling(self.config, self.model, loading.positions(self.model))
        room = max(1, loading.positions(self.model) - sampling.max_new_tokens)
        ids = dict(self._ids(talker, room))
        # Long ones together: rows of a batch are as long as its longest.
        order = sorted(ids, key=lambda line: (len(ids[line]), line))
        size = self.config.batch_size * VLLM_PROMPTS if self.config.engine == "vllm" else self.config.batch_size
        size = max(1, size // self.config.n)
        by_line = {one.line: one for one in self.prompts}
        tokens = 0
        with (
            open(self.partial, "a", encoding="utf-8") as file,
            tqdm(total=len(order), initial=sum(line in done for line in order), unit=" prompts", disable=None) as bar,
        ):
            for place in range(0, len(order), size):
                lines = order[place : place + size]
                if all(line in done for line in lines):
                    continue
                answers = talker.answer(
                    [ids[line] for line in lines], sampling, self.config.n, (self.config.seed + place) % 2**32
                )
                for line, found in zip(lines, answers, strict=True):
                    done[line] = self._row(by_line[line], talker, len(ids[line]), found)
                    tokens += sum(len(answer.tokens) for answer in found)
                    file.write(json.dumps({"line": line, "row": done[line]}) + "\n")
                file.flush()
                bar.n = sum(line in done for line in order)
                bar.refresh()
        self._write(done, {**identity, "engine": talker.about, "sampling": dataclasses.asdict(sampling)})
        seconds = time.monotonic() - began
        aside = f", {len(self.rejected)} set aside ({self._rejects()})" if self.rejected else ""
        print(f"{self.out}: {len(done)} prompts{aside}, {tokens} new tokens in {seconds:.1f} s", file=sys.stderr)
        return 0

    def _identity(self) -> dict[str, Any]:
        """Return what the answers depend on."""
        # Weights by their name, size and time: to read them again would take longer than to answer.
        files = sorted(path for path in self.model.directory.iterdir() if path.is_file())
        stats = {path.name: [path.stat().st_size, path.stat().st_mtime_ns] for path in files}
        settings = dataclasses.asdict(self.config)
        del settings["out"], settings["prompts"]
        prompts = store.digest([dict(one.given) for one in self.prompts])
        return {"model": self.model.named, "files": store.digest(stats), "prompts": prompts, "settings": settings}

    def _is_finished(self, identity: dict[str, Any]) -> bool:
        """Whether this very file is whole already.

        Raises:
            InputError: it was made with other settings, another model or other prompts.
        """
        if not self.out.exists():
            return False
        was = self._was()
        if all(was.get(key) == value for key, value in identity.items()):
            return True
        other = "other prompts" if was.get("prompts") != identity["prompts"] else "another model"
        for key, value in identity["settings"].items():
            if isinstance(was.get("settings"), dict) and was["settings"].get(key) != value:
                other = f"{key}={was['settings'].get(key)}"
        made = f", made with {other}" if was else ""
        raise InputError(f"out={self.out}: is there already{made}. Give another name, or delete it.")

    def _was(self) -> dict[str, Any]:
        try:
            found = json.loads(self.about.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _done(self, identity: dict[str, Any]) -> dict[int, dict[str, Any]]:
        """Return what an earlier command finished, by the line of the prompt; what was made otherwise is begun anew."""
        done: dict[int, dict[str, Any]] = {}
        head = json.dumps({"identity": identity}, sort_keys=True)
        lines = self.partial.read_text(encoding="utf-8").split("\n") if self.partial.is_file() else []
        if lines[:1] == [head]:
            for line in lines[1:]:
                with contextlib.suppress(ValueError):  # the last one of a process that was killed
                    kept = json.loads(line)
                    done[kept["line"]] = kept["row"]
        elif lines:
            print(f"{self.partial}: was begun with other settings, and is begun anew.", file=sys.stderr)
        write_text(
            self.partial, "\n".join([head, *(json.dumps({"line": k, "row": row}) for k, row in done.items()), ""])
        )
        return done

    def _ids(self, talker: Talker, room: int) -> Iterator[tuple[int, list[int]]]:
        """Yield line and token ids of each prompt that the model can read; the others are set aside."""
        turns = loading.takes_turns(self.config, self.model, talker.tokenizer)
        if self.config.system and not turns:
            raise ConfigError("system: the model has learned no chat template; it completes text. Leave it out.")
        system = [{"role": "system", "content": self.config.system}] if self.config.system else []
        for one in self.prompts:
            try:
                if one.messages is not None and not turns:
                    raise InputError("messages, and the model has learned no chat template")
                if turns:
                    messages = one.messages or [*system, {"role": "user", "content": one.prompt}]
                    ids = wording.ids_of_turns(talker.tokenizer, messages)
                else:
                    ids = wording.ids_of_text(talker.tokenizer, one.prompt)
                if len(ids) > room:
                    raise InputError(f"has {len(ids)} tokens, and the model reads {room} beside its answer")
            except UserError as error:
                text = one.prompt or json.dumps(one.given.get("messages"))
                self.rejected.append({"line": one.line, "reason": str(error), "text": text[:1000]})
                continue
            yield one.line, ids

    def _row(self, one: Asked, talker: Talker, length: int, answers: Sequence[Answer]) -> dict[str, Any]:
        said = [
            {
                "text": wording.text_of(talker.tokenizer, answer.tokens),
                "tokens": len(answer.tokens),
                "ended": answer.ended,
            }
            for answer in answers
        ]
        return {**one.given, "prompt_tokens": length, "answers": said}

    def _write(self, done: dict[int, dict[str, Any]], about: dict[str, Any]) -> None:
        kept = self.out.with_suffix(".rejected.jsonl")
        if self.rejected:
            write_text(kept, "".join(json.dumps(row) + "\n" for row in self.rejected))
        else:
            kept.unlink(missing_ok=True)
        counts = {"answered": len(done), "rejected": len(self.rejected)}
        write_json(self.about, {**about, **counts})
        write_text(self.out, "".join(json.dumps(done[line]) + "\n" for line in sorted(done)))
        self.partial.unlink()

    def _rejects(self) -> str:
        first = self.rejected[0]
        return f"line {first['line']}: {first['reason']}; see {self.out.with_suffix('.rejected.jsonl')}"
