"""A mixture policy on its way from the settings of a run to the process that trains."""

import dataclasses

import pytest
from core.errors import ConfigError
from core.interfaces import Job, MixturePolicy, Trainer
from core.policy import PolicyConfig, check_covers
from core.registry import Entry
from core.stage_spec import PolicyChoice, StageSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class HalvesConfig(PolicyConfig):
    part: float = 0.5


class Halves(MixturePolicy):
    def decide(self, step, losses_by_source, shares):
        return None


class Plain(Trainer):
    def plan(self, architecture):
        return {}

    def run(self, job):
        return {}


def test_a_policy_reaches_the_process_that_trains(tmp_path):
    policy = Halves(HalvesConfig(fenced=("gems",)))
    policy.state = {"turn": 3}
    Job(name="pretrain", output=tmp_path, inputs={}, seed=0, policy=policy).write(tmp_path / "job.json")
    found = Job.read(tmp_path / "job.json").policy
    assert isinstance(found, Halves)
    assert found.config == policy.config
    assert found.fenced == ("gems",)
    assert found.state == {}, "what it remembers is in the log of decisions"


def entry(name, version=1):
    return Entry(
        kind="mixture_policies",
        name=name,
        target=f"{__name__}:Halves",
        config=None,
        plugin="test",
        distribution="test",
        version="1",
        artifact_version=version,
    )


def test_a_policy_is_a_part_of_the_identity_and_none_leaves_it_as_it_was():
    plain = StageSpec(name="pretrain", folder="pretrain", label="x", entry=entry("toy"), config=None)
    assert "policy" not in plain.identity()
    digests = {plain.digest}
    for version, content in ((1, {"part": 0.5}), (1, {"part": 0.6}), (2, {"part": 0.5})):
        choice = PolicyChoice(entry=entry("halves", version), config=None, content=content)
        digests.add(dataclasses.replace(plain, policy=choice).digest)
    assert len(digests) == 4


def test_a_trainer_that_does_not_know_policies_refuses_them():
    with pytest.raises(ConfigError, match=r"^policy: Plain trains on one mixture to the end\. Leave \+policy out\.$"):
        Plain().takes_policy(Halves(), ["web", "code"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"web": 1, "cod": 2}, "policy.targets.cod: the policy sees no corpus cod. It sees web, code."),
        ({"web": 1}, "policy.targets: has no value for code. Give one for each of web, code."),
    ],
)
def test_settings_by_corpus_name_those_that_there_are(given, said):
    with pytest.raises(ConfigError) as caught:
        check_covers("policy.targets", given, ["web", "code"])
    assert str(caught.value) == said
    check_covers("policy.targets", {"web": 1}, ["web", "code"], all_of_them=False)
