"""Answers that another model rates, behind a real server: ratings, nonsense, errors, and a server that is down."""

import gzip
import http.server
import itertools
import json
import threading
import time
from pathlib import Path

import pytest
from core.errors import ConfigError
from core.interfaces import Job
from smallwright_eval import local_tasks, results
from smallwright_eval.config import LMEvalConfig
from smallwright_eval.judge import client, prompts
from smallwright_eval.judge.client import Judge, number
from smallwright_eval.judge.settings import JudgeConfig
from smallwright_eval.stage import LMEval
from smallwright_testing.models import tiny_model

QUESTIONS = [
    {"question_id": 81, "category": "writing", "turns": ["Write a letter.", "Make it shorter."]},
    {"question_id": 111, "category": "math", "turns": ["What is 2+2?", "And 3+3?"], "reference": ["4", "6"]},
]


class Server:
    """A server that answers chat completions with what ``reply`` gives for a question and the number of the request."""

    def __init__(self, reply):
        outer = self
        self.seen: list[dict] = []
        self.keys: list[str | None] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.seen.append(body)
                outer.keys.append(self.headers.get("Authorization"))
                status, text = reply(body, len(outer.seen))
                said = json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()
                self.send_response(status)
                self.end_headers()
                self.wfile.write(said if status == 200 else text.encode())

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.server.server_close()


class Speaker:
    """A model that repeats the end of what it is asked, as a task's second turn needs one."""

    known = None

    def __init__(self):
        self.asked: list[str] = []

    def generate_until(self, requests):
        self.asked += [request.arguments[0] for request in requests]
        return [f"second of {request.arguments[1]['temperature']}" for request in requests]

    def apply_chat_template(self, messages):
        return "".join(f"<{one['role']}>{one['content']}" for one in messages)


def judge(url: str, **settings) -> Judge:
    made = Judge(JudgeConfig(url=url, model="j", **settings))
    made.waits = 0.0
    return made


def write_questions(data: Path, rows) -> None:
    folder = data / "HuggingFaceH4__mt_bench_prompts" / "default"
    folder.mkdir(parents=True)
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def mt_bench(tmp_path: Path, url: str, monkeypatch, *, chat: bool = False, rows=QUESTIONS):
    """Return the task over some questions, with first answers, and the model of its second turn."""
    monkeypatch.setattr(client, "WAITS", 0.0)
    write_questions(tmp_path, rows)
    config = JudgeConfig(url=url, model="j", retries=1, workers=2)
    settings = LMEvalConfig(tasks=("smollm2_mt_bench",), data_dir=str(tmp_path), judge=config, apply_chat_template=chat)
    task = local_tasks.task_manager(settings, tmp_path / "work").load(["smollm2_mt_bench"])["tasks"]["smollm2_mt_bench"]
    speaker = Speaker()
    task.take(settings, speaker)
    task.build_all_requests(limit=None, rank=0, world_size=1)
    for request in task.instances:
        request.resps = ["first"]
    task.apply_filters()
    return task, speaker, [task.process_results(one.doc, [one.filtered_resps["none"]]) for one in task.instances]


def test_mt_bench_asks_both_turns_as_it_was_published(tmp_path, monkeypatch):
    def reply(body, count):
        return 200, "Good. Rating: [[8]]" if "should focus on the" in str(body) else "[[6.5]]"

    with Server(reply) as server:
        task, speaker, scores = mt_bench(tmp_path, server.url, monkeypatch)
    assert scores == [{"score": 7.25, "turn_1": 6.5, "turn_2": 8.0, "judged": 1.0, "nonsense": 0.0}] * 2
    assert [request.arguments[1]["temperature"] for request in task.instances] == [0.7, 0.0]
    assert [request.arguments[1]["do_sample"] for request in task.instances] == [True, False]
    assert speaker.asked[0] == "Write a letter.first\n\nMake it shorter.\n\n"
    assert task.instances[0].resps == ["first", "second of 0.7"]
    asked = [body["messages"][1]["content"] for body in server.seen]
    compared = [text for text in asked if "[The Start of Reference Answer]\n4\n[The End" in text]
    assert len(asked) == 4
    assert len(compared) == 1
    assert any("### Assistant A:\nsecond of 0.7\n" in text for text in asked)
    assert all(body["model"] == "j" and body["temperature"] == 0 for body in server.seen)


