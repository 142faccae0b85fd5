"""What the suites ask, word by word, of a made-up row of each data set; their options; and a run without a network."""

import json
import shutil
import subprocess
import sys
from importlib.resources import files

import pytest
import yaml
from core.errors import ConfigError, InputError
from core.typed import build
from smallwright_eval import local_tasks, stock_tasks, task_data
from smallwright_eval.config import LMEvalConfig
from smallwright_testing.models import tiny_model

choices = pytest.importorskip("smallwright_eval.choices", reason="lm_eval is not installed")
ARC = {"question": "What melts?", "choices": {"text": ["ice", "air"], "label": ["1", "2"]}, "answerKey": "2"}
PIQA = {"goal": "Dry a cup", "sol1": "wipe it ", "sol2": "fill it", "label": 1}
OPEN = {"question_stem": "Ice is", "choices": {"text": ["cold", "hot"], "label": ["A", "B"]}, "answerKey": "A"}
HELLA = {
    "activity_label": "Art", "ctx_a": "[header] How to draw [title] Take a pen.", "ctx_b": "then he",
    "endings": ["[step] draws.", "flies  off."], "label": "1",
}  # fmt: skip
WINO = {"sentence": "The cup fits the box, for the _ is big.", "option1": "cup", "option2": "box", "answer": "2"}
MMLU = {"question": "2+2?", "choices": ["3", "4", "5", "6"], "answer": 1, "subject": "high_school_maths"}
PRO = {"question": "2+2?", "options": ["3", "4", "5"], "answer_index": 1, "category": "maths"}
BOOLQ = {"question": "is ice cold", "passage": "Ice -- It is cold.", "label": 1}
SIQA = {"context": "Ann ran.", "question": "Why?", "answerA": "late", "answerB": "sad", "answerC": "shy", "label": "3"}
TRIVIA = {"question": "Who wrote it?", "answer": {"aliases": ["Ann B.", "A. B", "Ann B. C"]}}
ROWS = {
    ("allenai/ai2_arc", "ARC-Easy", "test"): [ARC],
    ("allenai/ai2_arc", "ARC-Challenge", "test"): [ARC],
    ("ybisk/piqa", "plain_text", "validation"): [PIQA],
    ("allenai/openbookqa", "main", "test"): [OPEN],
    ("Rowan/hellaswag", "default", "validation"): [HELLA],
    ("allenai/winogrande", "winogrande_xl", "validation"): [WINO],
    ("cais/mmlu", "all", "test"): [MMLU],
    ("cais/mmlu", "all", "dev"): [{**MMLU, "subject": "law", "question": "Law?"}, {**MMLU, "question": "1+1?"}] * 5,
    ("TIGER-Lab/MMLU-Pro", "default", "test"): [PRO],
    ("tau/commonsense_qa", "default", "validation"): [ARC],
    ("aps/super_glue", "boolq", "validation"): [BOOLQ],
    ("allenai/social_i_qa", "default", "validation"): [SIQA],
    ("mandarjoshi/trivia_qa", "rc.nocontext", "validation"): [TRIVIA],
}
LETTERS = "The following are multiple choice questions (with answers) about high school maths.\n\n"
ART = "Art: How to draw. Take a pen. Then he"
ASKED = {
    "smollm2_arc_easy": ("Question: What melts?\nAnswer:", [" ice", " air"], 1),
    "smollm2_arc_challenge": ("Question: What melts?\nAnswer:", [" ice", " air"], 1),
    "smollm2_piqa": ("Question: Dry a cup\nAnswer:", [" wipe it ", " fill it"], 1),
    "smollm2_openbookqa": ("Ice is", [" cold", " hot"], 0),
    "smollm2_commonsense_qa": ("What melts?", [" ice", " air"], 1),
    "smollm2_hellaswag": (f"{ART} ", ["  draws.", " flies off."], 1),
    "smollm2_winogrande": ("The cup fits the box, for the ", ["cup is big.", "box is big."], 1),
    "smollm2_mmlu_cloze": (
        "The following are questions about high school maths.\nQuestion: 2+2?\nAnswer:", [" 3", " 4", " 5", " 6"], 1,
    ),
    "smollm2_mmlu_letters": (
        f"{LETTERS}2+2?\nA. 3\nB. 4\nC. 5\nD. 6\nAnswer:", [" A", " B", " C", " D"], 1,
    ),
    "smollm2_mmlu_pro": (
        f"{LETTERS.replace('high school ', '')}2+2?\nA. 3\nB. 4\nC. 5\nAnswer:", ["A", "B", "C"], 1,
    ),
    "olmes_arc_challenge": ("Question: What melts?\nAnswer:", [" ice", " air"], 1),
    "olmes_arc_challenge_mc": ("Question: What melts?\n A. ice\n B. air\nAnswer:", [" A", " B"], 1),
    "olmes_commonsense_qa_mc": ("Question: What melts?\n A. ice\n B. air\nAnswer:", [" A", " B"], 1),
    "olmes_openbookqa": ("Question: Ice is\nAnswer:", [" cold", " hot"], 0),
    "olmes_openbookqa_mc": ("Question: Ice is\n A. cold\n B. hot\nAnswer:", [" A", " B"], 0),
    "olmes_piqa": ("Goal: Dry a cup\nAnswer:", [" wipe it ", " fill it"], 1),
    "olmes_piqa_mc": ("Goal: Dry a cup\n A. wipe it \n B. fill it\nAnswer:", [" A", " B"], 1),
    "olmes_boolq": ("Ice -- It is cold.\nQuestion: is ice cold?\nAnswer:", [" yes", " no"], 0),
    "olmes_boolq_mc": ("Ice -- It is cold.\nQuestion: is ice cold?\n A. yes\n B. no\nAnswer:", [" A", " B"], 0),
    "olmes_hellaswag": (ART, ["  draws.", " flies off."], 1),
    "olmes_hellaswag_mc": (
        f"{ART}\nChoose the best continuation:\n A.  draws.\n B. flies off.\nAnswer:", [" A", " B", " C", " D"], 1,
    ),
    "olmes_social_iqa": ("Question: Ann ran. Why?\nAnswer:", [" late", " sad", " shy"], 2),
    "olmes_social_iqa_mc": ("Question: Ann ran. Why?\n A. late\n B. sad\n C. shy\nAnswer:", [" A", " B", " C"], 2),
    "olmes_winogrande_mc": (
        "Fill in the blank: The cup fits the box, for the ___ is big.\n A. cup\n B. box\nAnswer:", [" A", " B"], 1,
    ),
    "olmes_mmlu": (f"{LETTERS}Question: 2+2?\nAnswer:", [" 3", " 4", " 5", " 6"], 1),
    "olmes_mmlu_mc": (f"{LETTERS}Question: 2+2?\n A. 3\n B. 4\n C. 5\n D. 6\nAnswer:", [" A", " B", " C", " D"], 1),
}  # fmt: skip
OTHERS = ("smollm2_triviaqa", "olmes_winogrande", "olmes_arc_easy", "olmes_arc_easy_mc", "hellaswag")

