"""Lines that only label what stands beside an article: "Read more", "Mehr zum Thema", "Lire aussi"."""

import re

LEAST, MOST = 3, 60
"""Characters of a label; longer lines say something of their own."""
BEGINNINGS = (
    # English
    r"(?:read|see|watch|check out|find out|learn)\s(?:also|more|next|this)\b(?!\s+than)",
    r"(?:also|now)\s(?:read|see|watch|on)\b",
    r"related\s?(?:articles?|posts?|stories|story|content|topics?|links?|reading|news|items|videos?|coverage|:)",
    r"you (?:may|might|could)(?: also)? (?:like|enjoy|be interested)",
    r"more (?:from|on|in|about|stories|articles|news|information|posts)\b",
    r"(?:share|tweet|print|email|save|bookmark) (?:this|on|via|it|article|post)\b",
    r"(?:follow|like|join|contact) us\b|subscribe\b|sign up (?:for|to) (?:our|the|this|receive|get)\b",
    r"leave a (?:comment|reply)|post a comment",
    r"(?:filed (?:under|in)|categor(?:y|ies)|tagged|posted (?:in|by)|published (?:in|by)|tags|topics|labels)\s*:",
    r"(?:click here (?:to|for)|scroll (?:down )?to|continue reading|skip to|back to (?:the )?top|view all|show more)\b",
    # German
    r"mehr (?:zum thema|zu diesem|aus|von|themen|dazu|interessantes|infos?|informationen|lesen|erfahren|anzeigen)\b",
    r"weitere (?:artikel|informationen|infos?|themen|beiträge|links?|meldungen|nachrichten|news)\b|weiterführende",
    r"(?:lesen sie|lies|lesen) (?:auch|mehr|dazu|weiter)|(?:auch|das) (?:interessant|könnte (?:sie|dich|euch))",
    r"das thema könnte|auch auf \w|passend zum thema|(?:ähnliche|verwandte) (?:artikel|beiträge|themen)",
    # French, Spanish, Portuguese, Italian
    r"(?:à )?lire (?:aussi|également|la suite|plus)|articles? (?:similaires|liés|connexes)",
    r"(?:lee|leer|ver|lea|mira) (?:también|además|más)|(?:te|le) puede interesar",
    r"(?:artículos|noticias|notas) relacionad[ao]s|(?:leia|veja|confira|saiba) (?:também|mais)",
    r"(?:notícias|matérias) relacionadas|(?:leggi|guarda|vedi) (?:anche|tutto)|articoli correlati",
    # Dutch, Polish, Russian, Swedish
    r"lees (?:ook|verder|meer)|(?:gerelateerd|deel dit)\b|läs (?:också|även|mer)",
    r"(?:zobacz|czytaj|przeczytaj|sprawdź) (?:również|także|też|więcej)|(?:читайте|смотрите) (?:также|ещё|еще)",
)
"""What such a line begins with."""
WHOLE = (
    r"recommended(?: for you| reading)?|suggested (?:articles|stories)|share|tweet|advertise?ments?|sponsored|promoted",
    r"comments?|tags|topics|loading|credits?",
    r"kommentare?|anzeige|werbung|teilen|drucken|schlagw[oö]rter|schlagworte|stichwörter|kontakt|zum thema",
    r"voir aussi|sur le même sujet|publicité|partager|commentaires?|mots-clés|étiquettes",
    r"publicidad|compartir|comentarios?|etiquetas|temas relacionados|publicidade|compartilhar|compartilhe",
    r"pubblicità|condividi|commenti|advertentie|reacties?|reklama|udostępnij|komentarze|annons|dela|kommentarer",
    r"реклама|поделиться|комментарии|теги",
)
"""What such a line says in all, but for a number or a colon after it."""
LABEL_LINE = re.compile(
    rf"^[ \t]*(?:[•*»>-]\s*)?(?=[^\n]{{{LEAST},{MOST}}}$)(?![^\n]*[.!?]$)"
    rf"(?:(?:{'|'.join(BEGINNINGS)})[^\n]*|(?:{'|'.join(WHOLE)})\s*:?(?:\s\(?\d+\)?)?$)\n?",
    re.IGNORECASE | re.MULTILINE,
)


def without_labels(text: str) -> str:
    """Return ``text`` without lines that are such labels and no sentences."""
    return LABEL_LINE.sub("", text).strip()
