"""Files that teach nothing: settings, accessors, change logs, notes on installing, web pages."""

import random

WORDS = (
    "account", "address", "archive", "backend", "batch", "billing", "branch", "broker", "bucket", "cache", "callback",
    "channel", "client", "cluster", "column", "consumer", "country", "cursor", "customer", "default", "delay",
    "device", "domain", "driver", "endpoint", "event", "export", "feature", "field", "folder", "gateway", "handler",
    "header", "import", "invoice", "job", "label", "layout", "ledger", "limit", "locale", "logger", "mailer", "margin",
    "message", "metric", "module", "network", "node", "option", "order", "page", "partner", "payload", "payment",
    "plugin", "policy", "port", "prefix", "product", "profile", "proxy", "queue", "quota", "region", "registry",
    "report", "request", "retry", "role", "route", "schema", "secret", "server", "session", "shard", "socket",
    "status", "stock", "stream", "tenant", "theme", "timeout", "token", "topic", "tracker", "upload", "user", "vendor",
    "version", "view", "volume", "voucher", "wallet", "webhook", "widget", "window", "worker", "zone",
)  # fmt: skip


def _pairs(rng: random.Random, count: int) -> list[tuple[str, str, int]]:
    """Return (first word, second word, number), all different."""
    pairs: set[tuple[str, str, int]] = set()
    while len(pairs) < count:
        pairs.add((rng.choice(WORDS), rng.choice(WORDS), rng.randrange(10_000)))
    return sorted(pairs)


def boilerplate(language: str, rng: random.Random) -> str:
    """Return settings or accessors in a language: valid, and nothing to learn from."""
    pairs = _pairs(rng, rng.randrange(12, 30))
    upper = [(f"{a}_{b}".upper(), number) for a, b, number in pairs]
    camel = [(a + b.title(), number) for a, b, number in pairs]
    title = [(a.title() + b.title(), number) for a, b, number in pairs]
    if language == "Python":
        lines = [f"{name} = {number}" for name, number in upper]
    elif language == "JavaScript":
        lines = ["module.exports = {", *(f"  {name}: '{number}'," for name, number in camel), "};"]
    elif language == "TypeScript":
        lines = ["export enum Keys {", *(f"  {name} = 'k{number}'," for name, number in title), "}"]
    elif language == "Java":
        lines = [f"package com.{pairs[0][0]}.{pairs[0][1]};", "", f"public interface {title[0][0]}Keys {{"]
        lines += [*(f'    String {name} = "k{number}";' for name, number in upper), "}"]
    elif language == "C":
        guard = upper[0][0] + "_H"
        lines = [f"#ifndef {guard}", f"#define {guard}", *(f"#define {name} {number}" for name, number in upper)]
        lines.append("#endif")
    elif language == "C++":
        lines = ["#pragma once", "namespace keys {", *(f"constexpr int {name} = {number};" for name, number in camel)]
        lines.append("}")
    elif language == "Go":
        lines = ["package config", "", "const (", *(f"\t{name} = {number}" for name, number in title), ")"]
    else:
        lines = [f"pub const {name}: u32 = {number};" for name, number in upper]
    return "\n".join(lines) + "\n"


def changelog(rng: random.Random) -> str:
    """Return the change log of some project."""
    lines = ["# Changelog", ""]
    for version in range(rng.randrange(4, 9), 0, -1):
        lines += [f"## {version}.{rng.randrange(10)}.{rng.randrange(10)}", ""]
        for a, b, number in _pairs(rng, 4):
            lines.append(f"- {rng.choice(('fix', 'bump', 'rename', 'drop', 'revert'))} {a} {b} (#{number})")
        lines.append("")
    return "\n".join(lines)


def install_notes(rng: random.Random) -> str:
    """Return a short page on installing some tool."""
    a, b, number = _pairs(rng, 1)[0]
    flags = "\n".join(f"    --{x}-{y}  {n}" for x, y, n in _pairs(rng, 6))
    return (
        f"# {a}-{b}\n\nA {rng.choice(WORDS)} {rng.choice(WORDS)} for the {rng.choice(WORDS)} {rng.choice(WORDS)}.\n\n"
        f"## Installation\n\n    pip install {a}-{b}=={number % 9}.{number % 7}\n\n## Usage\n\n"
        f"    {a}-{b} --{rng.choice(WORDS)} {rng.choice(WORDS)}.yaml\n\n## Options\n\n{flags}\n"
    )


def html_page(rng: random.Random) -> str:
    """Return a web page that is mostly menu."""
    links = "\n".join(f'    <li><a href="/{a}/{b}/{n}">{a.title()} {b}</a></li>' for a, b, n in _pairs(rng, 12))
    return f'<!DOCTYPE html>\n<html>\n<body>\n  <ul class="menu">\n{links}\n  </ul>\n</body>\n</html>\n'