EVALUATE = """
import json, socket, sys
from pathlib import Path
from core.interfaces import Job
from smallwright_eval.config import LMEvalConfig
from smallwright_eval.stage import LMEval
try:
    socket.create_connection(("127.0.0.1", 9), timeout=5)
    sys.exit("there is a network")
except OSError as error:
    assert error.errno == 101, error  # unreachable: no interface is up
root = Path(sys.argv[1])
stage = LMEval(LMEvalConfig(
    tasks=("smollm2_arc_easy", "olmes_winogrande", "olmes_mmlu_mc", "smollm2_triviaqa", "hellaswag"),
    data_dir=str(root / "data"), engine="transformers", dtype="float32", prompts=(), allow_network=True,
))
print(json.dumps(stage.run(Job(name="eval", output=root / "out", inputs={"model": root / "model"}, seed=0))["eval"]))
"""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for (dataset, config, split), rows in ROWS.items():
        path = root / dataset.replace("/", "__") / config / f"{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


@pytest.fixture(scope="module")
def manager(data_dir, tmp_path_factory):
    config = build(LMEvalConfig, {"tasks": [*ASKED, *OTHERS], "data_dir": str(data_dir)}, "eval")
    return local_tasks.task_manager(config, tmp_path_factory.mktemp("work"))


