"""Which part of a page is the article, kind by kind of page. Milliseconds."""

import pytest
from smallwright_extract.config import ExtractTextConfig
from smallwright_extract.page import extract_page


def paragraphs(word, count=6):
    return "".join(
        f"<p>{word} {i} of a text that is long enough to count as one, with a comma.</p>" for i in range(count)
    )


def extract(body, comments=False):
    return extract_page(f"<html><body>{body}".encode(), ExtractTextConfig(quality="precise", comments=comments)).text


SIDEBAR = f'<aside class="sidebar">{paragraphs("Teaser", 9)}</aside>'


@pytest.mark.parametrize(
    ("body", "kept", "left_out"),
    [
        (f"<main>{paragraphs('Article')}{SIDEBAR}</main>", ["Article 5"], ["Teaser"]),
        (f"<div class='content-sidebar-wrap'>{paragraphs('Article')}</div>", ["Article 0", "Article 5"], []),
        (f"<article class=post><h1>One</h1>{paragraphs('First', 9)}</article><article class=post><h1>Two</h1>"
         f"{paragraphs('Second', 30)}</article>", ["First 8"], ["Second"]),
        (f"<article><h1>One</h1><div class=article-body>{paragraphs('First')}</div><figure>x</figure>"
         f"<div class=article-body>{paragraphs('Second', 9)}</div></article>", ["First 5", "Second 8"], []),
        (f"<div class=article-content><h1>Headline</h1><span>By a writer</span><div class=article-body>"
         f"{paragraphs('Article')}</div></div>", ["Article 5"], ["By a writer"]),
        (f"<article><header><h2>Over</h2><p>The introduction of this article says in one sentence what it is about, "
         f"and why.</p></header><div>{paragraphs('Article')}</div></article>", ["The introduction", "Article 5"],
         ["Over"]),
        (f"<div><h1>Head</h1><div class=teaser-text><p>The lead says in one sentence what the text is for.</p></div>"
         f"<div class=news-text>{paragraphs('Article')}</div></div>", ["The lead says", "Article 5"], []),
        ("<div id=x>" + "<br><br>".join(f"Line {i} of a text that no paragraph holds, but it goes on and on." for i in
         range(9)) + "</div><div>Imprint</div>", ["Line 0", "Line 8"], ["Imprint"]),
        (f"<div><div style='display:none'>{paragraphs('Article')}</div><div style='display: none'>Accept</div></div>",
         ["Article 5"], ["Accept"]),
        (f"<article>{paragraphs('Article')}<div>12 May</div>{paragraphs('More')}</article>", ["Article 5", "More 5"],
         ["12 May"]),
        (f"<article>{paragraphs('Article')}<div>A short line<br><br>and another</div><section>of <i>verse</i>, "
         f"<span>number</span> one<br>of verse, two</section><samp>$ make<br>done</samp><div>12 May</div>"
         f"{paragraphs('More')}</article>",
         ["A short line", "and another", "of verse, number one", "of verse, two", "$ make", "done"], ["12 May"]),
        (f"<article>{paragraphs('Article')}<p class=shares>Share it</p><div class=post-tags><a>one</a> <a>two</a></div>"
         f"<h3>Mehr zum Thema</h3><ul><li><a href=1>A story</a></li></ul></article>", ["Article 5"],
         ["Share", "two", "Mehr", "A story"]),
        (f"<div class='entry-content'>{paragraphs('Article')}</div><div id=comments>{paragraphs('Opinion', 30)}</div>",
         ["Article 5"], ["Opinion"]),
    ],
    ids=["sidebar is larger", "wrapper named after a sidebar", "articles one after the other", "article in parts",
         "innermost body", "introduction in the header", "teaser as lead", "no paragraphs",
         "hidden until a script runs", "loose date", "lines parted by breaks",
         "what follows an article", "comments are longer"],
)  # fmt: skip
def test_the_article_is_found(body, kept, left_out):
    text = extract(body)
    for words in kept:
        assert words in text
    for words in left_out:
        assert words not in text


def test_with_comments_all_posts_of_a_thread_are_kept():
    posts = "".join(f"<article><h1>Post</h1>{paragraphs(name, 9)}</article>" for name in ("Question", "Answer"))
    assert "Answer 8" in extract(f"<main>{posts}</main>", comments=True)
