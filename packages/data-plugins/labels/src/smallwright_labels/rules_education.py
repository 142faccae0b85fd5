"""Rules for general education: count signs of school subjects, of explaining, of teaching and of noise.

Points are added in the order of FineWeb-Edu's scale (FineWeb §4): basic information, a subject of education, usable and
coherent, like a section of a textbook, outstanding. The rules read English words; a well-told text without them scores
low, and a list of the right words scores high. The thresholds are ours.
"""

import dataclasses
import re

from smallwright_labels.points import any_of, count_points

SUBJECTS = any_of(
    "acids? adjectives? agriculture algebra algorithms? ancestors? ancient animals? archaeolog\\w+ atmospher\\w+ "
    "atoms? bacteria biolog\\w+ carbon cells? centur(?:y|ies) chemical chemicals chemistry chromosomes? "
    "civili[sz]ations? climate colon(?:y|ies|ial) compounds? computation constitution continents? cultures? democracy "
    "derivatives? dinosaurs? diseases? dna earth earthquakes? eclipses? ecolog\\w+ econom(?:y|ics|ists?) ecosystems? "
    "electric\\w* electrons? elements? empires? energy environments? enzymes? equations? erosion evaporat\\w+ "
    "evidence evolution experiments? extinct\\w* force[sd]? formulas? fossils? fractions? friction functions? "
    "fung(?:i|us) galax(?:y|ies) genes? genetics? geograph\\w+ geolog\\w+ geometry glaciers? governments? grammar "
    "gravit\\w+ habitats? heat histor(?:y|ic|ical|ians?) hormones? human hypothes[ie]s independence industrial "
    "infections? insects? integers? kingdoms? languages? laws? linear liquids? literature magnet\\w* mammals? mass "
    "mathematics matri(?:x|ces) measure(?:s|d|ment|ments)? metals? metaphors? microscop\\w+ minerals? molecules? "
    "monarch\\w* mountains? muscles? nerv(?:e|es|ous) neural neurons? nouns? nuclear nucleus nutrients? oceans? "
    "orbits? organs? organisms? oxygen parliament particles? philosoph\\w+ photosynthesis physics planets? plants? "
    "plates? poems? poets? politic(?:s|al) populations? predators? pressure prey probabilit(?:y|ies) programming "
    "proteins? radiation reactions? religions? reptiles? republic revolution\\w* rivers? rocks? "
    "scien(?:ce|ces|tific|tists?) senses skeletons? soil solar solids? species stars? statistics sunlight symmetr\\w+ "
    "telescopes? temperatures? theor(?:y|ies) tissues? triangles? tropical universe vaccines? variables? vectors? "
    "verbs? virus(?:es)? vitamins? volcan\\w+ voltage vowels? war wars water waves? weather weight"
)
EXPLAINING = re.compile(
    r"\b(?:because|therefore|thus|hence|consequently|as a result|this means|that is why|in other words|for example|"
    r"for instance|such as|is called|are called|is known as|are known as|is defined as|refers to|is made (?:of|up)|"
    r"consists? of|is caused by|causes?|due to|depends? on|compared (?:to|with)|whereas|unlike|in contrast|similarly|"
    r"when(?:ever)? [a-z]+ [a-z]+,|if [a-z]+ [a-z]+,|so that|leads? to|allows?|in order to)\b"
)
TEACHING = any_of(
    "activit(?:y|ies) answers? chapter class classroom compare concepts? consider define definitions? describe "
    "diagrams? discuss example examples exercise exercises explain explains explanation figure glossary grade "
    "homework hint how identify illustrat\\w+ important introduction keywords? learn learned learners? learning "
    "lesson lessons main meaning note objectives? observe overview practice problem problems question questions quiz "
    "recall remember review section solution solve step steps student students study summary summari[sz]e table "
    "teachers? teaching textbook think topic tutorial understand understanding units? vocabulary what why worksheet"
)
STRUCTURE = re.compile(
    r"^\s{0,3}(?:#{1,6}\s|\d{1,2}(?:\.\d{1,2})*[.)]?\s+[A-Z]|[-*•]\s|step\s+\d|chapter\s|(?:question|exercise|example|"
    r"activity|lesson|unit|section|figure|table)\s+\d|(?:summary|introduction|conclusion|objectives|"
    r"key (?:terms|points|ideas)|review|glossary|questions|exercises|vocabulary)\b)",
    re.MULTILINE | re.I,
)
NOISE = re.compile(
    r"\b(?:add to (?:cart|basket)|all rights reserved|book now|buy|call us|check ?out|click here|contact us|cookies?|"
    r"coupons?|customers?|deals?|discounts?|download(?:s|ed)?|e-?mail|facebook|follow us|free shipping|gift|hotels?|"
    r"in stock|instagram|login|log in|money back|my account|newsletter|offers?|order now|per month|posted by|prices?|"
    r"pricing|privacy policy|promo|read more|repl(?:y|ies)|reviews|sale|services?|share this|shipping|shop|"
    r"sign (?:in|up)|sponsored|subscribe|tickets?|twitter|your cart|wishlist)\b"
)
CHATTER = re.compile(r"\b(?:i|i'm|i've|my|me|lol|omg|awesome|haha|guys|yeah|gonna|btw)\b|!{1,}")
WORD = re.compile(r"[a-z']+")
SENTENCE_END = re.compile(r"[.?!](?:\s|$)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signs:
    """What the rules count in a text. Densities are per 100 words, so that long pages gain nothing by length."""

    words: int
    sentences: int
    subjects: int
    """Different words of school subjects."""
    subject_density: float
    explaining: int
    teaching: int
    """Different words of teaching."""
    structure: int
    """Lines that head or list something."""
    questions: int
    noise_density: float
    chatter_density: float


def read_signs(text: str) -> Signs:
    """Count the signs in a text."""
    lower = text.lower()
    words = len(WORD.findall(lower))
    per_hundred = 100 / max(1, words)
    subjects = SUBJECTS.findall(lower)
    return Signs(
        words=words,
        sentences=len(SENTENCE_END.findall(lower)),
        subjects=len(set(subjects)),
        subject_density=len(subjects) * per_hundred,
        explaining=len(EXPLAINING.findall(lower)),
        teaching=len(set(TEACHING.findall(lower))),
        structure=len(STRUCTURE.findall(text)),
        questions=lower.count("?"),
        noise_density=len(NOISE.findall(lower)) * per_hundred,
        chatter_density=len(CHATTER.findall(lower)) * per_hundred,
    )


def score_education(text: str) -> int:
    """Return 0 to 5: the points of FineWeb-Edu's scale, each given only with those before it."""
    signs = read_signs(text)
    points = (
        signs.words >= 40 and signs.subjects >= 2 and signs.sentences >= 2,
        signs.subjects >= 4 and signs.subject_density >= 1.0 and signs.noise_density <= 2.0,
        signs.words >= 120
        and signs.subjects >= 6
        and signs.subject_density >= 2.0
        and signs.explaining >= 3
        and signs.noise_density <= 0.8
        and signs.chatter_density <= 1.5,
        signs.words >= 200
        and signs.explaining >= 5
        and signs.teaching >= 5
        and signs.structure >= 2
        and signs.noise_density <= 0.4
        and signs.chatter_density <= 0.8,
        signs.words >= 250
        and signs.explaining >= 8
        and signs.teaching >= 9
        and signs.structure >= 5
        and signs.questions >= 2
        and signs.noise_density <= 0.2,
    )
    return count_points(points)
