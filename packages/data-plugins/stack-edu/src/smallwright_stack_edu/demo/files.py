"""The demonstration files: lessons, practical code, boilerplate and what has no place in a corpus."""

import base64
import dataclasses
import json
import random
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from smallwright_stack_edu.demo.plain import boilerplate, changelog, html_page, install_notes
from smallwright_stack_edu.demo.render import SYNTAXES, Syntax, example_lines, function_lines
from smallwright_stack_edu.demo.topics import PEOPLE, THINGS, TOPICS, Topic

SYNONYMS: dict[str, tuple[str, ...]] = {
    "total": ("total", "sum_so_far", "collected"), "rest": ("rest", "remaining", "leftover"),
    "value": ("value", "current_value", "here"), "digit": ("digit", "last_digit", "figure"),
    "steps": ("steps", "tally", "moves"), "number": ("number", "given", "input_number"),
    "product": ("product", "arrangements", "orders"), "factor": ("factor", "multiplier", "next_factor"),
    "result": ("result", "answer", "outcome"), "row": ("row", "line", "row_number"), "low": ("low", "lower", "fits"),
    "high": ("high", "upper", "too_much"), "middle": ("middle", "halfway", "guess"),
    "count": ("count", "how_many", "amount_given"), "needed": ("needed", "bill", "required"),
    "amount": ("amount", "population", "stock"), "found": ("found", "hits", "successes"),
}  # fmt: skip
SHORT = (
    "acc", "amt", "arg", "aux", "base", "buf", "cnt", "cur", "data", "div", "elem", "flag", "idx", "item", "iter",
    "key", "last", "left", "len", "lim", "max", "min", "mod", "next", "num", "pos", "prev", "ptr", "quot", "ref", "rem",
    "res", "ret", "size", "step", "sum", "temp", "tmp", "val", "width",
)  # fmt: skip
OPENINGS = (
    "Lesson: {title}.", "Learning by example: {title}.", "Exercise sheet on {title}.", "A short course on {title}.",
    "Step by step: {title}.", "Tutorial: {title} explained.",
)  # fmt: skip
GOALS = (
    "After reading this file you can explain how {function} works and why its loop comes to an end.",
    "You will learn how to turn a question about {things} into variables, a loop and a result.",
    "We follow {who} through each step, so that you could write {function} yourself afterwards.",
    "The aim of this example is to understand every line of {function} before you run it.",
    "Read the comments first, then cover them and explain the code of {function} to a friend.",
)
EXERCISES = (
    "Exercise: work out {call} with pencil and paper, then run the program and compare.",
    "Try it yourself: what does {function} return for an argument that is not among the examples?",
    "Question: which line of {function} would you change to solve the problem of {who} for other {things}?",
    "Practice: write down all variables after each round of {call}, one line for each round.",
    "For further study: how many rounds does {call} need, and how does this grow with the argument?",
)


@dataclasses.dataclass(kw_only=True)
class CodeFile:
    """One row, with the truth about it."""

    kind: str
    expected: str
    """``keep``, or what takes it out: a step's reason, ``below the threshold``, ``exact duplicate`` ..."""
    language: str
    path: str
    content: str
    row: dict[str, Any] = dataclasses.field(default_factory=dict)
    """What differs from an ordinary row."""
    broken: bytes | None = None
    """The line as it is written, for one that is no row."""
    original: "CodeFile | None" = None
    place: str = ""
    """Id of its document."""
    order: tuple[int, int] = (0, 0)
    """Number of its file, and its row there."""


def make_files(seed: int, scale: float, items: Sequence[str]) -> list[CodeFile]:
    """Return all files in a fixed, mixed order.

    Args:
        items: Texts of evaluation items to copy into some files.
    """
    rng = random.Random(f"demo code {seed}")
    topics = TOPICS[: max(2, round(len(TOPICS) * scale))]
    files: list[CodeFile] = []
    for syntax in SYNTAXES:
        files += _of_language(syntax, topics, rng)
    files += _markdown(topics, rng)
    lessons = [file for file in files if file.kind == "lesson"]
    files += _copies(lessons, rng)
    files += _unwanted(lessons, rng)
    files += [_contaminated(topics[number % len(topics)], item, number, rng) for number, item in enumerate(items)]
    files += _broken()
    rng.shuffle(files)
    return files


def _names(topic: Topic, rng: random.Random, choose: Callable[[str], str] | None = None) -> dict[str, str]:
    """Return what the variables and the function are called in one file, all different."""
    known = [topic.name, *topic.parameters]
    known += [statement.partition(" = ")[0] for _, statement, _ in topic.lines if " = " in statement]
    names: dict[str, str] = {}
    for name in dict.fromkeys(known):
        new = choose(name) if choose else rng.choice(SYNONYMS.get(name, (name,)))
        while new in names.values():
            new = choose(name) if choose else new + "_too"
        names[name] = new
    return names


