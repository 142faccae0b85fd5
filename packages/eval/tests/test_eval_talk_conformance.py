"""The commands on a model hold what every such command must."""

from smallwright_testing import ModelCommandConformance


class TestChat(ModelCommandConformance):
    plugin = "chat"
    settings = {"max_new_tokens": 4, "temperature": 0.0}
    wrong_settings = {"temperature": {"temperature": -1.0}, "top_p": {"top_p": 0.0}}
    typed = "Hello\n/help\n/system Be brief.\n/nothing\n/reset\n/set temperature=0.5\n"


class TestGenerate(ModelCommandConformance):
    plugin = "generate"
    settings = {"max_new_tokens": 4, "prompts": "p.txt", "out": "o.jsonl"}
    wrong_settings = {"out": {"out": "o.txt"}, "n": {"n": 2, "temperature": 0.0}}

    @classmethod
    def prepare(cls, folder):
        (folder / "prompts.txt").write_text("One.\nTwo, three.\n")
        return {"prompts": str(folder / "prompts.txt"), "out": str(folder / "answers.jsonl")}


class TestServe(ModelCommandConformance):
    plugin = "serve"
    settings = {"port": 0}
    wrong_settings = {"port": {"port": 70000}}
    ends = False


class TestBench(ModelCommandConformance):
    plugin = "bench"
    settings = {"prompt_tokens": [8], "new_tokens": [3], "repeats": 1}
    wrong_settings = {"batch": {"batch": [1, 1]}}

    @classmethod
    def prepare(cls, folder):
        return {"out": str(folder / "table")}
