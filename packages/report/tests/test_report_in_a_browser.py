"""Pages in headless Chromium, on a phone and on a desk: nothing runs out, charts are drawn, the console is clean."""

import pytest
from smallwright_report import bench_page, compare_page, inspect_page, page, run_page, study_page, sweep_page

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.slow
PICTURES = {"run": 12, "sweep": 2, "compare": 3, "study": 2, "inspect": 2, "bench": 4}
SIZES = {"phone": (390, 844), "desk": (1280, 900)}


@pytest.fixture(scope="module")
def browser(screenshots):
    path = screenshots.find_browser()
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def findings(example):
    """What ``core.inspect`` found in a corpus, with addresses and words that are wider than a phone."""
    sample = {
        "id": "x" * 300,
        "url": "https://a.example/" + "long/" * 60,
        "text": "word " * 100 + "y" * 400,
        "characters": 900,
        "score": 3.5,
        "metadata": {"language": "en", "path": "z" * 300},
    }
    fates = (("", "kept", ""), ("quality", "rejected", "too_short_" * 20))
    groups = [
        {"step": step, "outcome": outcome, "reason": reason, "documents": 50, "samples": [sample]}
        for step, outcome, reason in fates
    ]
    corpus = {
        "name": "web",
        "funnel": example["funnel"],
        "groups": groups,
        "scores": {"score": {"range": [0, 5], "kept": [0, 1, 9], "rejected": [9, 2, 0]}},
        "tables": {"domain": [["a.example" + "w" * 200, 40, 60]]},
        "clusters": [{"kept": sample, "removed": None, "size": 12, "step": "minhash"}],
        "read": 100,
        "documents": 200,
    }
    return {"corpora": [corpus]}


@pytest.fixture(scope="module")
def addresses(tmp_path_factory, example, sweeps, comparison, study, findings, bench):
    """Address of each kind of page, with all that it can have."""
    folder = tmp_path_factory.mktemp("page")
    pages = {
        "run": run_page.render(example),
        "sweep": sweep_page.render(sweeps.grid()),
        "compare": compare_page.render(comparison),
        "study": study_page.render(study),
        "inspect": inspect_page.render(findings),
        "bench": bench_page.render(bench),
    }
    return {kind: page.write(folder / f"{kind}.html", text).as_uri() for kind, text in pages.items()}


@pytest.fixture
def shown(browser, addresses):
    """Open the page; everything that is folded is opened, and every chart drawn."""
    contexts = []

    def show(size, kind="run"):
        width, height = SIZES[size]
        contexts.append(browser.new_context(viewport={"width": width, "height": height}))
        opened = contexts[-1].new_page()
        opened.said = []
        opened.on("console", lambda message: opened.said.append(message.text))
        opened.on("pageerror", lambda error: opened.said.append(str(error)))
        opened.on("requestfailed", lambda request: opened.said.append(request.url))
        opened.goto(addresses[kind])
        opened.evaluate("document.querySelectorAll('details').forEach((part) => (part.open = true))")
        opened.evaluate("drawAll()")
        return opened

    yield show
    for context in contexts:
        context.close()


CHARTS = """
[...document.querySelectorAll("figure[data-chart]")].map((figure) => {
    const marks = figure.querySelectorAll(".drawn g.role-mark path, .drawn g.role-mark line");
    return {
        title: figure.querySelector("h4").textContent,
        marks: [...marks].filter((mark) => mark.getBoundingClientRect().width > 0).length,
        labels: figure.querySelectorAll(".drawn .role-axis-label text").length,
    };
})
"""
SHAPES = """
async (figure) => {
    await figure.turn;  // the promise of its last drawing
    // Shapes alone: the ids of clips differ in each drawing.
    return [...figure.querySelectorAll(".drawn svg path")].map((path) => path.getAttribute("d")).join();
}
"""
RUNS_OUT = """
[...document.querySelectorAll("body *")]
    .filter((part) => !part.closest(".wide, pre, svg, .vg-tooltip, .skip"))
    .filter((part) => part.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map((part) => part.outerHTML.slice(0, 90))
"""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("kind", "pictures"), PICTURES.items())
def test_nothing_runs_out_every_chart_has_marks_and_the_console_is_clean(shown, kind, pictures, size, tmp_path):
    opened = shown(size, kind)
    colours = []
    for scheme in ("light", "dark"):
        opened.emulate_media(color_scheme=scheme)
        opened.evaluate("drawAll()")
        assert opened.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        assert opened.evaluate(RUNS_OUT) == []
        charts = opened.evaluate(CHARTS)
        assert len(charts) >= pictures
        assert [chart["title"] for chart in charts if not chart["marks"]] == []
        assert [chart["title"] for chart in charts if chart["labels"] < 3] == [], "axes without ticks"
        colours.append(opened.evaluate("document.querySelector('.drawn .role-axis-label text').getAttribute('fill')"))
        picture = tmp_path / f"{size}-{scheme}.png"
        opened.screenshot(path=picture, full_page=True)
        assert picture.stat().st_size > 50_000
    assert colours[0] != colours[1], "charts in the colours of the page"
    assert opened.said == []


def test_switches_work_from_the_keyboard_and_the_pointer_reads_values(shown):
    opened = shown("desk")
    figure = opened.locator("figure[data-chart]", has_text="Loss in nats per token").first

    def drawn():
        return figure.evaluate(SHAPES)

    before = drawn()
    assert before
    figure.evaluate("() => drawAll()")
    assert drawn() == before
    figure.locator("[data-log]").focus()
    opened.keyboard.press("Space")
    logarithmic = drawn()
    assert logarithmic != before
    figure.locator("[data-smooth]").focus()
    opened.keyboard.press("End")
    assert drawn() not in (before, logarithmic)
    figure.locator(".drawn svg").hover(position={"x": 200, "y": 100})
    assert "step" in opened.locator(".vg-tooltip.visible").inner_text()
    assert opened.said == []


def test_a_sweep_is_sorted_from_the_keyboard_and_another_measure_is_drawn(shown):
    opened = shown("desk", "sweep")

    def column(place):
        return opened.locator(f"table[data-sort] tbody tr > :nth-child({place})").all_inner_texts()

    opened.locator("table[data-sort] th", has_text="pretrain.validation_loss").locator("button").focus()
    losses = column(6)
    filled = sorted(filter(None, losses))
    assert losses != filled
    for order in (filled, filled[::-1]):
        opened.keyboard.press("Enter")
        assert column(6) == [*order, ""], "empty cells stay at the end"
    opened.locator("table[data-sort] th button", has_text="arch").click()
    assert column(2) == sorted(column(2))
    assert opened.locator("th[aria-sort]").all_inner_texts() == ["arch"]
    figure = opened.locator("figure[data-chart]").first
    before = figure.evaluate(SHAPES)
    opened.locator("select[data-measure]").select_option(index=1)
    assert figure.evaluate(SHAPES) != before
    assert "pretrain.task0.acc" in figure.locator(".drawn svg").inner_html()
    assert opened.said == []


def test_on_paper_the_page_is_light_and_without_controls(shown):
    opened = shown("desk")
    opened.emulate_media(media="print", color_scheme="dark")
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not opened.locator("figure .controls").first.is_visible()
