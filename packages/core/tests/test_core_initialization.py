"""What a run says about a model that starts from another: its label, and the page that its initializer made."""

import dataclasses
from types import SimpleNamespace

from core.graph import ArchitectureChoice
from core.report_html import _initialization


@dataclasses.dataclass(frozen=True, kw_only=True)
class TinyConfig:
    SIZES = {"nano": {"hidden_size": 4}}
    size: str | None = None
    hidden_size: int
    layers: int = 6
    heads: int = 2
    groups: tuple[int, ...] = ()
    shape: str = "a/b"
    vocab_size: int = 10


def label(**values):
    return ArchitectureChoice(entry=SimpleNamespace(name="tiny"), config=TinyConfig(**values)).label()


def test_label_says_what_differs_from_the_size():
    assert label(size="nano", hidden_size=4, vocab_size=99) == "tiny-nano"
    assert label(hidden_size=4, layers=2) == "tiny"
    assert label(size="nano", hidden_size=4, layers=4) == "tiny-nano-layers-4"
    assert label(size="nano", hidden_size=4, groups=(1,), shape="b/c") == "tiny-nano-groups-shape-b_c"
    assert label(size="nano", hidden_size=8, layers=4, heads=1, groups=(1,)) == (
        "tiny-nano-hidden_size-8-layers-4-heads-1-and-1-more"
    )


def test_report_links_the_pages_of_an_initializer(tmp_path):
    summary = {"stored_parameters": 1234, "layers": [0, 1], "importance": {}, "pages": {"a < b": "importance.html"}}
    report = {"init": summary, "stages": [{"name": "init", "artifact": str(tmp_path)}]}
    html = _initialization(report)
    assert f'<a href="{tmp_path.as_uri()}/importance.html">a &lt; b</a>' in html
    assert "1,234" in html
    assert "importance</td>" not in html
    assert _initialization({"stages": []}) == ""
