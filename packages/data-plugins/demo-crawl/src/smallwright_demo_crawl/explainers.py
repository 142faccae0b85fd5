# ruff: noqa: E501 (sentences are easier to read in one piece)
"""Pages of the made-up crawl that teach school subjects in prose, for recipes that look for education at large."""

import random

from smallwright_demo_crawl.render import Blocks
from smallwright_demo_crawl.words import NAMES, Pool, fill

SITES = ("openscience", "classroomatlas", "curiousminds", "fieldnotes", "learnbydoing")
SUBJECTS: dict[str, tuple[str, ...]] = {
    "plants": (
        "[Green|Leafy] plants make their own food by photosynthesis: with the energy of sunlight they [turn|change] water and carbon dioxide into sugar and oxygen.",
        "The leaf is [flat|thin] because a [broad|wide] surface [catches|collects] more sunlight, and tiny holes on its lower side let carbon dioxide [in|pass].",
        "Roots [hold|anchor] the plant in the soil and [take up|absorb] water; when the soil dries out, the plant [wilts|droops], because its cells lose pressure.",
        "A seed [contains|holds] a small plant and a [store|supply] of food, so that it can [grow|live] until the first leaves reach the light.",
        "Many flowers are [bright|scented] in order to [attract|invite] insects, which [carry|bring] pollen from one plant to another.",
        "Moss and ferns have no flowers; they [spread|multiply] by spores, which are [lighter|smaller] than seeds and travel with the wind."),
    "weather": (
        "Clouds [form|appear] when warm, moist air rises and cools, because cool air can hold less water than warm air.",
        "Wind is air that [moves|flows] from a place of high pressure to a place of low pressure; the [greater|larger] the difference, the stronger the wind.",
        "The water cycle never stops: water evaporates from oceans, [falls|returns] as rain, and [runs|flows] through rivers back to the sea.",
        "A thunderstorm [needs|requires] warm, moist air near the ground; lightning is caused by electric charges that [build up|gather] inside the cloud.",
        "Climate is the weather of a region [measured|averaged] over many years, whereas weather can [change|turn] within an hour.",
        "Mountains [force|push] air to rise, which is why one side is often [wet|green] and the other side [dry|brown]."),
    "rivers and rocks": (
        "A river [carries|moves] sand and stones downhill; this slow wearing away of the land is called erosion.",
        "Sandstone is made of grains of sand that were pressed together for [millions|many millions] of years, layer upon layer.",
        "Volcanoes [occur|are found] where the plates of the Earth's crust [meet|move apart], because melted rock can rise there.",
        "Fossils are known as the [remains|traces] of plants and animals in rock; for example, shells on a mountain show that it once lay below the sea.",
        "Granite cools [slowly|gently] deep underground, so that its minerals grow [large|big] enough to see without a microscope.",
        "Where a river reaches the sea it slows down and drops its load, which leads to a [flat|fan-shaped] delta."),
    "ancient cities": (
        "The first cities [grew|arose] beside rivers, because floods left fertile soil and boats could carry grain.",
        "Writing was [invented|developed] in order to [record|count] goods and taxes; historians learn from these tablets how people lived.",
        "An empire is a large territory ruled by one government; the Roman empire, for instance, [built|laid] roads so that armies could move [fast|quickly].",
        "Aqueducts [brought|led] water over many kilometres by a gentle slope, therefore no pumps were needed.",
        "In a democracy citizens [vote|decide] about laws, but in ancient Athens only a [small|minor] part of the population was allowed to.",
        "Archaeologists [dig|search] carefully, layer by layer, because the depth of a find is evidence of its age."),
    "the human body": (
        "The heart is a muscle that pumps blood through the body; the blood carries oxygen and nutrients to every cell.",
        "Bones are joined by muscles that can only pull, so that [each|every] movement needs a pair of them, such as the two muscles of the upper arm.",
        "Nerves send signals to the brain in a [fraction|small part] of a second; that is why we draw back a hand before we feel the heat.",
        "Food is broken down by enzymes into small molecules, which pass through the wall of the gut into the blood.",
        "Bacteria and viruses cause diseases; a vaccine shows the body a harmless part of them, so that it learns to [fight|recognise] them.",
        "Lungs are made up of millions of tiny bags, because together they have a large surface where oxygen can pass."),
    "electricity and magnets": (
        "An electric current is a flow of electrons; it only flows when the circuit is closed, as a result a switch can stop it.",
        "Metals [conduct|carry] electricity well, whereas glass and plastic do not and are called insulators.",
        "A magnet has two poles; unlike poles attract each other and similar poles [repel|push away], for example when two bar magnets meet.",
        "A coil of wire with a current in it is a magnet too, which allows motors and bells to work.",
        "Voltage is compared to the pressure of water in a pipe: the higher it is, the more current it can [drive|push] through a wire.",
        "Energy is never lost; in a lamp it changes into light and heat, and in a motor into movement."),
    "stars and planets": (
        "The Earth turns once a day, so that the Sun seems to [rise|climb] in the east and set in the west.",
        "Seasons are caused by the tilt of the Earth and not by its distance from the Sun: in summer the light falls more steeply.",
        "Planets stay in their orbits because of gravity, which depends on mass and becomes weaker with distance.",
        "A star is a ball of hot gas; its colour tells scientists its temperature, for blue stars are hotter than red ones.",
        "The Moon shines because it reflects sunlight, and its shape seems to change as it moves around the Earth.",
        "Telescopes collect more light than the eye, therefore they show galaxies that are too faint to see otherwise."),
}  # fmt: skip
OPENINGS = (
    "In this lesson you will learn about <one> and about <two>, and how scientists came to understand them.",
    "This chapter is an introduction to <one>; its second section is about <two>. Read it with a pencil in your hand.",
    "Students often ask <name>, who teaches this unit, why <one> and <two> are in the same chapter: both show how we learn from evidence.",
)
QUESTIONS = (
    "Explain in your own words what you learned about <one>. Which example helped you most?",
    "Compare <one> with <two>: what is similar, and what is different?",
    "Describe an experiment or an observation that a class could do to test one sentence of this section.",
    "What would change if one of the facts above were not true? Discuss your answer with a partner.",
    "Draw a diagram of one process in this lesson and label its steps. Can you think of a step that is missing?",
)
NOTES = (
    "Remember to note the key words of each section; the vocabulary list helps you to review them before the quiz.",
    "Observe closely, write down what you see, and only then consider an explanation.",
    "A good summary has three steps: name the main concept, give an example, and say why it is important.",
)


def explainer(rng: random.Random) -> tuple[str, Blocks]:
    """Return title and blocks of a page that teaches two subjects in prose."""
    one, two = rng.sample(sorted(SUBJECTS), 2)
    values = {"one": one, "two": two, "name": rng.choice(NAMES)}
    questions, notes = Pool(QUESTIONS, rng), Pool(NOTES, rng)
    blocks: Blocks = [("p", fill(rng.choice(OPENINGS), rng, values))]
    for number, subject in enumerate((one, two), start=1):
        facts = Pool(SUBJECTS[subject], rng)
        blocks.append(("h2", f"Section {number}: {subject}"))
        for _ in range(2):
            blocks.append(("p", " ".join(fill(facts.draw(), rng, values) for _ in range(2))))
        blocks.append(("p", fill(notes.draw(), rng, values)))
        blocks.append(("p", fill(facts.draw(), rng, values)))
    blocks.append(("h2", "Questions"))
    blocks += [("li", f"Question {number}: {fill(questions.draw(), rng, values)}") for number in range(1, 5)]
    return f"{one.capitalize()}, and {two}", blocks
