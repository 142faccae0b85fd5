"""A topic as source code in each language: explained line by line, or bare."""

import ast
import dataclasses
import random
from collections.abc import Mapping
from typing import Any

from smallwright_stack_edu.demo.topics import Topic


@dataclasses.dataclass(frozen=True, kw_only=True)
class Syntax:
    """How a language writes what the topics need."""

    name: str
    ending: str
    comment: str
    function: str
    """Header, with ``{name}`` and ``{parameters}``."""
    parameter: str
    declare: str
    assign: str
    loop: str
    branch: str
    close: str | None
    """Line that ends a block; None: its indentation does."""
    show: str
    """Prints ``{label}`` and the value of ``{call}``."""
    before: tuple[str, ...] = ()
    main: tuple[str, ...] = ()
    """Lines before the printing statements."""
    after: tuple[str, ...] = ()
    depth: int = 0
    """Indentation of functions."""
    words: Mapping[str, str] = dataclasses.field(default_factory=lambda: {"and": "&&", "or": "||"})
    division: str = "{left} / {right}"
    returned: str = "return {value};"


_C_BLOCKS: dict[str, Any] = {
    "loop": "while ({test}) {{",
    "branch": "if ({test}) {{",
    "close": "}",
    "assign": "{name} = {value};",
}

SYNTAXES = (
    Syntax(
        name="Python", ending="py", comment="#", function="def {name}({parameters}):", parameter="{name}",
        declare="{name} = {value}", assign="{name} = {value}", loop="while {test}:", branch="if {test}:", close=None,
        show='print("{label} =", {call})', main=('if __name__ == "__main__":',),
        words={"and": "and", "or": "or"}, division="{left} // {right}", returned="return {value}",
    ),
    Syntax(
        name="JavaScript", ending="js", comment="//", function="function {name}({parameters}) {{", parameter="{name}",
        declare="let {name} = {value};", show='console.log("{label} =", {call});', main=("function main() {",),
        after=("}", "", "main();"), division="Math.floor({left} / {right})", **_C_BLOCKS,
    ),
    Syntax(
        name="TypeScript", ending="ts", comment="//", function="export function {name}({parameters}): number {{",
        parameter="{name}: number", declare="let {name}: number = {value};",
        show="console.log(`{label} = ${{{call}}}`);",
        main=("function demonstrate(): void {",), after=("}", "", "demonstrate();"),
        division="Math.trunc({left} / {right})", **_C_BLOCKS,
    ),
    Syntax(
        name="Java", ending="java", comment="//", function="static long {name}({parameters}) {{",
        parameter="long {name}", declare="long {name} = {value};", show='System.out.println("{label} = " + {call});',
        before=("public final class Lesson {",), main=("public static void main(String[] arguments) {",),
        after=("    }", "}"), depth=1, **_C_BLOCKS,
    ),
    Syntax(
        name="C", ending="c", comment="//", function="long {name}({parameters}) {{", parameter="long {name}",
        declare="long {name} = {value};", show='printf("{label} = %ld\\n", {call});', before=("#include <stdio.h>", ""),
        main=("int main(void) {",), after=("    return 0;", "}"), **_C_BLOCKS,
    ),
    Syntax(
        name="C++", ending="cpp", comment="//", function="auto {name}({parameters}) -> long long {{",
        parameter="long long {name}", declare="long long {name} = {value};",
        show='std::cout << "{label} = " << {call} << std::endl;', before=("#include <iostream>", ""),
        main=("int main() {",), after=("}",), **_C_BLOCKS,
    ),
    Syntax(
        name="Go", ending="go", comment="//", function="func {name}({parameters}) int {{", parameter="{name} int",
        declare="{name} := {value}", assign="{name} = {value}", loop="for {test} {{", branch="if {test} {{", close="}",
        show='fmt.Println("{label} =", {call})', before=("package main", "", 'import "fmt"', ""),
        main=("func main() {",), after=("}",), returned="return {value}",
    ),
    Syntax(
        name="Rust", ending="rs", comment="//", function="fn {name}({parameters}) -> i64 {{", parameter="{name}: i64",
        declare="let mut {name}: i64 = {value};", assign="{name} = {value};", loop="while {test} {{",
        branch="if {test} {{", close="}", show='println!("{label} = {{}}", {call});', main=("fn main() {",),
        after=("}",),
    ),
)  # fmt: skip

