"""What an evaluation was already told, in a file that grows with each answer: whatever ends it asks for none twice."""

import json
import threading
from pathlib import Path
from typing import Any

from core import store


class Known:
    """Answers by what was asked for them; several threads may add some.

    Args:
        file: JSON lines; the last one, which a kill may have cut off, counts only where it is whole.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        written = file.read_bytes() if file.is_file() else b""
        whole = written[: written.rfind(b"\n") + 1]
        self._answers: dict[str, Any] = dict(map(json.loads, whole.splitlines()))
        if whole != written:
            with open(file, "r+b") as opened:
                opened.truncate(len(whole))

    def get(self, **asked: Any) -> Any:
        """Return the answer to what was asked; None: there is none yet."""
        return self._answers.get(store.digest(asked))

    def add(self, answer: Any, **asked: Any) -> None:
        """Keep an answer, which is whatever JSON can hold."""
        key = store.digest(asked)
        with self._lock, open(self._file, "a", encoding="utf-8") as opened:
            opened.write(json.dumps([key, answer]) + "\n")
            self._answers[key] = answer
