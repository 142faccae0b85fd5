"""Lines of code and of cells, wherever mark-up divides them. Milliseconds."""

import pytest
from resiliparse.parse.html import HTMLTree
from smallwright_extract.html_lines import lines_of


@pytest.mark.parametrize("more", ["", "<!-- read from the tree -->"])
@pytest.mark.parametrize(
    ("markup", "lines"),
    [
        ("a<br>  b<br><br>c", "a\n  b\n\nc"),
        ("a<br>\nb<br />\n<br />\nc", "a\nb\n\nc"),
        ("<div>a</div><div>  b</div>", "a\n  b"),
        ("<div>a</div>\n<div>b\n</div>\n<div>c</div>", "a\nb\nc"),
        ("<div>a</div><div><br></div><div>b</div>", "a\n\nb"),
        ("<ol>\n  <li>a</li>\n  <li>  b</li>\n</ol>", "a\n  b"),
        ("<code>a</code><code>  b</code>", "a\n  b"),
        ("call <code>a</code> here", "call a here"),
        ('<span class="line">a</span><span class="line">  b</span>', "a\n  b"),
        ('<span class="line">a</span>\n<span class="line">  b</span>', "a\n  b"),
        ('<span class="line">a<span>b</span></span>c<span class="line&nbsp;x">d</span>', "ab\nc\nd"),
        ('<span title="a<br>b">a &lt;br&gt;&nbsp;&amp;lt;</span><br>b', "a <br>\xa0&lt;\nb"),
        ("a<script>b<br>c</script><br>d", "ab<br>c\nd"),
        ('<span style="display: block">a</span><span style="display:block">b</span>', "a\nb"),
        ("<table><tr><td>a</td></tr><tr><td>b</td></tr></table>", "a\nb"),
        ("<table><tr><td>1</td>\n <td>  a</td><tr><td></td><td>b<br>c</td>\n</table>", "1\t  a\nb\nc"),
        ("<p>a</p>    b<i>c</i>", "a\n    bc"),
        ("  a\n<b>  b</b>\n", "  a\n  b\n"),
    ],
)
def test_an_element_that_begins_a_line_ends_the_one_before(markup, lines, more):
    tree = HTMLTree.parse(f"<body><pre><i></i>{markup}{more}</pre>")
    assert lines_of(tree.body.query_selector("pre")) == lines
