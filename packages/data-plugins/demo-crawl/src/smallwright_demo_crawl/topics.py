# ruff: noqa: E501 (sentences and mark-up are easier to read in one piece)
"""Topics of the made-up mathematics lessons: sentences with choices, and numbers that are right.

Each topic has ``numbers`` (a function of a random generator), ``ideas`` (sentences without numbers), ``key`` (a
statement in two parts whose first two numbers are split between pages and evaluation items), ``steps`` (worked
solution) and ``slips`` (typical errors). No run of thirteen words of a key is free of its two numbers, so that an
evaluation item shares no 13-gram with any page but those it was copied into; a test holds this.
"""

import dataclasses
import random
from collections.abc import Callable
from math import gcd


@dataclasses.dataclass(frozen=True)
class Topic:
    """One kind of exercise."""

    title: str
    numbers: Callable[[random.Random], dict[str, object]]
    ideas: tuple[str, ...]
    key: tuple[str, str]
    steps: tuple[str, ...]
    slips: tuple[str, ...]


def _addition(r: random.Random) -> dict[str, object]:
    a, b = r.randint(23, 489), r.randint(17, 389)
    return {"a": a, "b": b, "c": a + b, "d": a % 10 + b % 10, "e": a - a % 10 + b - b % 10}


def _subtraction(r: random.Random) -> dict[str, object]:
    a, b = r.randint(210, 980), r.randint(31, 199)
    return {"a": a, "b": b, "c": a - b, "d": b - b % 10, "e": a - b + b % 10, "f": b % 10}