def _camel(names: Mapping[str, str], syntax: Syntax) -> dict[str, str]:
    if syntax.name in ("Python", "Rust", "C"):
        return dict(names)
    return {
        key: head + "".join(map(str.title, tail)) for key, name in names.items() for head, *tail in [name.split("_")]
    }


def lesson(topic: Topic, syntax: Syntax, rng: random.Random) -> str:
    """Return a file that teaches a topic: what and why, each line explained, worked examples, an exercise."""
    names = _camel(_names(topic, rng), syntax)
    words = {"who": rng.choice(PEOPLE), "things": rng.choice(THINGS)}
    call = f"{names[topic.name]}({', '.join(map(str, topic.examples[0][0]))})"
    filled = {**words, "title": topic.title, "function": names[topic.name], "call": call}
    opening = [rng.choice(OPENINGS).format(**filled), "", topic.idea.format(**names, **words), ""]
    opening += [sentence.format(**filled) for sentence in rng.sample(GOALS, 2)]
    lines = [*_commented(opening, syntax.comment), "", *syntax.before]
    lines += function_lines(topic, syntax, names, rng, **words)
    lines += ["", *example_lines([(topic, names)], syntax), ""]
    lines += _commented([sentence.format(**filled) for sentence in rng.sample(EXERCISES, 2)], syntax.comment)
    return "\n".join(lines) + "\n"


def _commented(paragraphs: Sequence[str], mark: str) -> list[str]:
    wrapped = [line for text in paragraphs for line in (textwrap.wrap(text, 88) or [""])]
    return [f"{mark} {line}".rstrip() for line in wrapped]


def practical(topics: Sequence[Topic], syntax: Syntax, rng: random.Random) -> str:
    """Return working functions without a word of explanation."""
    used: set[str] = set()

    def short(name: str) -> str:
        return rng.choice(SHORT) if name not in {topic.name for topic in topics} else f"calc{rng.randrange(100, 999)}"

    lines = list(syntax.before)
    for topic in topics:
        names = _names(topic, rng, short)
        used |= set(names.values())
        lines += [*function_lines(topic, syntax, names, None), ""]
    return "\n".join([*lines, *(["}"] if syntax.name == "Java" else [])]) + "\n"


def _of_language(syntax: Syntax, topics: Sequence[Topic], rng: random.Random) -> list[CodeFile]:
    def path(kind: str, number: int) -> str:
        return f"{rng.choice(('src', 'lib', 'app', 'code'))}/{kind}_{number}.{syntax.ending}"

    files = [
        CodeFile(kind="lesson", expected="keep", language=syntax.name, path=path("lesson", number),
                 content=lesson(topic, syntax, rng))
        for number, topic in enumerate(topics)
    ]  # fmt: skip
    # Stack-Edu's threshold for Java is 2, so that its practical code stays (SmolLM2, App. D).
    expected = "keep" if syntax.name == "Java" else "below the threshold"
    for number in range(len(topics)):
        chosen = [topics[number], topics[(number + 1 + number % 5) % len(topics)]]
        content = practical(chosen, syntax, rng)
        files.append(CodeFile(kind="practical", expected=expected, language=syntax.name,
                              path=path("util", number), content=content))  # fmt: skip
    for number in range(len(topics)):
        files.append(CodeFile(kind="boilerplate", expected="below the threshold", language=syntax.name,
                              path=path("config", number), content=boilerplate(syntax.name, rng)))  # fmt: skip
    for number in range(2):
        words = " ".join(practical(rng.sample(list(topics), 2), syntax, rng).split())
        files.append(CodeFile(kind="minified", expected="long lines", language=syntax.name,
                              path=path("bundle", number), content=(words + " ") * 3 + "\n"))  # fmt: skip
    content = f"{syntax.comment} This file was automatically generated by a tool. Do not edit.\n"
    files.append(CodeFile(kind="generated", expected="generated", language=syntax.name, path=path("gen", 0),
                          content=content + boilerplate(syntax.name, rng)))  # fmt: skip
    data = "\n".join(textwrap.wrap(base64.b64encode(rng.randbytes(1500)).decode(), 76))
    files.append(CodeFile(kind="data", expected="encoded data", language=syntax.name, path=path("data", 0),
                          content=f"{syntax.comment} icon\n{syntax.comment} {data}\n"))  # fmt: skip
    return files