def loaded(manager, name):
    return manager.load([name])["tasks"][name]


def requests(task, shots=0, **options):
    doc = task.eval_docs[0]
    context = task.fewshot_context(doc, shots)
    return [one.arguments for one in task.construct_requests(doc, context, metadata=("task", 0, 1), **options)]


def test_only_the_named_tasks_are_known(manager):
    assert sorted(manager.all_subtasks) == sorted([*ASKED, *OTHERS])


@pytest.mark.parametrize("name", ASKED)
def test_a_question_is_put_as_it_was_published(manager, name):
    task = loaded(manager, name)
    context, continuations, gold = ASKED[name]
    asked = [(context, continuation) for continuation in continuations]
    if task.unconditional is not None:
        asked += [("Answer:", continuation) for continuation in continuations]
    assert requests(task) == asked
    assert requests(task, apply_chat_template=True) == asked
    assert task.doc_to_target(task.eval_docs[0]) == gold


def test_a_sentence_with_a_gap_is_scored_by_its_rest(manager):
    task = loaded(manager, "olmes_winogrande")
    assert requests(task) == [
        ("The cup fits the box, for the cup", " is big."), ("The cup fits the box, for the box", " is big."),
    ]  # fmt: skip
    assert task.score(task.eval_docs[0], [(-2.0, False), (-1.0, False)]) == {"acc": 1.0}
    assert requests(task, shots=1)[0][0].startswith("John moved the couch from the garage to the backyard to create")


@pytest.mark.parametrize("name", [name for name in [*ASKED, *OTHERS] if name.startswith("olmes")])
def test_five_published_examples_stand_before_the_question(manager, name):
    task = loaded(manager, name)
    assert task.config.num_fewshot == 5
    alone, with_shots = requests(task)[0][0], requests(task, shots=5)[0][0]
    last = alone.removeprefix(LETTERS)
    assert with_shots.endswith(f"\n\n{last}")
    assert with_shots.removeprefix(LETTERS).removesuffix(last).count("\n\n") == 5
    if name.startswith("olmes_mmlu"):
        assert "Law?" not in with_shots


def test_metrics_are_those_of_the_papers(manager):
    task = loaded(manager, "olmes_arc_challenge")
    doc = {**ARC, "choices": {"text": ["a", "abcd"], "label": ["1", "2"]}}
    assert task.score(doc, [(-2.0, False), (-4.0, False), (-1.0, False), (-4.5, False)]) == {
        "acc": 0.0, "acc_norm": 1.0, "acc_uncond": 1.0,
    }  # fmt: skip


@pytest.mark.parametrize(("continuation", "length"), [(" abc", 3), ("abc", 3), ("  abc", 4), (" ", 1), ("", 1)])
def test_the_first_space_of_a_choice_is_no_character_of_it(continuation, length):
    assert choices.characters(continuation) == length


def test_an_answer_is_right_when_it_is_an_alias_without_case_and_marks(manager):
    task = loaded(manager, "smollm2_triviaqa")
    assert task.doc_to_target(TRIVIA) == ["a b", "ann b"]  # what begins with another alias is left out, as published
    said = {" Ann B.": 1.0, "ann b": 1.0, " Ann B. C": 0.0, " Ann": 0.0, "": 0.0}
    assert {text: task.process_results(TRIVIA, [text])["exact_match"] for text in said} == said


