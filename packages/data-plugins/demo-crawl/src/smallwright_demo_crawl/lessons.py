# ruff: noqa: E501 (sentences and mark-up are easier to read in one piece)
"""Mathematics pages of the made-up crawl: lessons, and answers in a forum."""

import random

from smallwright_demo_crawl.topics import TOPICS, Topic
from smallwright_demo_crawl.words import NAMES, PLACES, THINGS, Pool, fill, held_out

OPENERS = (
    "[Welcome to|This is|Here is] a [short|careful|friendly] [course|unit] about [ideas|rules] that <name> [met|needed] at the <place>.",
    "[Every|Each] [section|part] [below|that follows] [explains|teaches] one [idea|rule] and [works|goes] through [examples|solved problems] [slowly|line by line].",
    "[Read|Study] the [explanations|reasons] [first|before anything else], [cover|hide] the [answers|solutions], and [try|attempt] each [task|exercise] [yourself|alone].",
    "The [problems|questions] [come from|were written for] [lessons|evenings] at the <place>, where <name> [teaches|helps] a [small|lively|patient] group.",
    "[Nothing|No knowledge] beyond [whole numbers|ordinary arithmetic] is [needed|assumed], [only|just] [paper|a notebook] and [some|a little] patience.",
    "<name> [once|recently] [asked|wondered] why these [methods|rules] [work|are true], and this [page|text] [answers|tries to answer] that [question|doubt].",
    "[Good|Clear] [notes|habits] [matter|help] more than [speed|talent]: [write|put] every [step|line] of the [argument|calculation] on its own [row|line].",
)
EXAMPLES = (
    "[Worked example|Solved problem|Example] from the <place>, [told|written down] by <name>.",
    "[Consider|Look at|Let us study] the [next|following] [case|problem], [which|that] <name> [met|saw] while [sorting|packing] <things>.",
    "[Here|Now] is a [question|task] [like|similar to] those [asked|set] at the <place> [last|each] [week|term|spring].",
    "[Suppose|Imagine] that <name> [must|has to] [explain|show] this to a [friend|neighbour|cousin] near the <place>.",
    "[Try|Attempt] this one [alone|on paper] [before|and only then] [reading|looking at] the [solution|steps] by <name>.",
    "[Another|One more] [example|exercise], [a little|slightly] [harder|longer], [was found|appeared] in a [notebook|letter] from <name>.",
    "At the <place> somebody [wrote|chalked] this [problem|puzzle] on the [board|wall] [beside|near] the <things>.",
)
SOLUTIONS = (
    "[Solution|Answer|Working], [step by step|one step at a time|line by line].",
    "[Let us|We] [solve|treat|answer] it [slowly|with care|in order], [giving|with] a reason for [each|every] [line|step].",
    "[The reasoning|The argument|Our method] [goes|runs] as follows.",
    "[First|At first] [think|pause], [then|and then] [calculate|compute].",
)
CHECKS = (
    "[A quick|An easy] [estimate|check] by <name> [agrees|confirms the result], [so|and] we [trust|accept] it.",
    "[Notice|Observe|See] how [each|every] [line|step] [follows|comes] from the one [before|above].",
    "[Ask|Check] [yourself|again] whether the [size|magnitude] of this [result|answer] is [sensible|reasonable].",
    "<name> [drew|made] a [picture|sketch] with <things> [to|and could] [confirm|see] it.",
    "[Change|Vary] the numbers and [repeat|redo] the [steps|method] until it [feels|becomes] [natural|easy].",
    "[Saying|Reading] the steps [aloud|to a friend] at the <place> [helps|is a good way] to [remember|keep] them.",
)
REASONS = (
    "[Nobody|No learner] should [simply|only] memorise the [rule|recipe] because a [rule|method] that is [understood|seen through] can be [rebuilt|found again] whenever memory [fails|becomes weak].",
    "[A picture|A drawing|A sketch] of the [situation|problem] [often|usually] [shows|reveals] which [operation|calculation] is [needed|right] and which [numbers|facts] in the text are [unimportant|only decoration].",
    "The [words|phrases] of the question [tell|show] us what is [known|given] and what is [unknown|missing] and that [difference|contrast] is the [heart|centre] of [every|each] [exercise|problem].",
    "[People|Traders] in [old|ancient] [towns|markets] [used|knew] the same [idea|method] long before anybody [wrote|printed] it in [textbooks|books] for [schools|children].",
    "[Explain|Describe] the [reason|idea] in your own words to a [patient|curious] listener and you will [notice|discover] at once which [part|step] is still [unclear|shaky].",
    "[It is|It may be] [useful|wise] to [guess|estimate] the [size|order] of the [answer|result] before the exact [work|calculation] [begins|starts] because [wild|large] errors are then [easy|simple] to [spot|catch].",
    "<name> [prefers|likes] to [write|note] the [reason|rule] beside each [line|step] so that a reader at the <place> can [follow|check] the whole [argument|solution] [later|without help].",
    "[Several|Different] [roads|ways] lead to the same [answer|result] and [comparing|discussing] them [teaches|shows] more about [numbers|mathematics] than [doing|finishing] another ten [exercises|tasks].",
    "If the [first|chosen] [attempt|method] [leads|goes] nowhere then [return|go back] to the [question|text] and [read|study] it as though <name> had [asked|sent] it [today|for the first time].",
    "[Units|Names] such as <things> [belong|stay] with the numbers [throughout|during] the [work|calculation] so that the final [sentence|statement] [means|says] something about the [real|original] [situation|story].",
    "A [careful|thoughtful] [student|reader] [stops|pauses] here and [asks|wonders] whether the [rule|reasoning] would [survive|still hold] with [other|larger|negative] numbers in [place|the role] of these.",
    "The [same|very same] [thought|principle] [returns|appears] in [harder|later] [chapters|courses] where letters [replace|stand for] the numbers and [formulas|general rules] [take|fill] the place of [examples|single cases].",
)
CLOSERS = (
    "[In summary|To sum up|Looking back], the [methods|ideas] on this page [share|follow] one [principle|plan]: [simplify|split] first and [compute|calculate] later.",
    "[Practise|Repeat] [these|such] tasks [for|over] a [few|couple of] days, and [soon|before long] the <things> [at|in] the <place> will [count|sort] themselves.",
    "[Next|The following] [week|time] <name> will [continue|go on] with [harder|new] [questions|problems] and [send|share] [solutions|answers] from the <place>.",
    "[If|Whenever] a step [stays|remains] [unclear|dark], [go|turn] back to its [example|picture] and [rebuild|repeat] the [argument|reasoning] there.",
)