def test_the_second_turn_is_put_in_the_chat_template(tmp_path, monkeypatch):
    rows = [{"category": "stem", "prompt": ["a", "b"], "prompt_id": 1, "reference": []}]  # as the hub has them
    with Server(lambda body, count: (200, "[[3]]")) as server:
        _, speaker, scores = mt_bench(tmp_path, server.url, monkeypatch, chat=True, rows=rows)
    assert speaker.asked == ["<user>a<assistant>first<user>b"]
    assert scores[0]["score"] == 3.0


def test_nonsense_is_asked_again_counted_and_left_out(tmp_path, monkeypatch, capsys):
    def reply(body, count):
        return 200, "[[7]]" if "Write a letter" in str(body) else "I would rather not. [[99]]"

    with Server(reply) as server:
        _, _, scores = mt_bench(tmp_path, server.url, monkeypatch)
    assert scores[0]["score"] == 7.0
    assert scores[1] == {"judged": 0.0, "nonsense": 4.0}
    assert "2 of 4 ratings had no number from 1 to 10" in capsys.readouterr().out


def test_a_judge_that_goes_down_leaves_a_partial_result_that_says_so(tmp_path, monkeypatch, capsys):
    rows = [{**QUESTIONS[0], "question_id": i} for i in range(12)]
    with Server(lambda body, count: (200, "[[5]]") if count <= 6 else (503, "overloaded")) as server:
        _, _, scores = mt_bench(tmp_path, server.url, monkeypatch, rows=rows)
    said = capsys.readouterr().out
    rated = sum(one["judged"] * 2 for one in scores)
    assert rated == 6
    assert "PARTIAL RESULT: the judge did not answer for 18 of 24 ratings" in said
    share = sum(one["judged"] for one in scores) / len(scores)
    (note,) = results.notes(
        [{"task": name, "metric": "judged", "value": value} for name, value in (("a", share), ("b", 1))]
    )
    assert note.startswith("a: PARTIAL RESULT: a judge gave 25% of the ratings")
    assert {one["score"] for one in scores if "score" in one} == {5.0}
    # It is given up after some ratings, and not asked for each of the others.
    assert len(server.seen) < 6 + 2 * 18


