"""The page of a run: what comes from outside stays text, and the pages of an initializer are linked."""

from core import report_html


def test_text_of_a_report_cannot_inject_markup():
    row = {"corpus": "<script>", "step": "<script>", "in": 1, "kept": 0, "rejected": {"<b>": 1}, "failed": {}}
    page = report_html.render(
        {
            "name": "x",
            "stages": [],
            "funnel": [row],
            "eval": [],
            "posttrain": {},
            "lineage": {},
            "config": {},
            "seconds": 1,
        }
    )
    assert "<script>" not in page
    assert "<b>" not in page.split("<h2>Documents</h2>")[1]


def test_report_links_the_pages_of_an_initializer(tmp_path):
    summary = {"stored_parameters": 1234, "layers": [0, 1], "importance": {}, "pages": {"a < b": "importance.html"}}
    report = {"init": summary, "stages": [{"name": "init", "artifact": str(tmp_path)}]}
    html = report_html._initialization(report)
    assert f'<a href="{tmp_path.as_uri()}/importance.html">a &lt; b</a>' in html
    assert "1,234" in html
    assert "importance</td>" not in html
    assert report_html._initialization({"stages": []}) == ""
