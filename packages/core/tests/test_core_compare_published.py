"""A file of published scores is checked word by word, and a broken one costs its own scores alone."""

from types import SimpleNamespace

import pytest
from core.compare import published
from core.errors import InputError

GOOD = """
models: {M: {parameters: 1000}}
protocols: {p: {harness: lighteval}}
tasks: {T: {shots: 0, metric: acc, form: cloze, ours: [[arith, acc]]}}
tables: [{source: paper, protocol: p, models: [M], scores: {T: [43.9]}}]
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("43.9", "x", "T of M.value='x': expected float, got str."),
        ("43.9", ".nan", "T of M.value=nan: must be a finite number."),
        ("[43.9]", "[1, 2]", "no file of published scores (ValueError"),
        ("parameters: 1000", "parameters: big", "T of M.parameters='big': expected int | null"),
        ("harness: lighteval", "harness: null", "T of M.harness=null: expected str"),
        ("[[arith, acc]]", "[arith, acc]", "tasks.T.ours: write a list of pairs"),
        ("[M]", "[N]", "no file of published scores (KeyError: 'N')"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, old, new, said):
    path = tmp_path / "scores.yaml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(InputError) as refused:
        published.read(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_broken_file_is_left_out_with_a_note(tmp_path):
    files = {"good": tmp_path / "good.yaml", "bad": tmp_path / "bad.yaml"}
    files["good"].write_text(GOOD)
    files["bad"].write_text("3")
    registry = SimpleNamespace(
        names=lambda kind: sorted(files), get=lambda kind, name: SimpleNamespace(resource=lambda: files[name])
    )
    found, notes = published.load(registry)
    assert [(score.model, score.value, score.ours) for score in found] == [("M", 43.9, (("arith", "acc"),))]
    assert len(notes) == 1
    assert notes[0].startswith(f"the published scores bad are left out: {files['bad']}: no file of published scores")