SUITES = sorted(one.name.removesuffix(".yaml") for one in (files("smallwright_eval") / "conf/eval").iterdir())
SUITES = [name for name in SUITES if not name.startswith("_")]


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_names_tasks_that_exist_and_data_that_is_known(name):
    option = yaml.safe_load((files("smallwright_eval") / f"conf/eval/{name}.yaml").read_text(encoding="utf-8"))
    settings = {key: value for key, value in option.items() if key not in ("defaults", "name")}
    config = build(LMEvalConfig, settings, "eval")
    found = local_tasks.wanted(config.tasks, local_tasks._own(config))
    assert set(config.tasks) <= set(found) | set(stock_tasks.index().tags)
    read = local_tasks.remote(config, "eval")
    assert bool(read) == config.allow_network
    for data in read:
        assert data.splits, data
        row = task_data.table().get(data.name)
        assert row is not None or name in ("mobillama", "pangu"), data
    if not any((said.get("metadata") or {}).get("needs") for said, _ in found.values()):
        local_tasks.check(config, "eval")


def test_the_search_for_lm_evals_tasks_sees_groups_tags_and_what_files_include():
    index = stock_tasks.index()
    assert str(index.files(["arc_challenge"])["arc_challenge"]).endswith("arc/arc_challenge.yaml")
    assert sorted(index.leaves("ai2_arc")) == ["arc_challenge", "arc_easy"]
    assert len(index.leaves("mmlu")) == 57
    assert {"humaneval", "humaneval_instruct"} <= index.unsafe
    assert "hellaswag" not in index.unsafe


@pytest.mark.slow
def test_the_search_agrees_with_lm_evals_own_index():
    from lm_eval.tasks import TaskManager

    theirs, ours = TaskManager().task_index, stock_tasks.index()
    assert set(theirs) == set(ours.names())
    for name, entry in theirs.items():
        if name in ours.tags and entry.yaml_path is None:
            assert entry.tags == set(ours.tags[name]), name
        else:
            assert ours.files([name])[name] == entry.yaml_path, name
    print(f"{len(theirs)} names, {len(ours.tags)} tags")


@pytest.mark.parametrize(
    ("change", "settings", "said"),
    [
        (
            "lost",
            {},
            r"data_dir=.*no data for smollm2_piqa: the split validation of ybisk/piqa \(plain_text\).*core\.fetch",
        ),
        (
            "column",
            {},
            r"validation\.jsonl:2: no column 'sol1', which smollm2_piqa reads of ybisk/piqa\. .*Columns there",
        ),
        ("json", {}, r"validation\.jsonl:1: not JSON"),
        (None, {"tasks": ["smollm2_piqq"]}, r"unknown task 'smollm2_piqq'. Did you mean 'smollm2_piqa'"),
        (
            None,
            {"tasks": ["mmlu", "smollm2_piqa", "smollm2_openbookqa"]},
            r"no data for mmlu_\w+: the split test of cais/mmlu \(\w+\) .*beside it\. 1 more of .* asked either\. "
            r"Fetch .*core\.fetch eval\.tasks=\[mmlu,smollm2_openbookqa\] --to .*: eval\.tasks=\[smollm2_piqa\]\.$",
        ),
        (
            None,
            {"tasks": ["piqa"], "num_fewshot": 2, "data_dir": "own"},
            r"num_fewshot=2: .* of the split train of baber.* core\.fetch eval\.tasks=\[piqa\]",
        ),
    ],
)
def test_what_a_folder_of_data_lacks_is_said_in_the_plan(tmp_path, change, settings, said):
    place = tmp_path / "ybisk__piqa/plain_text/validation.jsonl"
    place.parent.mkdir(parents=True)
    second = {key: value for key, value in PIQA.items() if change != "column" or key != "sol1"}
    place.write_text("{\n" if change == "json" else f"{json.dumps(PIQA)}\n{json.dumps(second)}\n")
    if change == "lost":
        place.unlink()
    if settings.get("data_dir") == "own":
        stock = tmp_path / "baber__piqa/default/validation.jsonl"
        stock.parent.mkdir(parents=True)
        stock.write_text(json.dumps(PIQA))
    given = {"tasks": ["smollm2_piqa"], **settings, "data_dir": str(tmp_path)}
    with pytest.raises((ConfigError, InputError), match=said) as raised:
        local_tasks.check(build(LMEvalConfig, given, "eval"), "eval")
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_as_the_lock_has_it_is_refused(data_dir, tmp_path):
    shutil.copytree(data_dir / "ybisk__piqa", tmp_path / "ybisk__piqa")
    place = "ybisk__piqa/plain_text/validation.jsonl"
    config = build(LMEvalConfig, {"tasks": ["smollm2_piqa"], "data_dir": str(tmp_path)}, "eval")
    for size, refused in (((tmp_path / place).stat().st_size, False), (3, True)):
        (tmp_path / "datasets.lock.json").write_text(json.dumps({"files": {place: {"bytes": size}}}))
        if not refused:
            local_tasks.check(config, "eval")
            continue
        with pytest.raises(InputError, match=r"validation\.jsonl: not the size that datasets\.lock\.json says"):
            local_tasks.check(config, "eval")