def test_the_same_evaluation_again_asks_the_judge_for_what_is_missing_and_the_model_for_nothing(tmp_path, monkeypatch):
    from lm_eval.models.huggingface import HFLM

    monkeypatch.setattr(client, "WAITS", 0.0)
    generated, generate = [], HFLM._model_generate

    def noted(self, context, *arguments, **options):
        generated.append(len(context))
        return generate(self, context, *arguments, **options)

    monkeypatch.setattr(HFLM, "_model_generate", noted)
    model = tiny_model(tmp_path / "model")
    asked = [{**QUESTIONS[n % 2], "turns": [f"Write {n}.", "Longer."], "reference": []} for n in range(3)]
    write_questions(tmp_path, asked)
    limit, seen = [0], []

    def reply(body, count):
        question = body["messages"][1]["content"]
        seen.append(question)
        return (200, f"[[{1 + len(question) % 9}]]") if len(seen) <= limit[0] else (503, "overloaded")

    def evaluate(output, answers):
        limit[0] = answers
        seen.clear()
        generated.clear()
        job = Job(name="eval", output=tmp_path / output, inputs={"model": model}, seed=0)
        judge = JudgeConfig(url=server.url, model="j", retries=0, workers=1)
        given = {"data_dir": str(tmp_path), "engine": "transformers", "prompts": (), "max_model_len": 32}
        return LMEval(LMEvalConfig(tasks=("smollm2_mt_bench",), judge=judge, **given)).run(job)

    with Server(reply) as server:
        whole = evaluate("whole", 99)
        assert (len(seen), sum(generated), whole.get("partial")) == (6, 6, None)
        first = evaluate("out", 2)
        assert first["partial"] == ["smollm2_mt_bench: the judge did not answer for 4 of 6 ratings"]
        assert "notes" not in first, "core says it"
        assert next(row["value"] for row in first["eval"] if row["metric"] == "judged") == pytest.approx(2 / 6)
        rated = seen[:2]
        still = evaluate("out", 1)
        assert sum(generated) == 0
        assert still["partial"] == ["smollm2_mt_bench: the judge did not answer for 3 of 6 ratings"]
        rated += seen[:1]
        last = evaluate("out", 99)
    assert (sum(generated), len(seen)) == (0, 3)
    assert len({*rated, *seen}) == 6, "none twice"
    assert {**last, "seconds": 0} == {**whole, "seconds": 0}
    for name in ("results.json", "samples.parquet"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_no_server_at_all_is_no_crash(tmp_path, monkeypatch):
    with Server(lambda body, count: (200, "")) as server:
        url = server.url
    _, _, scores = mt_bench(tmp_path, url, monkeypatch)
    assert scores == [{"judged": 0.0, "nonsense": 0.0}] * 2


def test_a_failed_request_is_made_again(monkeypatch):
    with Server(lambda body, count: (200, "[[4]]") if count == 3 else (500, "no")) as server:
        rating = judge(server.url).rate([{"role": "user", "content": "x"}])
    assert (rating.value, rating.asked, rating.nonsense) == (4.0, 3, 0)
    assert [body["seed"] for body in server.seen] == [0, 1, 2]


def test_a_refusal_is_not_asked_again():
    with Server(lambda body, count: (401, "wrong key")) as server:
        rating = judge(server.url).rate([{"role": "user", "content": "x"}])
    assert rating.value is None
    assert rating.down
    assert "401: wrong key" in rating.said
    assert len(server.seen) == 1


class Raw(Server):
    """A server that answers with the bytes that ``pieces`` gives, one after another."""

    def __init__(self, pieces, headers=()):
        super().__init__(None)

        def answer(handler):
            handler.rfile.read(int(handler.headers["Content-Length"]))
            handler.send_response(200)
            for header in headers:
                handler.send_header(*header)
            handler.end_headers()
            try:
                for piece in pieces:
                    handler.wfile.write(piece)
                    handler.wfile.flush()
            except OSError:
                pass

        self.server.RequestHandlerClass.do_POST = answer


def slowly():
    for _ in range(10_000):
        time.sleep(0.02)
        yield b" "


def compressed():
    said = json.dumps({"choices": [{"message": {"content": "[[7]]"}}]}).encode()
    return [gzip.compress(said + b" " * (1 << 24))]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pieces", "headers", "said"),
    [
        (slowly(), (), "no whole reply within 0.5 s"),
        (itertools.repeat(b"x" * (1 << 16), 99), (), "a reply of more than"),
        (compressed(), [("Content-Encoding", "gzip")], "Error"),
        ([b"[" * 200_000], (), "RecursionError"),
        ([b'{"choices": [{"message": {"content": ' + b"9" * 9999 + b"}}]}"], (), "limit"),
        ([b"\xff\xfe\x00"], (), "Error"),
        ([b"null"], (), "TypeError"),
    ],
)
def test_a_judge_that_sends_no_end_or_no_sense_is_given_up_in_time(pieces, headers, said, monkeypatch):
    monkeypatch.setattr(client, "LONGEST_REPLY", 1 << 18)
    seconds = 0.5 if "within 0.5 s" in said else 60
    started = time.monotonic()
    with Raw(pieces, headers) as server:
        rating = judge(server.url, retries=0, seconds=seconds).rate([{"role": "user", "content": "x"}])
    assert (rating.value, rating.down) == (None, True)
    assert said in rating.said
    assert len(rating.said) <= 300
    assert time.monotonic() - started < 30


def test_a_redirect_does_not_take_the_key_elsewhere(monkeypatch):
    monkeypatch.setenv("MY_KEY", "sesame")
    with Server(lambda body, count: (200, "[[4]]")) as other, Server(lambda body, count: (302, "")) as server:
        handler = server.server.RequestHandlerClass
        handler.end_headers = lambda self: (
            self.send_header("Location", other.url),
            http.server.BaseHTTPRequestHandler.end_headers(self),
        )
        rating = judge(server.url, key_variable="MY_KEY", retries=0).rate([{"role": "user", "content": "x"}])
    assert (rating.down, other.keys) == (True, [])


