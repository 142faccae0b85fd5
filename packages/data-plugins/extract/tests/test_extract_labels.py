"""Lines that label what stands beside an article go, sentences stay. Milliseconds."""

import pytest
from smallwright_extract.labels import without_labels


@pytest.mark.parametrize(
    "line",
    ["Read more", "Related articles", "You may also like:", "Advertisement", "Comments (12)", "• Share this on",
     "Mehr zum Thema", "Das könnte Sie auch interessieren", "Weitere Artikel:", "Lire aussi : le reste", "Lee también",
     "Leia mais", "Leggi anche", "Lees ook", "Zobacz również", "Читайте также", "ANZEIGE", "Läs mer"],
)  # fmt: skip
def test_labels_go(line):
    assert without_labels(f"A sentence.\n\n{line}\nAnother sentence.") == "A sentence.\n\nAnother sentence."


@pytest.mark.parametrize(
    "line",
    ["More on this will be said below.", "Read more than you write.", "Related work", "Tags are words.",
     "Kontaktlinsen", "Share prices fell", "Advertisements for myself", "Comment is free",
     "Read next week's paper, where all of this will be said once more, and at length"],
)  # fmt: skip
def test_what_only_begins_like_a_label_stays(line):
    assert without_labels(f"A sentence.\n{line}\nAnother.") == f"A sentence.\n{line}\nAnother."