def statement(topic: Topic, rng: random.Random, *, for_items: bool) -> tuple[str, str, dict[str, object]]:
    """Return the two halves of a topic's key statement, and its numbers: those of evaluation items, or those of pages."""
    while True:
        values = topic.numbers(rng)
        if held_out(values["a"], values["b"]) == for_items:
            break
    values |= {"name": rng.choice(NAMES), "things": rng.choice(THINGS), "place": rng.choice(PLACES)}
    return fill(topic.key[0], rng, values), fill(topic.key[1], rng, values), values


class Writer:
    """Draws sentences for one page; none comes twice before its pool is used up."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.pools = {name: Pool(pool, rng) for name, pool in POOLS.items()}

    def say(self, pool: str) -> str:
        """Return a sentence from a pool."""
        rng = self.rng
        values = {"name": rng.choice(NAMES), "things": rng.choice(THINGS), "place": rng.choice(PLACES)}
        return fill(self.pools[pool].draw(), rng, values)

    def example(self, topic: Topic, *, lead: bool = True) -> list[str]:
        """Return the paragraphs of a worked example."""
        context, continuation, values = statement(topic, self.rng, for_items=False)
        opening = f"{self.say('examples')} " if lead else ""
        steps = " ".join(fill(step, self.rng, values) for step in topic.steps)
        return [
            f"{opening}{context} {continuation}",
            f"{self.say('solutions')} {steps} {self.say('checks')} {self.say('reasons')}",
        ]

    def section(self, topic: Topic, examples: int) -> list[tuple[str, str]]:
        """Return (tag, text) of a section: a heading, the idea, examples and a typical slip."""
        ideas = " ".join(fill(idea, self.rng) for idea in self.rng.sample(topic.ideas, len(topic.ideas)))
        blocks = [("h2", topic.title), ("p", f"{ideas} {self.say('reasons')} {self.say('reasons')}")]
        for _ in range(examples):
            blocks += [("p", paragraph) for paragraph in self.example(topic)]
        return [*blocks, ("p", fill(self.rng.choice(topic.slips), self.rng))]


POOLS = {
    "openers": OPENERS,
    "examples": EXAMPLES,
    "solutions": SOLUTIONS,
    "checks": CHECKS,
    "reasons": REASONS,
    "closers": CLOSERS,
}


def lesson(rng: random.Random) -> tuple[str, list[tuple[str, str]], int]:
    """Return title, blocks and the maths label (4 or 5) of a lesson on several topics."""
    writer = Writer(rng)
    topics = rng.sample(list(TOPICS.values()), rng.choice((3, 4, 4)))
    title = f"{topics[0].title} and {topics[1].title.lower()}: a lesson with {rng.choice(NAMES)}"
    blocks = [("p", " ".join(writer.say("openers") for _ in range(rng.choice((2, 3)))))]
    for topic in topics:
        blocks += writer.section(topic, rng.choice((1, 2, 2)))
    blocks.append(("p", " ".join(writer.say("closers") for _ in range(2))))
    return title, blocks, 5 if len(topics) == 4 else 4


def forum_thread(rng: random.Random) -> tuple[str, list[tuple[str, str]], int]:
    """Return title, blocks and label (3 or 4) of a question with answers that solve it."""
    writer = Writer(rng)
    topics = rng.sample(list(TOPICS.values()), 2)
    names = rng.sample(NAMES, 3)
    ask = fill(
        "[Hello|Hi|Dear all], [I am|we are] [stuck|lost] with this [homework|exercise] and [cannot|do not] see why it [works|is true].",
        rng,
    )
    blocks = [("h1", f"Question about {topics[0].title.lower()}"), ("p", f"{names[0]} asks: {ask}")]
    for name, topic in zip(names[1:], topics, strict=True):
        idea = fill(rng.choice(topic.ideas), rng)
        blocks.append(
            (
                "p",
                f"{name} answers: {idea} {writer.say('reasons')} {writer.say('reasons')} {fill('[Let me|I will] [show|give] an example.', rng)}",
            )
        )
        for _ in range(2):
            blocks += [("p", paragraph) for paragraph in writer.example(topic, lead=rng.random() < 0.8)]
    thanks = fill(
        "[Thank you|Thanks], [now|at last] the [method|idea] is [clear|plain] to me and I [solved|finished] the [others|rest].",
        rng,
    )
    return f"{topics[0].title} - help forum", [*blocks, ("p", f"{names[0]} replies: {thanks}")], rng.choice((3, 4))
