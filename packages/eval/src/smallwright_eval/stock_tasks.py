"""Which files of lm-eval define a task, a group or a tag, found without lm-eval's own index of thousands of tasks.

All its YAML is searched once by patterns, and what was found is kept in the user's cache until lm-eval changes. lm-eval
parses the same files, with what they include, at every start: some twenty seconds.
"""

import dataclasses
import functools
import importlib.metadata
import importlib.util
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from core.errors import MissingPluginError
from core.writing import write_json

_KEY = rb"^[\"']?(task|group|tag|class|include|unsafe_code)[\"']?[ \t]*:[ \t]*(.*)$"
_ITEM = rb"^[ \t]*-[ \t]+(?:[\"']?(?:task|group)[\"']?[ \t]*:[ \t]*)?[\"']?([\w][\w.+:/()-]*)[\"']?[ \t]*(?:#.*)?$"
_NAME = re.compile(rb"[\w.][\w.+:/()-]*")
_LINE = re.compile(_KEY + b"|" + _ITEM + rb"|^(\w|[\"'])", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Index:
    """What lm-eval's files define; paths are relative to its folder of tasks."""

    tasks: Mapping[str, str]
    groups: Mapping[str, tuple[str, tuple[str, ...]]]
    """The file of each group, and its members."""
    tags: Mapping[str, tuple[str, ...]]
    """The tasks that have each tag."""
    unsafe: frozenset[str]
    """Tasks that run code which the model writes."""

    def __contains__(self, name: object) -> bool:
        return name in self.tasks or name in self.groups or name in self.tags

    def names(self) -> list[str]:
        """Return all names of tasks, groups and tags."""
        return sorted({*self.tasks, *self.groups, *self.tags})

    def files(self, names: Iterable[str]) -> dict[str, Path]:
        """Return the YAML of tasks and groups, of all their members too, by name."""
        found: dict[str, Path] = {}
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            if name in self.groups:
                path, members = self.groups[name]
                found[name] = folder() / path
                waiting += members
            elif name in self.tasks:
                found[name] = folder() / self.tasks[name]
            else:
                waiting += self.tags.get(name, ())
        return found

    def leaves(self, name: str) -> list[str]:
        """Return the tasks that a name stands for."""
        return [found for found in self.files([name]) if found not in self.groups]


def folder() -> Path:
    """Return lm-eval's folder of tasks, without importing it: that takes seconds.

    Raises:
        MissingPluginError: it is not installed.
    """
    spec = importlib.util.find_spec("lm_eval")
    if spec is None or not spec.submodule_search_locations:
        raise MissingPluginError("eval: lm_eval is not installed. Install: pip install 'lm_eval>=0.4.13,<0.5'")
    return Path(next(iter(spec.submodule_search_locations))) / "tasks"


@functools.cache
def index() -> Index:
    """Return what lm-eval's files define: as kept from an earlier search, or searched now."""
    root = folder()
    stamp = f"{importlib.metadata.version('lm_eval')}-{root.stat().st_mtime_ns}-1"
    kept = Path.home() / ".cache" / "smallwright" / f"lm_eval_tasks_{stamp}.json"
    try:
        return _index(json.loads(kept.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        pass
    found = search(root)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_json(kept, found)
    except OSError:
        pass  # a home that cannot be written: searched again next time
    return _index(found)


def _index(found: Mapping[str, Any]) -> Index:
    return Index(
        tasks=found["tasks"],
        groups={name: (path, tuple(members)) for name, (path, members) in found["groups"].items()},
        tags={name: tuple(tasks) for name, tasks in found["tags"].items()},
        unsafe=frozenset(found["unsafe"]),
    )


def search(root: Path) -> dict[str, Any]:
    """Search all YAML below a folder; see :class:`Index`."""
    read = {str(path.relative_to(root)): _read(path.read_bytes()) for path in sorted(root.rglob("*.yaml"))}
    tasks: dict[str, str] = {}
    groups: dict[str, tuple[str, list[str]]] = {}
    tags: dict[str, list[str]] = {}
    unsafe: list[str] = []
    for path, said in read.items():
        (name,) = said["task"] if len(said["task"]) == 1 else [None]
        if said["group"] and not said["class"]:
            groups.setdefault(said["group"][0], (path, said["task"]))
        elif name is not None:
            tasks.setdefault(name, path)
            for tag in _inherited(read, root, path, "tag"):
                tags.setdefault(tag, []).append(name)
            if "true" in _inherited(read, root, path, "unsafe_code"):
                unsafe.append(name)
    return {"tasks": tasks, "groups": groups, "tags": tags, "unsafe": unsafe}


def _read(text: bytes) -> dict[str, list[str]]:
    """Return the values of the keys that say what a file defines; lists of names among them."""
    said: dict[str, list[str]] = {key: [] for key in ("task", "group", "tag", "class", "include", "unsafe_code")}
    key = None
    for match in _LINE.finditer(text):
        if match[1]:
            key = match[1].decode()
            said[key] += [name.decode() for name in _NAME.findall(match[2].partition(b" #")[0])]
        elif match[3] and key:
            said[key].append(match[3].decode())
        elif match[4]:
            key = None
    return said


def _inherited(read: Mapping[str, Mapping[str, list[str]]], root: Path, path: str, key: str) -> list[str]:
    """Return a file's own values of a key, or those of the file that it includes."""
    for _ in range(9):
        said = read.get(path)
        if said is None:
            other = root / path
            said = _read(other.read_bytes()) if other.is_file() else {}
        if said.get(key) or not said.get("include"):
            return said.get(key, [])
        path = str(Path(path).parent / said["include"][0])
    return []
