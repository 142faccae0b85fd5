"""Rules for mathematics: count signs of mathematics, of reasoning and of teaching.

Points are added in the order of FineMath's scales (SmolLM2 §3.3.2). The scale to 5: some mathematics, a mathematical
topic, problem solving, step-by-step teaching at school level, outstanding. The scale to 3: mathematics, reasoning,
clear solutions at the right level. The rules read English words and cannot tell right from wrong mathematics. The
thresholds are ours.
"""

import dataclasses
import re

from smallwright_labels.points import any_of, count_points

# Words that a school lesson uses for its subject; words of everyday use ("table", "number") are left out.
TOPICS = any_of(
    "add(?:s|ed|ing|ition)? algebra(?:ic)? angles? areas? arithmetic average coefficients? coordinates? cosine "
    "decimals? denominators? derivatives? diameter difference digits? divid(?:e|es|ed|ing) divisors? divisible "
    "division equals? equations? equivalent expressions? exponents? factors? factoring formulas? fractions? functions? "
    "geometry graphs? inequalit(?:y|ies) integers? integrals? intercept lengths? math(?:s|ematics|ematical)? median "
    "multipl(?:y|ies|ied|ying|ication|es?) numerators? parallel percent(?:ages?)? perimeters? perpendicular "
    "polynomials? primes? probabilit(?:y|ies) products? proportions? pythagorean quadratic quotients? radius ratios? "
    "rectangles? remainders? roots? sequences? sine slopes? squares? squared statistics subtract(?:s|ed|ing|ion)? "
    "sums? tangent theorems? trapezoids? triangles? trigonometry unknowns? variables? vectors? volumes?"
)
REASONING = any_of(
    "answers? because calculate check compute conclude consequently deduce find follows given gives hence if implies "
    "let means proof prove simplify since so solutions? solve[ds]? solving substitut(?:e|es|ing) suppose then "
    "therefore thus verify"
)
TEACHING = any_of(
    "carry check definition example examples exercise exercises explain explained explanation explore first finally "
    "guided hint how idea imagine learn lesson lessons let's method next notice practice problem problems question "
    "questions recall remember review rule second solution solutions step steps strategy summary then think tip try "
    "understand why worked"
)
STEPS = re.compile(
    r"\bstep\s*(?:\d+|one|two|three|four)\b|^\W{0,4}\d{1,2}[.)]\s+\S|\b(?:first|second|next|finally|then|now),?\s+\w+",
    re.MULTILINE,
)
# Words of university mathematics: right topic, wrong level for FineMath's fourth point.
ADVANCED = any_of(
    "abelian adjoint asymptotic axiom\\w* banach bijections? cardinality cohomology compactness computable convolution "
    "corollary countable decidable eigenvalues? functor gradients? hilbert holomorphic homomorphism isomorphi[cs]\\w* "
    "jacobian lagrangian lemma manifolds? measurable morphisms? ordinals? quantifiers? semantics stochastic tensors? "
    "topolog\\w+"
)
SELLING = re.compile(
    r"\b(?:add to (?:cart|basket)|buy now|checkout|coupons?|customers?|discounts?|free (?:delivery|shipping)|in stock|"
    r"money back|my account|newsletter|offers?|on sale|order now|per month|prices?|pricing|promo|returns policy|"
    r"shipping|shop|sign up|special offer|sponsored|subscribe|wishlist)\b"
)
CONVERTING = re.compile(r"\b(?:converters?|conversions?|convert \d|exchange rates?|calculator results?)\b")

OPERATOR = r"[-+*/×·÷=<>≤≥≈≠^−:]"
EXPRESSION = re.compile(
    # 3 + 4, x = 5, 2x^2: a number or a single letter on both sides; a hyphen or slash needs spaces, which dates and
    # telephone numbers do not have; of 1,2,3 + 4 only the 3 is tried, so that a long list of numbers takes linear time
    r"(?<![\w.-])(?:\d(?:[\d.]|,(?!\d))*+[a-z]?|[a-z]|\))\s?(?:[+*×·÷=<>≤≥≈≠^]|\s[-−/:]\s)\s?[-−]?\(?(?:\d|[a-z]\b|\\)"
)
MARKUP = re.compile(
    r"\$[^$\n]{0,200}?[\\^_=+<>{}][^$\n]{0,200}?\$|\\(?:frac|sqrt|sum|int|times|cdot|div|le|ge|begin)\b|\\[(\[]"
)
WORD = re.compile(r"[a-z']+|\d+")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signs:
    """What the rules count in a text. Densities are per 100 words, so that long pages gain nothing by length."""

    words: int
    formulas: int
    """Expressions and pieces of TeX."""
    formula_density: float
    topics: int
    """Different mathematical words."""
    topic_density: float
    reasoning: int
    teaching: int
    """Different words of teaching."""
    steps: int
    advanced_density: float
    selling_density: float
    converting: int


def read_signs(text: str) -> Signs:
    """Count the signs in a text."""
    lower = text.lower()
    words = len(WORD.findall(lower))
    per_hundred = 100 / max(1, words)
    topics = TOPICS.findall(lower)
    formulas = len(EXPRESSION.findall(lower)) + len(MARKUP.findall(lower))
    return Signs(
        words=words,
        formulas=formulas,
        formula_density=formulas * per_hundred,
        topics=len(set(topics)),
        topic_density=len(topics) * per_hundred,
        reasoning=len(REASONING.findall(lower)),
        teaching=len(set(TEACHING.findall(lower))),
        steps=len(STEPS.findall(lower)),
        advanced_density=len(ADVANCED.findall(lower)) * per_hundred,
        selling_density=len(SELLING.findall(lower)) * per_hundred,
        converting=len(CONVERTING.findall(lower)),
    )


def score_maths(text: str) -> int:
    """Return 0 to 5: the points of FineMath's scale, each given only with those before it."""
    signs = read_signs(text)
    if signs.converting >= 3 and signs.reasoning < 3:
        return 1
    if signs.selling_density > 1.0:
        return 1 if signs.formulas + signs.topics >= 4 else 0
    points = (
        signs.formula_density + signs.topic_density >= 1.0 and signs.formulas + signs.topics >= 3,
        (signs.topics >= 3 and signs.topic_density >= 1.5)
        or (signs.topics >= 1 and signs.formulas >= 3 and signs.formula_density >= 2.0),
        signs.formula_density >= 0.5 and signs.formulas >= 2 and signs.reasoning >= 2,
        signs.advanced_density < 0.3 and signs.teaching >= 3 and signs.formulas >= 3 and signs.reasoning >= 3,
        signs.words >= 120 and signs.teaching >= 5 and signs.steps >= 3 and signs.formulas >= 6,
    )
    return count_points(points)


def score_maths_3(text: str) -> int:
    """Return 0 to 3 by FineMath's first scale: mathematics of any level, reasoning about it, a clear solution."""
    signs = read_signs(text)
    points = (
        signs.formula_density + signs.topic_density >= 1.0 and signs.formulas + signs.topics >= 3,
        signs.formulas >= 2 and signs.reasoning >= 2 and signs.converting < 3 and signs.selling_density <= 1.0,
        signs.advanced_density < 0.3 and signs.teaching >= 3 and signs.formulas >= 3 and signs.reasoning >= 3,
    )
    return count_points(points)
