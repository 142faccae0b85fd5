# ruff: noqa: E501 (sentences and mark-up are easier to read in one piece)
"""Pages of the made-up crawl that a maths corpus does not want: shops, news, travel, chat, spam, other languages."""

import random

from smallwright_demo_crawl.words import NAMES, PLACES, THINGS, Pool, fill

SENTENCES = {
    "shop": (
        "Our [new|autumn|spring] [range|collection] of <things> [arrives|comes] in [soft|bright|warm] colours and [ships|travels] from the <place> [today|this week].",
        "[Customers|Buyers] like <name> [praise|love] the [smooth|solid] finish and the [gentle|pleasant] smell of the [wood|leather|cotton].",
        "[Delivery|Shipping] is [free|included] when you [join|visit] our [club|newsletter], and returns are [simple|welcome] at every <place>.",
        "Each [piece|item] is [made|sewn|finished] by hand in a [tiny|family] workshop where <name> [oversees|checks] the [quality|colours].",
        "[Pair|Combine] them with our <things> for a [gift|present] that [friends|parents] will [remember|enjoy] for [years|a long time].",
        "The [fabric|material] [washes|cleans] easily, [keeps|holds] its shape and [looks|feels] [better|nicer] with [age|every use].",
        "[Ask|Call] our [staff|team] at the <place> about [sizes|colours] and [gift wrapping|repairs], they [answer|reply] [quickly|kindly]."),
    "news": (
        "The [council|mayor|committee] [announced|said] on [Monday|Friday] that the <place> will [close|reopen] after [long|noisy] repairs.",
        "[Residents|Neighbours] such as <name> [welcomed|criticised] the [plan|decision], which [had|has] been [debated|discussed] since [winter|spring].",
        "[Police|Officials] [reported|confirmed] that nobody was [hurt|injured] when a van of <things> [overturned|stopped] near the <place>.",
        "<name>, who [runs|owns] a stall there, [told|informed] our reporter that [business|trade] had [slowed|grown] [sharply|a little].",
        "The [weather|storm] [delayed|interrupted] the [festival|parade], but [musicians|dancers] [performed|played] [indoors|under tents] instead.",
        "[Experts|Historians] from the [university|museum] [believe|argue] the [old|ruined] [tower|bridge] should be [saved|restored].",
        "A [spokesman|spokeswoman] [declined|refused] to [comment|speak] further, [promising|offering] a [statement|report] by the [evening|weekend]."),
    "travel": (
        "We [reached|entered] the [valley|harbour town] at [dusk|dawn], when the [lamps|bells] of the <place> [began|started] to [glow|sound].",
        "<name>, our [guide|host], [served|offered] [soup|bread] with olives and [told|shared] [stories|legends] about [sailors|shepherds].",
        "The [path|road] [climbs|winds] through [pine|chestnut] woods [toward|to] a [chapel|lookout] with [views|a view] of the [coast|islands].",
        "[Bring|Pack] [sturdy|good] shoes, a [scarf|hat] and some <things>, because [evenings|mornings] are [cool|windy] near the [water|cliffs].",
        "[Travellers|Visitors] [often|usually] [stay|linger] an extra [day|night] to [swim|rest] and [taste|try] the [local|famous] [cheese|wine].",
        "The [ferry|bus] [leaves|departs] beside the <place>, and [tickets|seats] are [sold|available] by a [cheerful|sleepy] clerk named <name>.",
        "[Late|Later] that [night|evening] [rain|thunder] [drummed|fell] on the [roof|shutters] while we [read|slept] [deeply|in peace]."),
    "chat": (
        "<name> wrote: [honestly|well] I [think|guess] the [second|last] season was [weaker|funnier], but the [ending|music] [saved|ruined] it.",
        "[Has|Did] anyone [else|here] [noticed|notice] how the [dog|cat] in that [scene|episode] [keeps|kept] [stealing|chasing] <things>?",
        "[Thanks|Cheers] <name>, your [tip|idea] about the <place> was [great|lovely] and my [sister|brother] [laughed|smiled] all [day|evening].",
        "I [moved|switched] to a [quieter|bigger] [flat|room] [near|behind] the <place> and finally [sleep|cook] [well|properly] again.",
        "[Sorry|Pardon], I [missed|forgot] the [meeting|party] because the [train|tram] was [late|crowded] and my [phone|battery] died.",
        "[Nobody|No one] [believes|understands] me when I [say|claim] that [tea|coffee] [tastes|smells] [better|stronger] [outdoors|in the rain].",
        "<name> replied: [maybe|perhaps] we should [meet|talk] [there|again] on [Sunday|Tuesday] and [bring|swap] some <things>."),
}  # fmt: skip
MENTIONS = (
    "The [converter|calculator] on this [page|site] [turns|changes] [miles|pounds] into [kilometres|kilos] [at once|with one click].",
    "[Exams|Mathematics exams] [worry|trouble] many [families|parents], [said|noted] <name>, but [results|marks] [improved|rose] this [year|summer].",
    "[Buy|Order] our [mathematics|geometry] [workbook|poster] with <things> on the cover, [loved|praised] by [teachers|tutors] at the <place>.",
)
BOILERPLATE = (
    "Accept cookies",
    "Log in",
    "Sign up",
    "Home | About | Contact",
    "All rights reserved",
    "Share",
    "Next page »",
    "Terms",
)
SPAM = [
    "win",
    "bonus",
    "casino",
    "jackpot",
    "slots",
    "bet",
    "free",
    "spins",
    "lucky",
    "deal",
    "cheap",
    "pills",
    "loans",
    "replica",
    "watches",
    "click",
    "here",
    "now",
]
LANGUAGES = {
    "de": (
        "Um zwei [Brüche|Zahlen] zu addieren, [bringt|setzt] man sie zuerst auf einen [gemeinsamen|gleichen] Nenner und [zählt|rechnet] dann die Zähler [zusammen|aus].",
        "Die [Lehrerin|Schülerin] <name> [erklärt|zeigt] an der Tafel, [warum|weshalb] die Summe der Winkel im Dreieck immer gleich [ist|bleibt].",
        "Eine Gleichung [ist|gleicht] wie eine Waage: was man auf der einen Seite [tut|macht], muss man auch auf der anderen [tun|machen].",
        "[Heute|Morgen] üben wir das [Rechnen|Arbeiten] mit Prozenten, denn [Rabatte|Zinsen] begegnen uns [überall|täglich] im [Alltag|Leben].",
        "Wer den [Weg|Lösungsweg] sauber [aufschreibt|notiert], findet seine [Fehler|Irrtümer] schneller und [lernt|versteht] dabei [mehr|besser].",
        "Das [Ergebnis|Resultat] <a> erhält man, [wenn|sobald] man <b> von beiden Seiten [abzieht|wegnimmt] und [anschließend|danach] teilt."),
    "fr": (
        "Pour [additionner|ajouter] deux fractions, on les [réduit|met] d'abord au même dénominateur, puis on [ajoute|additionne] les numérateurs.",
        "La [professeure|maîtresse] <name> [explique|montre] au tableau pourquoi la somme des angles d'un triangle est [toujours|partout] la même.",
        "Une équation [ressemble|est semblable] à une balance : ce que l'on [fait|change] d'un côté, il faut aussi le [faire|changer] de l'autre.",
        "[Aujourd'hui|Demain] nous [travaillons|étudions] les pourcentages, car les [remises|intérêts] sont [partout|présents] dans la vie [courante|quotidienne].",
        "Celui qui [écrit|note] chaque étape avec soin [trouve|repère] ses erreurs plus vite et [apprend|comprend] [davantage|mieux].",
        "On [obtient|trouve] le résultat <a> en [retirant|ôtant] <b> des deux côtés, [puis|et ensuite] en divisant par le [même|seul] nombre."),
    "es": (
        "Para [sumar|juntar] dos fracciones, primero se [buscan|hallan] denominadores iguales y [luego|después] se [suman|juntan] los numeradores.",
        "La [profesora|maestra] <name> [explica|muestra] en la pizarra por qué la suma de los ángulos de un triángulo es [siempre|igual] la misma.",
        "Una ecuación [es|funciona] como una balanza: lo que se [hace|cambia] en un lado también hay que [hacerlo|cambiarlo] en el otro.",
        "[Hoy|Mañana] practicamos los porcentajes, porque los [descuentos|intereses] [aparecen|están] por todas partes en la vida [diaria|cotidiana].",
        "Quien [escribe|anota] cada paso con cuidado [encuentra|descubre] antes sus errores y [aprende|entiende] [más|mejor].",
        "El resultado <a> se [obtiene|consigue] al [restar|quitar] <b> de ambos lados y [dividir|repartir] [después|luego] entre el mismo número."),
    "ru": (
        "Чтобы сложить две дроби, [сначала|прежде всего] их приводят к общему знаменателю, а [затем|потом] складывают числители.",
        "[Учительница|Наставница] [объясняет|показывает] у доски, почему сумма углов треугольника [всегда|везде] одна и та же.",
        "Уравнение [похоже|подобно] на весы: что [сделано|изменено] с одной стороны, нужно сделать и с другой.",
        "[Сегодня|Завтра] мы [изучаем|повторяем] проценты, потому что скидки и налоги [встречаются|бывают] повсюду.",
        "Ответ <a> [получается|выходит], если вычесть <b> из обеих частей и [затем|после этого] разделить."),
    "el": (
        "Για να [προσθέσουμε|ενώσουμε] δύο κλάσματα, πρώτα τα κάνουμε ομώνυμα και [μετά|ύστερα] προσθέτουμε τους αριθμητές.",
        "Η [δασκάλα|καθηγήτρια] [εξηγεί|δείχνει] στον πίνακα γιατί το άθροισμα των γωνιών ενός τριγώνου είναι πάντα το ίδιο.",
        "Μια εξίσωση [μοιάζει|είναι ίδια] με ζυγαριά: ό,τι κάνουμε στη μία πλευρά το κάνουμε και στην άλλη.",
        "Το αποτέλεσμα <a> [βρίσκεται|προκύπτει] όταν αφαιρέσουμε <b> και από τα δύο μέλη και [μετά|έπειτα] διαιρέσουμε."),
    "zh": (
        "要把两个分数相加，[首先|先]要通分，[然后|再]把分子加起来，[最后|接着]约分得到结果。",
        "[老师|教师]在黑板上[说明|解释]为什么三角形的内角和[总是|永远]相等，学生们认真地记笔记。",
        "方程[就像|好像]一架天平，一边做了什么，另一边也[必须|应该]做同样的事情。",
        "从两边减去<b>，[然后|再]除以同一个数，就得到结果<a>，[最后|接着]要检验。"),
}  # fmt: skip


