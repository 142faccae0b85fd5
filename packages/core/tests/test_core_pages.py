"""What makes a page costs no more than the page."""

from types import SimpleNamespace

import pytest
from core import pages
from core.errors import InputError


def registry(make):
    return SimpleNamespace(hooks=SimpleNamespace(make_page=make))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("x\n\x1b[31m"), "warning: no page of the study: KeyError: 'x\\n\\x1b[31m'"),
        (PermissionError(13, "Permission denied"), "warning: no page of the study: p.html cannot be written: Permis"),
        (InputError("a chart\nis too large."), "warning: no page of the study: a chart is too large."),
    ],
)
def test_a_page_that_cannot_be_made_is_said_in_one_line(tmp_path, monkeypatch, capsys, error, said):
    def make(**_):
        raise error

    monkeypatch.chdir(tmp_path)
    assert pages.attempt(registry(make), "study", {}, tmp_path.relative_to(tmp_path) / "p.html") is None
    err = capsys.readouterr().err
    assert err.startswith(said)
    assert err.count("\n") == 1


def test_that_nothing_makes_pages_is_no_warning(tmp_path, capsys):
    assert pages.attempt(registry(lambda **_: None), "study", {}, tmp_path / "p.html") is None
    assert capsys.readouterr().err == ""