@pytest.mark.parametrize("reply", [(401, "no such key: sesame"), (200, "\x1b[2J[[4]] Bearer sesame"), (500, "sesame")])
def test_a_key_that_the_server_repeats_is_not_kept(reply, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sesame\n")
    with Server(lambda body, count: reply) as server:
        rating = judge(server.url, key_variable="MY_KEY", retries=0).rate([{"role": "user", "content": "x"}])
    assert server.keys == ["Bearer sesame"]
    assert "sesame" not in str(rating)
    assert "\x1b" not in str(rating)


@pytest.mark.parametrize("key", ["se\nsame", "se same", "sésame"])
def test_a_key_that_cannot_be_sent_is_refused_without_its_words(key, monkeypatch, tmp_path):
    monkeypatch.setenv("MY_KEY", key)
    config = JudgeConfig(url="http://host/v1", model="j", key_variable="MY_KEY")
    with pytest.raises(ConfigError, match=r"key_variable=MY_KEY: the variable holds") as refused:
        Judge(config)
    assert "same" not in str(refused.value)


@pytest.mark.parametrize("reply", ["not json at all", '{"choices": []}', '{"error": "x"}'])
def test_replies_of_another_form_are_failures(reply, monkeypatch):
    with Server(lambda body, count: (203, reply)) as server:
        rating = judge(server.url, retries=1).rate([{"role": "user", "content": "x"}])
    assert (rating.value, rating.down, len(server.seen)) == (None, True, 2)


def test_the_key_comes_from_the_environment_and_is_stored_nowhere(monkeypatch):
    monkeypatch.setenv("MY_KEY", "sesame")
    with Server(lambda body, count: (200, "[[4]]")) as server:
        judge(server.url, key_variable="MY_KEY").rate([{"role": "user", "content": "x"}])
        judge(server.url, key_variable="NO_KEY").rate([{"role": "user", "content": "x"}])
    assert server.keys == ["Bearer sesame", None]
    assert "sesame" not in repr(JudgeConfig(url=server.url, model="j", key_variable="MY_KEY"))


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("Rating: [[5]]", 5.0),
        ("[[7.5]] and [[2]]", 7.5),
        ("Rating: [9]", 9.0),
        ("[[0]]", None),
        ("[[11]]", None),
        ("[[rating]]", None),
        ("five", None),
        ("", None),
    ],
)
def test_ratings_are_read_as_mt_bench_reads_them(said, value):
    assert number(said) == value


def test_answers_cannot_fill_places_of_the_prompt():
    (_, user), _ = prompts.mt_bench("writing", ["q", "r"], ["{question_1} {answer_2}", "b"], [])
    assert "[The Start of Assistant's Answer]\n{question_1} {answer_2}\n[The End" in user["content"]


def test_judged_tasks_without_a_judge_are_refused_while_planning(tmp_path):
    with pytest.raises(
        ConfigError, match=r"smollm2_mt_bench is rated by another model, and eval\.judge\.url names none"
    ):
        local_tasks.check(LMEvalConfig(tasks=("smollm2_mt_bench",), data_dir=str(tmp_path)), "eval")


def test_rewritten_texts_are_rated_and_measured(tmp_path):
    folder = tmp_path / "gabrielmbmb__OpenRewriteEval" / "default"
    folder.mkdir(parents=True)
    row = {"source": "The cat sat.", "comment": "Make it formal.", "target": "The cat was seated.", "task": "formality"}
    (folder / "train.jsonl").write_text(json.dumps(row) + "\n")
    with Server(lambda body, count: (200, "[[9]]")) as server:
        config = JudgeConfig(url=server.url, model="j")
        names = ("smallwright_open_rewrite_judged", "smollm2_open_rewrite")
        settings = LMEvalConfig(tasks=names, data_dir=str(tmp_path), judge=config)
        manager = local_tasks.task_manager(settings, tmp_path / "work")
        task, measured = (manager.load([name])["tasks"][name] for name in names)
        task.take(settings, Speaker())
        task.build_all_requests(limit=None, rank=0, world_size=1)
        (request,) = task.instances
        request.resps = ["The cat was seated."]
        task.apply_filters()
        scores = task.process_results(request.doc, [request.filtered_resps["none"]])
    assert request.arguments[0] == "Make it formal.\nThe cat sat."
    assert scores == {"score": 9.0, "judged": 1.0, "nonsense": 0.0}
    assert "[The Start of the Original]\nThe cat sat.\n" in server.seen[0]["messages"][1]["content"]
    doc = next(iter(measured.eval_docs))
    assert measured.process_results(doc, ["The cat was seated."]) == {"rouge_l": 1.0}
    assert measured.process_results(doc, ["dogs"]) == {"rouge_l": 0.0}