def test_parquet_as_the_hub_has_it_is_found(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    for place in ("a__b/data/test-00000-of-00002.parquet", "a__b/data/test-00001-of-00002.parquet",
                  "a__b/main/dev/0000.parquet"):  # fmt: skip
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"x": [1]}), tmp_path / place)
    described = {"task": "t", "dataset_path": "a/b", "test_split": "test", "training_split": "train"}
    changed = task_data.rewrite(described, tmp_path)
    assert (changed["dataset_path"], changed["dataset_name"], changed["training_split"]) == ("parquet", None, None)
    assert [path.rpartition("/")[2] for path in changed["dataset_kwargs"]["data_files"]["test"]] == [
        "test-00000-of-00002.parquet", "test-00001-of-00002.parquet",
    ]  # fmt: skip
    other = {"task": "t", "dataset_path": "a/b", "dataset_name": "main", "validation_split": "dev"}
    assert task_data.rewrite(other, tmp_path)["dataset_kwargs"]["data_files"]["dev"][0].endswith("dev/0000.parquet")
    own = {"task": "t", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": "t.jsonl"}}}
    assert task_data.rewrite(own, tmp_path) == own


def test_on_the_hub_the_commit_of_the_table_is_read():
    easy = {"dataset_path": "allenai/ai2_arc", "dataset_name": "ARC-Easy", "test_split": "test"}
    assert task_data.pinned(easy)["dataset_kwargs"] == {"revision": "210d026faf9955653af8916fad021475a3f00453"}
    scripted = {"dataset_path": "ybisk/piqa", "dataset_name": "plain_text", "validation_split": "validation"}
    assert task_data.pinned(scripted) == {
        **scripted,
        "dataset_name": None,
        "dataset_kwargs": {
            "revision": "refs/convert/parquet",
            "data_files": {"validation": "plain_text/validation/*.parquet"},
        },
    }
    unknown = {"dataset_path": "no/where"}
    assert task_data.pinned(unknown) == unknown


@pytest.mark.slow
def test_a_suite_is_evaluated_without_a_network(data_dir, tmp_path):
    alone = ["unshare", "--user", "--map-root-user", "--net"]
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare here, which cuts the network")
    if tried := subprocess.run([*alone, "true"], capture_output=True, text=True).stderr:
        pytest.skip(f"the network cannot be cut here: {tried.strip()}")
    tiny_model(tmp_path / "model")
    shutil.copytree(data_dir, tmp_path / "data")
    hellaswag = tmp_path / "data/Rowan__hellaswag/default"
    shutil.copy(hellaswag / "validation.jsonl", hellaswag / "train.jsonl")
    command = [*alone, sys.executable, "-c", EVALUATE, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr[-3000:]
    rows = json.loads(ended.stdout.strip().splitlines()[-1])
    assert {row["task"] for row in rows} == {
        "smollm2_arc_easy", "olmes_winogrande", "olmes_mmlu_mc", "smollm2_triviaqa", "hellaswag",
    }  # fmt: skip
    shots = {row["task"]: row["num_fewshot"] for row in rows}
    assert (shots["olmes_mmlu_mc"], shots["smollm2_arc_easy"]) == (5, 0)
