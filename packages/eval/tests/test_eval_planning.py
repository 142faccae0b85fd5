"""What planning says of an evaluation, before anything is trained: no engine is imported."""

import json

import pytest
from core.errors import ConfigError, InputError
from core.typed import build
from smallwright_eval import answers, cuts
from smallwright_eval.config import LMEvalConfig
from smallwright_eval.stage import LMEval

TASK = """task: mine
dataset_path: json
dataset_kwargs: {data_files: {test: mine.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{context}}"
doc_to_choice: choices
doc_to_target: label
"""


class Model:
    """The part of an architecture and of a tokenizer that is asked here."""

    template = "{{ messages }}"

    def context(self):
        return 256

    def chat_template(self):
        return self.template


class WithoutTemplate(Model):
    template = ""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.yaml").write_text(TASK)
    rows = [{"context": "a", "choices": ["b", "c"], "label": 0}] * 5
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(tmp_path)


def check(tokenizer=None, **settings):
    stage = LMEval(build(LMEvalConfig, {"engine": "transformers", **settings}, "eval"))
    stage.check_plan("eval", Model(), tokenizer or Model())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tasks": ["smallwright_lesson_completoin"]}, "unknown task .*Did you mean 'smallwright_lesson_completion'"),
        ({"tasks": ["hellaswag"]}, r"'hellaswag' comes from the Hugging Face hub.*allow_network=true"),
        ({"task_paths": ["/nowhere"]}, r"task_paths: /nowhere is not a folder"),
        (
            {"tasks": ["smollm2_niah", "smallwright_niah", "ruler_vt"]},
            r"^eval\.tasks: the model reads 256 .* smollm2_niah \(512\), ruler_vt \(4,096\) .*=\[smallwright_niah\]",
        ),
        (
            {"tasks": ["smollm2_mt_bench", "smallwright_niah"]},
            r"judge\.url names none.* Or ask those that lack nothing: eval\.tasks=\[smallwright_niah\]$",
        ),
        ({"max_model_len": 257}, r"^eval\.max_model_len=257: above the model's 256 positions.*max_model_len=256"),
        ({"num_fewshot": 1_000_000}, r"^eval\.num_fewshot=1000000: smallwright_lesson_completion has \d+ items"),
        ({"limit": float("nan")}, r"eval.*limit"),
        ({"limit": float("inf")}, r"eval.*limit"),
        ({"kv_cache_gib": float("nan")}, r"eval.*kv_cache_gib"),
        ({"limit": 1.5}, r"limit=1.5"),
        ({"task_paths": ["~nobody-here/tasks"]}, r"task_paths: ~nobody-here/tasks is not a folder"),
        ({"tasks": ["smollm2_piqa"], "data_dir": "~nobody-here/data"}, r"data_dir=~nobody-here/data: no data"),
        ({"prompts_file": "\0"}, r"prompts_file=\0: cannot be read"),
        (
            {"tasks": ["humaneval"], "allow_network": True},
            r"^eval\.tasks: humaneval runs code .* smollm2_humaneval runs it in a sandbox",
        ),
    ],
)
def test_a_wrong_setting_is_refused_in_the_plan(settings, message):
    with pytest.raises((ConfigError, InputError), match=message):
        check(**settings)


def test_more_examples_than_a_task_has_are_refused(folder):
    own = {"task_paths": [folder], "tasks": ["mine"]}
    check(**own, num_fewshot=4)
    with pytest.raises(ConfigError, match=r"^eval\.num_fewshot=5: mine has 5 items to take .* Set 4 at most"):
        check(**own, num_fewshot=5)
    with pytest.raises(ConfigError, match=r"^eval\.fewshot_by_task\.mine=5: mine has 5 items"):
        check(**own, fewshot_by_task={"mine": 5})


def test_a_number_of_examples_for_no_task_is_refused():
    for_all = {"tasks": ("a", "b"), "fewshot_by_task": {"a": 1, "b": 0}}
    with pytest.raises(ConfigError, match=r"^num_fewshot=3: changes nothing, .* Set fewshot_by_task=null beside it"):
        LMEvalConfig(num_fewshot=3, **for_all)
    assert LMEvalConfig(num_fewshot=3, tasks=("a", "b", "c"), fewshot_by_task={"a": 1, "b": 0})


def test_wrong_data_of_a_task_is_refused_in_the_plan(folder, tmp_path):
    (tmp_path / "mine.jsonl").write_text('{"context": "a", "choices": ["b"], "label": 3}\n')
    with pytest.raises(InputError, match=r"mine\.jsonl:1: label=3, but there are 1 choices"):
        check(task_paths=[folder], tasks=["mine"])


def test_a_chat_template_is_asked_for_only_where_it_is_used():
    check(WithoutTemplate())
    with pytest.raises(ConfigError, match=r"^eval\.apply_chat_template=true: the model's tokenizer has no chat"):
        check(WithoutTemplate(), apply_chat_template=True)


def test_tasks_of_lm_eval_are_taken_where_the_network_is_allowed():
    check(tasks=["hellaswag"], allow_network=True)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("p.txt", "one\n\ntwo \n", ("one", "two ")),
        ("p.txt", "\ufeffone\r\ntwo", ("one", "two")),
        ("p.jsonl", '"one\\nline"\n{"prompt": "two"}\n', ("one\nline", "two")),
        ("p.jsonl", '\ufeff"one\u2028line"\r\n', ("one\u2028line",)),
        ("p.jsonl", '"one"\n\n7\n', r"^eval\.prompts_file=.*p\.jsonl: line 3 is no prompt"),
        ("p.txt", "\n", r"^eval\.prompts_file=.*p\.txt: has no prompts"),
        ("p.txt", "x\n" * 65, r"^eval\.prompts_file=.*p\.txt: 65 prompts, and a page shows 64 at most"),
        ("p.txt", b"\xff", r"^eval\.prompts_file=.*p\.txt: cannot be read"),
    ],
)
def test_prompts_of_a_file(tmp_path, name, text, said):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    if isinstance(said, tuple):
        assert answers.prompts(LMEvalConfig(prompts_file=str(path))) == said
        return
    with pytest.raises((ConfigError, InputError), match=said):
        check(prompts_file=str(path))


def test_prompts_that_cannot_be_asked_are_refused():
    with pytest.raises(ConfigError, match=r"^eval\.prompts_file=p\.txt: stands beside prompts"):
        check(prompts_file="p.txt", prompts=["one"])
    with pytest.raises(ConfigError, match=r"^eval\.prompts: the one at place 2 is empty"):
        check(prompts=["one", " "])


def test_lost_examples_are_counted_to_the_one_that_is_cut_in_two():
    context = "Q1\n\nQ2\n\nQ3\n\nasked"
    seen = cuts.Seen(str.split)
    assert seen.lost_shots([context], 3, "\n\n") is None
    for lost, examples in (("Q", 1), ("Q1\n\n", 1), ("Q1\n\nQ", 2), ("Q1\n\nQ2\n\nQ3\n\nas", 3)):
        seen.note_cut(context, lost)
        assert seen.lost_shots([context, context], 3, "\n\n") == examples
    assert seen.lost_shots([context], 0, "\n\n") == 0, "it was cut, and had no examples"
    seen.forget()
    assert seen.lost_shots([context], 3, "\n\n") is None
