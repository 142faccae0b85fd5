"""What an evaluation was already told."""

from smallwright_eval.known import Known


def test_what_is_known_outlives_a_kill_in_the_middle_of_a_line(tmp_path):
    known = Known(tmp_path / "known.jsonl")
    known.add("yes", task="a", item=1)
    known.add({"value": None}, task="a", item=2)
    text = (tmp_path / "known.jsonl").read_text()
    (tmp_path / "known.jsonl").write_text(text[:-3])
    again = Known(tmp_path / "known.jsonl")
    assert (again.get(item=1, task="a"), again.get(task="a", item=2)) == ("yes", None)
    again.add("no", task="a", item=2)
    assert Known(tmp_path / "known.jsonl").get(task="a", item=2) == "no"