def _multiplication(r: random.Random) -> dict[str, object]:
    a, b = r.randint(12, 98), r.randint(3, 29)
    return {"a": a, "b": b, "c": a * b, "d": a // 10 * 10, "e": a % 10, "f": a // 10 * 10 * b, "g": a % 10 * b}


def _division(r: random.Random) -> dict[str, object]:
    b, q = r.randint(3, 19), r.randint(11, 60)
    m = r.randint(0, b - 1)
    return {"a": b * q + m, "b": b, "c": q, "d": m, "e": b * q}


def _percent(r: random.Random) -> dict[str, object]:
    a, b = r.choice((5, 10, 15, 20, 25, 30, 35, 40, 45, 60, 75, 80)), r.randint(2, 60) * 20
    return {"a": a, "b": b, "c": a * b // 100, "d": b - a * b // 100, "e": f"{b / 100:g}"}


def _fractions(r: random.Random) -> dict[str, object]:
    a, b = r.sample(range(2, 24), 2)
    g = gcd(a + b, a * b)
    return {"a": a, "b": b, "p": a + b, "q": a * b, "s": (a + b) // g, "t": a * b // g, "g": g}


def _area(r: random.Random) -> dict[str, object]:
    a, b = r.randint(11, 96), r.randint(4, 68)
    return {"a": a, "b": b, "c": a * b, "d": 2 * (a + b), "e": a + b}


def _equation(r: random.Random) -> dict[str, object]:
    a, b, x = r.randint(2, 24), r.randint(3, 88), r.randint(2, 25)
    return {"a": a, "b": b, "c": a * x + b, "d": a * x, "x": x}


def _sequence(r: random.Random) -> dict[str, object]:
    a, b, n = r.randint(2, 60), r.randint(3, 25), r.randint(8, 40)
    return {"a": a, "b": b, "p": a + b, "q": a + 2 * b, "s": a + 3 * b, "n": n, "m": n - 1, "c": a + (n - 1) * b}


def _average(r: random.Random) -> dict[str, object]:
    b, a = r.randint(3, 9), r.randint(12, 95)
    p, q = r.randint(1, a - 4), r.randint(1, 30)
    return {"a": a * b, "b": b, "c": a, "p": p, "q": q, "s": p + q, "h": f"{(p + q) / 2:g}"}


def _probability(r: random.Random) -> dict[str, object]:
    a, b = r.randint(2, 45), r.randint(3, 60)
    g = gcd(a, a + b)
    return {"a": a, "b": b, "c": a + b, "p": a // g, "q": (a + b) // g}


def _speed(r: random.Random) -> dict[str, object]:
    a, b = r.randint(12, 118), r.randint(2, 14)
    return {"a": a, "b": b, "c": a * b, "d": a * (b + 1), "e": b + 1}


def _pythagoras(r: random.Random) -> dict[str, object]:
    a, b, c = r.choice(((3, 4, 5), (5, 12, 13), (8, 15, 17), (7, 24, 25), (20, 21, 29), (12, 35, 37), (9, 40, 41)))
    k = r.randint(1, 14)
    a, b, c = a * k, b * k, c * k
    return {"a": a, "b": b, "c": c, "p": a * a, "q": b * b, "s": c * c}


def _ratio(r: random.Random) -> dict[str, object]:
    a, b, k = r.randint(2, 19), r.randint(2, 19), r.randint(3, 30)
    return {"a": a, "b": b, "n": a + b, "c": (a + b) * k, "k": k, "p": a * k, "q": b * k}


TOPICS: dict[str, Topic] = {
    "addition": Topic(
        "Adding large numbers", _addition,
        ("[Addition|Adding] [puts|brings] [two amounts|two groups|two quantities] [together|into one], and the [order|sequence] of the [parts|terms] [does not matter|makes no difference].",
         "[Write|Put|Place] the [ones|units] [below|under] the [ones|units] and the tens [below|under] the tens [before|when] you [begin|start].",
         "[Whenever|If|When] a column [reaches|makes|passes] ten, [carry|move] one to the [next place|column on the left|left]."),
        ("[In the|At the] [morning|first] shop <name> counts <a> <things> and <b> more arrive, so", "the sum is <c>."),
        ("[Begin|Start] with the [ones|last digits]: [together they|these] [give|make] $<d>$, which [we|you] [note|write down|keep] for [now|later].",
         "[Now|Next|Then] [add|join|combine] the [remaining|other] [parts|places], the tens and hundreds, to [get|find|reach] $<e>$.",
         "[Putting|Bringing] both [results|parts] together [shows|proves|tells us] that $<a>+<b>=<c>$."),
        ("[Forgetting|Losing|Dropping] the carried [one|digit] is the [most common|usual|typical] [slip|error|mistake] in [sums|additions] like this.",)),
    "subtraction": Topic(
        "Subtracting step by step", _subtraction,
        ("[Subtraction|Taking away] [measures|finds|tells us] the [difference|gap|distance] [between two numbers|from one number to another].",
         "[Borrow|Exchange|Trade] a ten [whenever|when|if] the [upper|top] digit is [smaller|less] than the [lower|bottom] one.",
         "[One can|You can|We may] [check|test|confirm] a difference by [adding|counting] it [back|up] [again|once more]."),
        ("Out of a box holding <a> <things> <name> gives away <b>, and [afterwards|then]", "the difference is <c>."),
        ("[First|To begin|At first] take away the [round|full] tens: $<a>-<d>=<e>$ is [easy|simple|quick] to [see|find|do].",
         "[Then|After that|Next] remove the [last|remaining|small] <f> [as well|too], [moving|going] back [along|on] the number line.",
         "[Hence|So|Therefore] the [answer|result|difference] is $<a>-<b>=<c>$, and [adding|putting] <b> back [returns|gives] <a>."),
        ("[Many|Some|A few] [pupils|learners|students] [swap|turn round|exchange] the digits [instead of|rather than] [borrowing|trading] a ten.",)),
    "multiplication": Topic(
        "Multiplying by splitting", _multiplication,
        ("[Multiplication|Multiplying] is [repeated|quick] addition: [equal|same sized] groups are [counted|taken] [at once|together].",
         "[Split|Break|Cut] one [factor|number] into [tens and ones|easy parts], [multiply|treat] each part, and [add|collect] the [pieces|products].",
         "The [area|box|grid] [model|picture|drawing] [shows|makes clear|explains] why [splitting|breaking up] a factor is [allowed|right]."),
        ("[Each|Every] crate [here|there] contains exactly <a> <things> and <name> [loads|stacks] <b> crates, [hence|so]", "the product is <c>."),
        ("[Split|Break up|Write] <a> as $<d>+<e>$ [so that|because] both [parts|pieces] are [easy|simple|comfortable] to [handle|multiply|use].",
         "[Multiply|Take] each [piece|part] by <b>: [we get|this gives|you find] $<f>$ and $<g>$ [respectively|in turn|one by one].",
         "[Adding|Summing] the [partial|two] products, [the answer is|we obtain|you get] $<a>\\times <b>=<c>$."),
        ("[Be careful|Take care|Watch out] not to [lose|drop|forget] a zero when [multiplying|working with] tens.",)),
    "division": Topic(
        "Division with remainder", _division,
        ("[Division|Dividing] [shares|splits] an amount [fairly|equally|evenly], and what [cannot|can not] be shared is [called|named] the remainder.",
         "The remainder must [always|in every case] be [smaller|less] than the [divisor|number we divide by].",
         "[Division|Sharing] [undoes|reverses|is the inverse of] multiplication, [which|and that] [gives|offers] a [quick|simple|good] check."),
        ("[Work out|Find out|Write down] what happens when <a> <things> are [shared|split|divided] among <b> [children|players|friends]:", "the quotient is <c>, remainder <d>."),
        ("[Ask|Find out|See] how many [times|groups of] <b> [fit|go] into <a> [without|before] [going over|passing it].",
         "[Since|Because|As] $<b>\\times <c>=<e>$, [exactly|just] <c> [full|whole|complete] groups can be [made|formed|filled].",
         "[What is left|The rest|The remainder] is $<a>-<e>=<d>$, [which|and it] is [smaller|less] than <b> as [required|it must be|needed]."),
        ("A remainder [larger|bigger] than the divisor [means|shows|tells you] that [another|one more] group [was possible|could be made].",)),
    "percent": Topic(
        "Working with percentages", _percent,
        ("[A percentage|Per cent] [means|says] how many [parts|pieces] out of [a hundred|one hundred] we [take|consider|have].",
         "[Find|Work out|Compute] one per cent [first|at the start], and [then|afterwards] [scale|multiply] it [up|as needed].",
         "[Discounts|Price cuts|Taxes|Rates of interest] are [described|given|stated] in per cent [in shops|at the bank|in daily life]."),
        ("[Suppose|Assume] a discount of <a> percent on <b> [euros|dollars|pounds] is [offered|given], then", "the percentage is worth <c>."),
        ("One per cent of the [whole|price|base] is $<b>/100=<e>$, [so|and therefore] one part in a hundred is [known|clear|settled].",
         "[Multiply|Scale] this by <a> to [get|obtain|find] the [percentage value|part we want|share], $<c>$.",
         "[If it is taken off|After a discount|Once subtracted], [there remains|what is left is|one pays] $<b>-<c>=<d>$."),
        ("[Do not|Never|You must not] [mix up|confuse] the [part|share] with what [remains|is left] after [subtracting|taking it away].",)),
    "fractions": Topic(
        "Adding fractions", _fractions,
        ("[Fractions|Parts of a whole] can [only be added|be added only] [when|if|once] their denominators [agree|are equal|match].",
         "[Expanding|Extending] a fraction [multiplies|scales] top and bottom by the same [number|factor] and [keeps|leaves] its value.",
         "[Reduce|Simplify|Shorten] the [result|sum] by the [greatest|largest] common [divisor|factor]."),
        ("[First|Today|Here] we add one over <a> to one over <b>, which", "makes the fraction <p> over <q>."),
        ("The [common|shared] denominator is $<a>\\times <b>=<q>$, [since|because] both [bottoms|denominators] [divide|go into] it.",
         "[Expand|Rewrite|Extend] both: $\\frac{1}{<a>}=\\frac{<b>}{<q>}$ and $\\frac{1}{<b>}=\\frac{<a>}{<q>}$, [as|which] [planned|required|we need].",
         "[Add|Join] the numerators: $\\frac{<p>}{<q>}$, and [cancelling|dividing] by <g> [leaves|gives] $\\frac{<s>}{<t>}$."),
        ("[Adding|Summing] numerators and denominators [separately|one by one] [gives|leads to] a [wrong|false] [result|value].",)),
    "area": Topic(
        "Area and perimeter of rectangles", _area,
        ("[The area|Area] [counts|measures] the unit squares [inside|within] a [shape|figure], the perimeter [measures|follows] its [edge|border|boundary].",
         "A rectangle has two pairs of [equal|equally long] sides, [so|and therefore] two [lengths|measurements] [describe|fix] it.",
         "Areas [come|are given] in square [units|metres|centimetres], [while|whereas] perimeters [come|are given] in [plain|ordinary] length units."),
        ("[Imagine|Picture|This is] a rectangle which is <a> cm long and <b> cm wide, so", "the area is <c>."),
        ("[For|To find] the area, [multiply|take] length times width: $A=<a>\\cdot <b>=<c>$, [counted|given|measured] in square centimetres.",
         "[For|To get] the perimeter, [first|begin by] [add|adding] both sides: $<a>+<b>=<e>$ [is|makes] [half way|half] round.",
         "[Doubling|Twice] this [gives|makes|leads to] $P=<d>$ centimetres [for|as] the [whole|complete] [edge|border]."),
        ("[Mixing|Confusing] [square|area] units with [length|plain] units is a [frequent|common] [error|slip] in [geometry|such tasks].",)),
    "equation": Topic(
        "Solving linear equations", _equation,
        ("An equation is [like a balance|a pair of scales]: [whatever|what] you do to one side, [you must do|do] to the other [too|as well].",
         "[The unknown|The letter] [stands|waits] for a number that we [want|wish|hope] to [find|discover|isolate].",
         "[Undo|Reverse] the operations in the [opposite|reverse] order, [sums|additions] first, [then|afterwards] products."),
        ("[Now|Next] [let us|we may] solve the equation <a> times x plus <b> equals <c>,", "and the unknown x is <x>."),
        ("[Subtract|Take away] <b> [from|on] both sides [so that|and] $<a>x=<d>$ [remains|is left|appears].",
         "[Divide|Now divide|Then divide] both sides by <a>, [and|which means] the unknown is [alone|isolated|free]: $x=<x>$.",
         "[Check|Test|Verify]: $<a>\\cdot <x>+<b>=<c>$, [so|hence|and] the [solution|value] [is right|fits|works]."),
        ("[Operations|Steps] [done|carried out] on one side [only|alone] [destroy|break] the [balance|equality].",)),
    "sequence": Topic(
        "Arithmetic sequences", _sequence,
        ("In an arithmetic sequence the [step|difference] from each [term|number] to the next [is always|stays] the same.",
         "[A formula|One formula] lets us [jump|go] [straight|directly] to [any|a distant] term [without|instead of] [counting|listing] all [others|the rest].",
         "The first term [plus|and] [several|many] equal [steps|jumps] [leads|takes us] to [every|any] other term."),
        ("[A|One] [number|counting] sequence begins with <a> and grows by <b> each time, thus", "the next term is <p>."),
        ("The [opening|first] terms are $<a>,<p>,<q>,<s>$, [and|where] [each|every] [gap|step] is <b>.",
         "[To reach|For] term number <n> [we need|we take|you make] <m> [steps|jumps], [one fewer|one less] than the [position|place].",
         "[Thus|Hence|So] $a_{<n>}=<a>+<m>\\cdot <b>=<c>$ [is|becomes] the [term|value] [we wanted|asked for]."),
        ("[Using|Taking] as many steps as the position [overshoots|misses] the [goal|right term] by one [jump|difference].",)),
    "average": Topic(
        "The mean of a list", _average,
        ("The mean [levels|evens] out a [list|set] of [values|numbers] [as if|as though] all were [equal|the same].",
         "[Add|Sum] all the values [and|then] divide by [how many|the number of values] there are.",
         "One very [large|high|small] value can [pull|move|drag] the mean [far|a long way] from the [middle|centre]."),
        ("[Scores|Points] reaching a total of <a> are spread over <b> [rounds|games], and [therefore|so]", "the mean value is <c>."),
        ("The sum of all the [scores|values|results] is <a>, and [there are|we count] <b> of [them|these].",
         "[Dividing|Sharing] [equally|evenly], $<a>/<b>=<c>$ [is|gives] the mean [score|value] of the [list|group].",
         "[As a second case|For comparison|Similarly], the mean of <p> and <q> [lies|is found] halfway: $(<p>+<q>)/2=<h>$."),
        ("[Dividing|Sharing] by the wrong [count|number] [often|usually] [happens|occurs] when a zero [is left out|was skipped].",)),
    "probability": Topic(
        "Probability with coloured balls", _probability,
        ("[Probability|Chance] [compares|relates] the [favourable|good] [cases|outcomes] with all [possible|equally likely] ones.",
         "[A probability|Each probability] [lies|is a number] between zero and one, [from|meaning] impossible to certain.",
         "[All|The] probabilities of [the different|all] outcomes [add up|sum] to [exactly|just] one."),
        ("[Picture|Imagine] that a [bag|jar] contains exactly <a> red and <b> blue balls, so", "red has chance <p> in <q>."),
        ("[Count|Add] all balls: $<a>+<b>=<c>$ [are|lie] in the [bag|jar], [each|all] equally [likely|probable].",
         "[The favourable|Good] outcomes are the <a> red [balls|ones], so [write|we write] $\\frac{<a>}{<c>}$ [at first|to begin].",
         "[Reduced|In lowest terms|Simplified], the [chance|probability] [is|becomes] $\\frac{<p>}{<q>}$ for a red [ball|draw]."),
        ("[Comparing|Setting] red [with|against] blue [gives|yields] [odds|a ratio] and [not|never] a probability.",)),
    "speed": Topic(
        "Speed, distance and time", _speed,
        ("[Speed|Velocity] [tells|says] how [far|much distance] [something|a vehicle] [goes|travels] in [each|one] hour.",
         "[Distance|The way] [equals|is] speed times time, [provided|as long as] the speed [stays constant|does not change].",
         "[Keep|Make] the units [consistent|in agreement]: kilometres with hours, [metres|or metres] with seconds."),
        ("[Today|Yesterday] a train travels at <a> kilometres per hour for <b> hours, [and|so]", "the distance is <c> kilometres."),
        ("[We use|Use|Recall] $s=v\\cdot t$ with $v=<a>$ and $t=<b>$, [both|the values] [taken|read] from the [text|question].",
         "[Multiplying|The product] [gives|shows] $<a>\\cdot <b>=<c>$ kilometres [for|as] the [journey|trip].",
         "[After|With] one more hour, <e> in all, the [distance|way] [would be|grows to] $<d>$ kilometres."),
        ("[Minutes|Times in minutes] must be [changed|turned] into hours [before|ahead of] [multiplying|using the formula].",)),
    "pythagoras": Topic(
        "The theorem of Pythagoras", _pythagoras,
        ("In a right triangle the squares [on|over] the two legs [together|added up] [equal|make] the square [on|over] the hypotenuse.",
         "The hypotenuse [lies|is] opposite the right angle and is [always|in every case] the longest side.",
         "[Builders|Carpenters|Surveyors] use the [theorem|rule] to [check|make] [corners|angles] that are [truly|exactly] square."),
        ("[Take|Draw] a right triangle with legs <a> and <b> [metres|units] in size, then", "the hypotenuse is <c> long."),
        ("[Square|We square] both legs: $<a>^2=<p>$ and $<b>^2=<q>$, [two|giving two] [numbers|areas] to [add|join].",
         "[Their|The] sum is $<p>+<q>=<s>$, the square of the [longest|third|unknown] side.",
         "[Taking|Extract] the [square root|root], [we find|so] $c=\\sqrt{<s>}=<c>$ [exactly|without rounding]."),
        ("[Adding|Summing] the legs [themselves|directly] [instead of|and not] their squares [gives|makes] a side that is too [long|large].",)),
    "ratio": Topic(
        "Sharing in a ratio", _ratio,
        ("A ratio [compares|sets] two [amounts|quantities] by the [number|count] of equal parts [in|that make up] each.",
         "[Scaling|Multiplying] both [sides|numbers] of a ratio by the same factor [leaves|keeps] it [unchanged|the same].",
         "[Recipes|Maps|Paint mixtures] are [everyday|familiar] [examples|uses] of [fixed|constant] ratios."),
        ("[Share|Split|Divide] <c> coins fairly in the ratio of <a> to <b>, [so|then]", "the parts are <p> and <q>."),
        ("[Altogether|In all|In total] there are $<a>+<b>=<n>$ equal [parts|portions] to [share|hand out].",
         "One [part|portion] is [worth|equal to] $<c>/<n>=<k>$, [found|obtained] by [dividing|sharing] the [whole|total].",
         "The two shares are $<a>\\cdot <k>=<p>$ and $<b>\\cdot <k>=<q>$, [which|and they] [add|sum] to <c> [again|as they should]."),
        ("[Dividing|Splitting] the [whole|total] by only one of the [numbers|terms] [ignores|forgets] the other [share|part].",)),
}  # fmt: skip
