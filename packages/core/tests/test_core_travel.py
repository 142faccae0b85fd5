"""A job crosses to another process with its stage, architecture and executor, also those of a local plugin file."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from core import graph, travel
from core.data.executor import LocalExecutor
from core.errors import ConfigError
from core.interfaces import Job, Stage

READ = """
import dataclasses, json, sys
from pathlib import Path
from core.interfaces import Job
job = Job.read(Path(sys.argv[1]))
parts = {}
for name in ("stage", "architecture", "executor"):
    part = getattr(job, name)
    made_by = f"{type(part).__module__}:{type(part).__name__}"
    parts[name] = {"class": made_by, "settings": dataclasses.asdict(part.config)}
plain = {"name": job.name, "output": str(job.output), "inputs": {k: str(v) for k, v in job.inputs.items()}}
plain |= {"seed": job.seed, "plugin_files": job.plugin_files, "record": job.record}
print(json.dumps({**plain, **parts, "file": sys.modules["toy_plugin"].__file__}))
"""


def in_another_process(path, folder):
    """Read a job in a process that was started elsewhere, and return what it has got."""
    line = [sys.executable, "-c", READ, str(path)]
    return json.loads(subprocess.run(line, cwd=folder, capture_output=True, text=True, check=True).stdout)


@pytest.mark.slow
def test_a_job_of_a_local_plugin_file_is_the_same_in_another_process(registry, composed, workdir):
    config = composed("pretrain.steps=7", "arch.hidden_size=6", "seed=3")
    spec = next(spec for spec in graph.build(config, registry) if spec.name == "pretrain")
    job = spec.job(Path("store"), ("toy_plugin.py",), {"toy": "1.0"})
    workers = registry.get("executors", "local").settings({"workers": 2}, "executor")
    job = dataclasses.replace(job, executor=LocalExecutor(workers, ("toy_plugin.py",)))
    job.write(workdir / "logs" / "pretrain.job.json")
    (workdir / "elsewhere").mkdir()
    told = in_another_process(workdir / "logs" / "pretrain.job.json", workdir / "elsewhere")
    assert told["name"] == "pretrain"
    assert told["seed"] == 3
    assert told["output"] == str(workdir / job.output), "paths are absolute: the process may be started elsewhere"
    assert told["inputs"] == {role: str(workdir / folder) for role, folder in job.inputs.items()}
    assert told["file"] == str(workdir / "toy_plugin.py")
    assert told["plugin_files"] == [str(workdir / "toy_plugin.py")]
    assert told["record"] == json.loads(json.dumps(job.record))
    assert told["stage"] == {"class": "toy_plugin:Work", "settings": dataclasses.asdict(job.stage.config)}
    assert told["stage"]["settings"]["steps"] == 7
    assert told["architecture"] == {"class": "toy_plugin:Tiny", "settings": dataclasses.asdict(job.architecture.config)}
    assert told["architecture"]["settings"]["hidden_size"] == 6
    assert told["executor"] == {"class": "core.data.executor:LocalExecutor", "settings": {"workers": 2}}


def test_a_job_without_architecture_and_executor_is_read_as_one(tmp_path):
    Job(name="x", output=tmp_path / "out", inputs={}, seed=0, stage=Counting(None)).write(tmp_path / "job.json")
    job = Job.read(tmp_path / "job.json")
    assert type(job.stage) is Counting
    assert job.stage.config is None
    assert (job.architecture, job.executor, job.plugin_files, job.record) == (None, None, (), {})


class Counting(Stage):
    def run(self, job):
        return {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Deep:
    shares: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outer:
    deep: Deep = Deep()
    words: tuple[str, ...] | None = None


class Holder:
    class Inner:
        def __init__(self, config, *more):
            self.config, self.more = config, more


def test_settings_keep_their_types_through_json():
    made = Holder.Inner(Outer(deep=Deep(shares=(0.5, 1.0)), words=("a",)))
    again = travel.rebuild(json.loads(json.dumps(travel.describe(made))), "x", "more")
    assert type(again) is Holder.Inner
    assert again.config == made.config
    assert again.more == ("more",)
    assert travel.rebuild(travel.describe(None), "x") is None


def test_settings_are_checked_where_they_arrive():
    described = travel.describe(Holder.Inner(Outer()))
    described["values"]["wrods"] = ["a"]
    with pytest.raises(ConfigError, match=r"tokenizer\.wrods: unknown key\. Did you mean 'words'"):
        travel.rebuild(described, "tokenizer")
