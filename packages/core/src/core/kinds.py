"""The kinds of things that plugins register, in one table: hook, config group, template."""

import dataclasses

from core import interfaces


@dataclasses.dataclass(frozen=True, kw_only=True)
class Template:
    """What ``python -m core.plugins new`` writes for a kind: the folder ``core/templates/<name>``."""

    name: str
    about: str
    group: str | None
    """Config group of the option that it writes; None: it writes none."""
    package: str
    """Middle of the distribution's name."""
    use: str
    """Arguments of ``core.run`` that use what was written; ``{name}`` is its name."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of thing that a plugin can register."""

    name: str
    """Plural, as in the registry and in the hook ``register_<name>``."""
    group: str | None = None
    """Config group whose options choose one by its ``name``; None: it is named inside a recipe or a setting."""
    default: str | None = None
    """Option that a run takes unless another is chosen."""
    optional: bool = True
    """Whether a run can do without the group's default; the option may then be of a package that is not installed."""
    can_be_dropped: bool = False
    """Whether ``~<group>`` leaves its work out of a run."""
    base: type | None = None
    """Base class of what is registered, where its module is light enough for planning."""
    config_base: type | None = None
    """Base class of its settings, where planning asks them something."""
    template: Template | None = None
    entry: str | None = None
    """Setting that takes what exists already, a folder or a hub id, where that is given instead of an option."""


KINDS = (
    Kind(
        name="sources",
        base=interfaces.Stage,
        template=Template(
            name="data",
            about="a data recipe with a source that makes its raw files",
            group="data",
            package="data",
            use="+data={name}",
        ),
    ),
    Kind(
        name="steps",
        config_base=interfaces.StepConfig,
        template=Template(
            name="step",
            about="a step of data recipes that keeps or rejects documents",
            group=None,
            package="data",
            use="+data=finemath '+data.steps.{name}={{}}'",
        ),
    ),
    Kind(name="executors", group="executor", default="local", optional=False),
    Kind(name="corpora", base=interfaces.Stage, group="data"),
    Kind(name="benchmarks"),
    Kind(name="published_scores"),
    Kind(name="tokenizers", group="tokenizer", base=interfaces.Tokenizer, default="bpe", entry="path"),
    Kind(name="packers", group="tokens", base=interfaces.Stage, default="packed", entry="artifact"),
    Kind(
        name="architectures",
        base=interfaces.Architecture,
        group="arch",
        template=Template(
            name="arch",
            about="an architecture on the composable decoder, with an activation of its own",
            group="arch",
            package="arch",
            use="+arch={name} +data=finemath",
        ),
    ),
    Kind(name="initializers", base=interfaces.Initializer),
    Kind(name="trainers", group="pretrain", base=interfaces.Trainer, default="torchtitan"),
    Kind(
        name="posttrainers",
        base=interfaces.Stage,
        group="posttrain",
        template=Template(
            name="posttrain",
            about="a post-training method with its own loss",
            group="posttrain",
            package="posttrain",
            use="+arch=gqa +data=finemath +posttrain={name}",
        ),
    ),
    Kind(
        name="evaluators",
        base=interfaces.Stage,
        group="eval",
        default="embedded",
        can_be_dropped=True,
        template=Template(
            name="eval",
            about="an evaluation of the trained model",
            group="eval",
            package="eval",
            use="+arch=gqa +data=finemath eval={name}",
        ),
    ),
    Kind(name="launchers", group="launcher", base=interfaces.Launcher),
    Kind(name="trackers", group="tracker", base=interfaces.Tracker),
    Kind(name="mixture_policies", group="policy", base=interfaces.MixturePolicy),
    Kind(name="schedules", base=interfaces.Schedule),
    Kind(name="model_commands", base=interfaces.ModelCommand),
)

BY_NAME = {kind.name: kind for kind in KINDS}
GROUPS = {kind.group: kind for kind in KINDS if kind.group is not None}
"""The kind that each config group chooses among."""
DEFAULT_GROUPS = tuple(kind.group for kind in KINDS if kind.group is not None and kind.default is not None)
"""Groups in the root's defaults list: an override replaces the option."""
RUN_GROUPS = ("experiment", "hardware", "scale")
"""Groups of settings of a whole run; their options choose nothing that is registered."""
COMMAND_GROUPS = {"study": "core.study"}
"""Groups whose options no run takes: each is for a command of its own."""
APPENDED_GROUPS = (*(group for group, kind in GROUPS.items() if kind.default is None), *RUN_GROUPS)
"""Groups that a user appends."""
NAMED_GROUPS = {"posttrain": "method", "tracker": "tracker"}
"""Groups whose options have their settings under their own name, ``posttrain.sft``, and what one of them is called."""
SEVERAL_GROUPS = ("data", *NAMED_GROUPS, *RUN_GROUPS)
"""Groups of which a run takes several options."""
TEMPLATES = {kind.template.name: kind.template for kind in KINDS if kind.template is not None}
"""The templates, by what ``core.plugins new`` calls them."""
KIND_OF_TEMPLATE = {kind.template.name: kind for kind in KINDS if kind.template is not None}