OPERATORS: dict[type, str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Mod: "%", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip


def function_lines(
    topic: Topic, syntax: Syntax, names: Mapping[str, str], rng: random.Random | None, **words: str
) -> list[str]:
    """Return the lines of a topic's function.

    Args:
        names: What each variable, parameter and the function are called.
        rng: Chooses where comments stand; None: no comments.
        words: ``who`` and ``things`` of the comments.
    """
    parameters = ", ".join(syntax.parameter.format(name=names[name]) for name in topic.parameters)
    lines = [syntax.function.format(name=names[topic.name], parameters=parameters)]
    declared: set[tuple[str, ...]] = set()
    depth = 0
    before = rng is not None and rng.random() < 0.6  # comments above their lines, or behind them
    for level, statement, comment in topic.lines:
        while depth > level:
            depth -= 1
            if syntax.close is not None:
                lines.append("    " * (depth + 1) + syntax.close)
        text = _statement(statement, syntax, names, declared)
        depth = level + (1 if statement.endswith(":") else 0)
        said = comment.format(**names, **words) if rng is not None else ""
        indent = "    " * (level + 1)
        if said and before:
            lines += [f"{indent}{syntax.comment} {_sentence(said, names)}", indent + text]
        else:
            lines.append(indent + text + (f"  {syntax.comment} {said}" if said else ""))
    while depth > 0:
        depth -= 1
        if syntax.close is not None:
            lines.append("    " * (depth + 1) + syntax.close)
    if syntax.close is not None:
        lines.append(syntax.close)
    return ["    " * syntax.depth + line for line in lines]


def example_lines(topics: list[tuple[Topic, Mapping[str, str]]], syntax: Syntax) -> list[str]:
    """Return a main program that prints what the functions give."""
    lines = ["    " * syntax.depth + line for line in syntax.main]
    for topic, names in topics:
        for arguments, _ in topic.examples:
            given = ", ".join(map(str, arguments))
            call = f"{names[topic.name]}({given})"
            lines.append("    " * (syntax.depth + 1) + syntax.show.format(label=call, call=call))
    return [*lines, *syntax.after]


def _statement(statement: str, syntax: Syntax, names: Mapping[str, str], declared: set) -> str:
    if statement.startswith(("while ", "if ")):
        word, _, test = statement.removesuffix(":").partition(" ")
        form = syntax.loop if word == "while" else syntax.branch
        return form.format(test=expression(test, syntax, names))
    if statement.startswith("return "):
        return syntax.returned.format(value=expression(statement.removeprefix("return "), syntax, names))
    name, _, value = statement.partition(" = ")
    form = syntax.assign if name in declared else syntax.declare
    declared.add(name)
    return form.format(name=names[name], value=expression(value, syntax, names))


def _sentence(said: str, names: Mapping[str, str]) -> str:
    """Return a comment that stands on its own line; a variable at its start keeps its name."""
    first = said.split()[0]
    return (said if first in names.values() else said[0].upper() + said[1:]) + "."


def expression(text: str, syntax: Syntax, names: Mapping[str, str]) -> str:
    """Return an expression in the language."""
    return _node(ast.parse(text, mode="eval").body, syntax, names)


def _node(node: ast.expr, syntax: Syntax, names: Mapping[str, str]) -> str:
    def inner(child: ast.expr) -> str:
        written = _node(child, syntax, names)
        product = isinstance(node, ast.BinOp) and not isinstance(node.op, (ast.Add, ast.Sub))
        return f"({written})" if product and isinstance(child, ast.BinOp) else written

    if isinstance(node, ast.Name):
        return names[node.id]
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.FloorDiv):
        return syntax.division.format(left=inner(node.left), right=inner(node.right))
    if isinstance(node, ast.BinOp):
        return f"{inner(node.left)} {OPERATORS[type(node.op)]} {inner(node.right)}"
    if isinstance(node, ast.Compare):
        return f"{inner(node.left)} {OPERATORS[type(node.ops[0])]} {inner(node.comparators[0])}"
    assert isinstance(node, ast.BoolOp)
    word = syntax.words["and" if isinstance(node.op, ast.And) else "or"]
    return f" {word} ".join(_node(value, syntax, names) for value in node.values)