REPETITIVE = "Best prices"
"""Title of the junk that says one phrase over and over."""


def prose(kind: str, rng: random.Random) -> tuple[str, list[tuple[str, str]]]:
    """Return title and blocks of an ordinary page without mathematics."""
    pool = Pool(SENTENCES[kind], rng)
    other = Pool(SENTENCES[rng.choice(sorted(set(SENTENCES) - {kind}))], rng)
    blocks = []
    for _ in range(rng.randint(3, 5)):
        drawn = [*(pool.draw() for _ in range(2)), *(other.draw() for _ in range(rng.randint(0, 1)))]
        blocks.append(("p", " ".join(_say(sentence, rng) for sentence in drawn)))
    return f"{kind.title()}: {rng.choice(THINGS)} and {rng.choice(THINGS)}", blocks


def mention(rng: random.Random) -> tuple[str, list[tuple[str, str]]]:
    """Return a page that names mathematics and teaches none."""
    title, blocks = prose(rng.choice(sorted(SENTENCES)), rng)
    return title, [("p", _say(sentence, rng)) for sentence in MENTIONS[: rng.randint(1, 3)]] + blocks


def junk(rng: random.Random) -> tuple[str, list[tuple[str, str]]]:
    """Return a page without prose: link lists, cookie banners, repeated keywords."""
    kind = rng.randrange(3)
    if kind == 0:
        return "Links", [("li", f"{rng.choice(THINGS)} {rng.choice(PLACES)} {rng.randrange(999)}") for _ in range(120)]
    if kind == 1:
        return "Welcome", [("p", rng.choice(BOILERPLATE)) for _ in range(rng.randint(4, 9))]
    phrase = " ".join(rng.sample(THINGS, 4))
    return REPETITIVE, [("p", f"{phrase} {phrase} {phrase}") for _ in range(30)]


def spam(rng: random.Random) -> tuple[str, list[tuple[str, str]]]:
    """Return a page of advertising words, in a harmless form."""
    return "Lucky bonus", [("p", " ".join(rng.choice(SPAM) for _ in range(25)) + "!") for _ in range(8)]


def foreign(language: str, rng: random.Random) -> tuple[str, list[tuple[str, str]]]:
    """Return a mathematics page in another language."""
    pool = Pool(LANGUAGES[language], rng)
    values = lambda: {"a": rng.randint(2, 99), "b": rng.randint(2, 99), "name": rng.choice(NAMES)}  # noqa: E731
    blocks = [("p", " ".join(fill(pool.draw(), rng, values()) for _ in range(3))) for _ in range(rng.randint(4, 6))]
    return fill(LANGUAGES[language][0], rng, values())[:40], blocks


def _say(sentence: str, rng: random.Random) -> str:
    return fill(sentence, rng, {"name": rng.choice(NAMES), "things": rng.choice(THINGS), "place": rng.choice(PLACES)})
