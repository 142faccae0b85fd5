# ruff: noqa: E501 (sentences and mark-up are easier to read in one piece)
"""Pages of the made-up crawl that try single rules: opt-outs, several captures, mark-up, personal data, brackets.

They are drawn after all others and stand at the ends of the files, so that the rest of the crawl does not depend on
them.
"""

import random

from smallwright_demo_crawl.explainers import SITES, explainer
from smallwright_demo_crawl.lessons import lesson
from smallwright_demo_crawl.pages import Page
from smallwright_demo_crawl.render import FORMULAS, page
from smallwright_demo_crawl.words import NAMES, THINGS

COUNTS = {
    "opt_out": 5,
    "older_capture": 3,
    "larger_capture": 1,
    "markup": 2,
    "pii": 2,
    "curly_bracket": 2,
    "explainer": 90,
}
"""Pages of each kind at scale 1; never less than one."""
OPT_OUTS = (
    (["noai", "noimageai"], ("X-Robots-Tag", "noai, noimageai"), ""),
    (["noai"], None, '<meta name="robots" content="index, NoAI">'),
    (["gptbot:noindex"], None, "<meta content='noindex,nofollow' name='GPTBot'>"),
    (["tdm-reservation"], ("TDM-Reservation", "1"), ""),
    (["noarchive", "tdm-reservation"], ("X-Robots-Tag", "noarchive"), '<meta name="tdm-reservation" content="1">'),
)
"""Opt-out signals, the HTTP header that gives them, and the mark-up in the page's head that does."""
DAYS_EARLIER = 30
MARKUP = """<h2>The same sum in four notations</h2>
<p>A half and a quarter are <math><mfrac><mn>1</mn><mn>2</mn></mfrac><mo>+</mo><mfrac><mn>1</mn><mn>4</mn></mfrac></math> of the whole, in the words of {name}.</p>
<p>Typeset by KaTeX it is <span class="katex"><span class="katex-mathml"><math><semantics><mrow><mi>s</mi></mrow><annotation encoding="application/x-tex">s=\\frac{{{a}}}{{{b}}}</annotation></semantics></math></span><span class="katex-html" aria-hidden="true">s=a/b</span></span> with the numbers of this page.</p>
<p>As an image it is <img class="latex" src="/f/17.png" alt="x^2+{a}x+{b}"> on older pages, kept by its alternative text.</p>
<p>A short program adds up the {things} one by one and prints what it has found at the end:</p>
<pre><code>total = 0
for step in range({a}):
    total = total + step * {b}
print(total)</code></pre>
<p>The table lists what the program prints for the first numbers of {things} that anybody would try:</p>
<table><tr><th>{things}</th><th>total</th></tr><tr><td>{a}</td><td>{total}</td></tr><tr><td>1</td><td>0</td></tr></table>"""


def make_extras(seed: int, scale: float, pages: list[Page]) -> list[Page]:
    """Return further pages; those that are captures of the same URL refer to lessons among ``pages``."""
    rng = random.Random(f"demo crawl extras {seed}")
    lessons = [made for made in pages if made.kind == "lesson"]
    makers = {
        "explainer": _explainer,
        "opt_out": _opt_out,
        "markup": _markup,
        "pii": _pii,
        "curly_bracket": _curly_bracket,
    }
    extras: list[Page] = []
    for kind, count in COUNTS.items():
        for number in range(max(1, round(count * scale))):
            if kind in makers:
                extras.append(makers[kind](number, rng))
            else:
                extras.append(_capture(kind, lessons[number % len(lessons)], rng))
    rng.shuffle(extras)
    return extras


def _explainer(number: int, rng: random.Random) -> Page:
    title, blocks = explainer(rng)
    host = f"www.{SITES[number % len(SITES)]}.example"
    made = Page("explainer", f"https://{host}/lessons/{number}.html", b"", "other_subject", title=title, blocks=blocks)
    made.body = _render(made, rng).encode()
    return made


def _lesson(kind: str, number: int, rng: random.Random) -> Page:
    made = Page(kind, f"https://www.examples.example/{kind.replace('_', '-')}/{number}.html", b"", "keep")
    made.title, made.blocks, made.math = lesson(rng)
    return made


def _render(made: Page, rng: random.Random) -> str:
    return page(made.title, made.blocks, rng, style=rng.choice(sorted(FORMULAS)))


def _opt_out(number: int, rng: random.Random) -> Page:
    made = _lesson("opt_out", number, rng)
    signals, header, meta = OPT_OUTS[number % len(OPT_OUTS)]
    made.body = _render(made, rng).replace("<head>", f"<head>{meta}", 1).encode()
    made.headers = (header,) if header else ()
    made.truth = {"opt_out": signals}
    return made


def _markup(number: int, rng: random.Random) -> Page:
    made = _lesson("markup", number, rng)
    a, b = rng.randint(3, 9), rng.randint(11, 19)
    total = b * a * (a - 1) // 2
    added = MARKUP.format(a=a, b=b, total=total, name=rng.choice(NAMES), things=rng.choice(THINGS))
    made.body = _render(made, rng).replace("<h2>", f"{added}\n<h2>", 1).encode()
    made.truth = {
        "contains": [
            "\\frac{1}{2}+\\frac{1}{4}",
            f"s=\\frac{{{a}}}{{{b}}}",
            f"x^2+{a}x+{b}",
            f"    total = total + step * {b}",
            str(total),
        ]
    }
    return made


def _pii(number: int, rng: random.Random) -> Page:
    made = _lesson("pii", number, rng)
    email = f"{rng.choice(NAMES).lower()}.{number}@numberpath.org"
    address = f"81.{rng.randint(1, 254)}.104.{rng.randint(1, 254)}"
    made.blocks.insert(
        2, ("p", f"Questions go to {email}, and the server at {address} keeps the solutions of last week.")
    )
    made.body = _render(made, rng).encode()
    made.truth = {"pii": [email, address]}
    return made


def _curly_bracket(number: int, rng: random.Random) -> Page:
    made = _lesson("curly_bracket", number, rng)
    made.blocks.insert(2, ("p", "The divisors of six form the set {1, 2, 3, 6}, and those of ten form {1, 2, 5, 10}."))
    made.body = _render(made, rng).encode()
    return made


def _capture(kind: str, source: Page, rng: random.Random) -> Page:
    """Return an earlier capture of a lesson: with half of its text, or with a second lesson that was removed later."""
    made = Page(kind, source.url, b"", "capture", source.math, source, days_earlier=DAYS_EARLIER)
    made.title = source.title
    if kind == "older_capture":
        made.blocks = source.blocks[: len(source.blocks) // 2]
    else:
        _, other, _ = lesson(rng)
        made.blocks = [*source.blocks, *other]
    made.body = _render(made, rng).encode()
    return made