def _markdown(topics: Sequence[Topic], rng: random.Random) -> list[CodeFile]:
    python = SYNTAXES[0]
    files = []
    for number, topic in enumerate(topics):
        names = _names(topic, rng)
        words = {"who": rng.choice(PEOPLE), "things": rng.choice(THINGS)}
        filled = {**words, "title": topic.title, "function": names[topic.name]}
        filled["call"] = f"{names[topic.name]}({', '.join(map(str, topic.examples[0][0]))})"
        steps = [comment.format(**names, **words) for _, _, comment in topic.lines]
        text = [f"# {rng.choice(OPENINGS).format(**filled).rstrip('.')}", "", topic.idea.format(**names, **words), ""]
        text += [rng.choice(GOALS).format(**filled), "", "## How it works, step by step", ""]
        text += [f"{place}. {step[0].upper()}{step[1:]}." for place, step in enumerate(steps, 1)]
        code = function_lines(topic, python, names, random.Random(rng.random()), **words)
        text += ["", "## The code", "", "```python", *code, "```", "", "## Examples", ""]
        for arguments, value in topic.examples:
            text.append(f"- `{names[topic.name]}({', '.join(map(str, arguments))})` returns {value}")
        text += ["", "## Exercises", "", *(f"- {line.format(**filled)}" for line in rng.sample(EXERCISES, 3))]
        files += [
            CodeFile(kind="lesson", expected="keep", language="Markdown", path=f"docs/lesson_{number}.md",
                     content="\n".join(text) + "\n"),
            CodeFile(kind="practical", expected="below the threshold", language="Markdown",
                     path=f"docs/install_{number}.md", content=install_notes(rng)),
            CodeFile(kind="boilerplate", expected="below the threshold", language="Markdown",
                     path=f"CHANGELOG_{number}.md", content=changelog(rng)),
        ]  # fmt: skip
    return files


def _copies(lessons: Sequence[CodeFile], rng: random.Random) -> list[CodeFile]:
    files = []
    for number, original in enumerate(rng.sample(list(lessons), max(2, len(lessons) // 12))):
        exact = number % 2 == 0
        content = original.content.replace("\n", "\r\n")
        if not exact:
            content = original.content + f"{'<!-- ' if original.language == 'Markdown' else '# '}mirrored, no changes\n"
        kind, expected = ("copy", "exact duplicate") if exact else ("near copy", "near duplicate")
        files.append(CodeFile(kind=kind, expected=expected, language=original.language, content=content,
                              path=f"mirror/{original.path}", original=original))  # fmt: skip
    return files


def _unwanted(lessons: Sequence[CodeFile], rng: random.Random) -> list[CodeFile]:
    """Files that the first filters take out, whatever they teach."""
    files = []
    for number in range(12):
        page = CodeFile(kind="html", expected="language not wanted", language="HTML", path=f"site/page_{number}.html",
                        content=html_page(rng))  # fmt: skip
        files.append(page)
    for number in range(4):
        files.append(CodeFile(kind="unknown", expected="language not known", language="", path=f"notes/file_{number}",
                              content=boilerplate("Python", rng), row={"language": None}))  # fmt: skip
    topics = rng.sample(TOPICS, 3)
    for number, (topic, syntax) in enumerate(zip(topics * 4, SYNTAXES + SYNTAXES[:4], strict=True)):
        row: dict[str, Any] = {"license_type": "non_permissive", "detected_licenses": ["GPL-3.0-only"]}
        if number % 3 == 1:
            row = {"license_type": None, "detected_licenses": ["MIT", "GPL-2.0-or-later"]}
        expected = "licence not allowed"
        if number % 3 == 2:
            row, expected = {"license_type": None, "detected_licenses": None}, "no licence known"
        files.append(CodeFile(kind="licence", expected=expected, language=syntax.name,
                              path=f"third_party/lesson_{number}.{syntax.ending}",
                              content=lesson(topic, syntax, rng), row=row))  # fmt: skip
    return files


def _contaminated(topic: Topic, item: str, number: int, rng: random.Random) -> CodeFile:
    syntax = SYNTAXES[number % len(SYNTAXES)]
    content = lesson(topic, syntax, rng) + f"\n{syntax.comment} From a test: {item}\n"
    return CodeFile(kind="contaminated", expected="contaminated", language=syntax.name, content=content,
                    path=f"tests/lesson_{number}.{syntax.ending}")  # fmt: skip


def _broken() -> list[CodeFile]:
    lines = {
        b'{"content": "def cut(): pass", "path": "a.py", "langu': "invalid JSON",
        b'["content", "path"]': "not an object",
        b'{"content": "caf\xe9", "path": "b.py"}': "not UTF-8",
        json.dumps({"path": "c.py", "license_type": "permissive"}).encode(): "no blob id",
    }
    return [
        CodeFile(kind="broken", expected=reason, language="", path="", content="", broken=line)
        for line, reason in lines.items()
    ]
