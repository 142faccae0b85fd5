"""The step ``code_language``: one name for each language, from the row or from the file's path."""

import re

from core.data.steps import DocumentStep, Rejection
from datatrove.data import Document

from smallwright_stack_edu.config import CodeLanguageConfig

# Endings by language, after GitHub's Linguist; languages beyond Stack-Edu's tell a file of one from an unknown file.
ENDINGS: dict[str, str] = {
    ending: language
    for language, endings in {
        "C": "c",
        "C#": "cs csx",
        "C++": "cc cpp cxx c++ hh hpp hxx h++ inl tcc",
        "CSS": "css scss less",
        "Dart": "dart",
        "Go": "go",
        "HTML": "html htm xhtml",
        "Haskell": "hs",
        "JSON": "json",
        "Java": "java",
        "JavaScript": "js mjs cjs jsx",
        "Jupyter Notebook": "ipynb",
        "Kotlin": "kt kts",
        "Lua": "lua",
        "Markdown": "md markdown mdown mkd",
        "PHP": "php php3 php4 php5 phtml",
        "Perl": "pl pm",
        "Python": "py pyw pyi",
        "R": "r",
        "Ruby": "rb rake gemspec ru",
        "Rust": "rs",
        "SQL": "sql ddl dml pgsql plsql",
        "Scala": "scala",
        "Shell": "sh bash zsh ksh",
        "Swift": "swift",
        "TeX": "tex",
        "Text": "txt",
        "TypeScript": "ts tsx mts cts",
        "XML": "xml",
        "YAML": "yml yaml",
    }.items()
    for ending in endings.split()
}
NAMES = {"rakefile": "Ruby", "gemfile": "Ruby", "readme": "Markdown", ".bashrc": "Shell", ".bash_profile": "Shell"}
INTERPRETERS = {
    "python": "Python", "bash": "Shell", "sh": "Shell", "zsh": "Shell", "ruby": "Ruby", "node": "JavaScript",
    "php": "PHP", "perl": "Perl", "ts-node": "TypeScript", "deno": "TypeScript",
}  # fmt: skip
# Stack-Edu's subsets, StarCoderData's folders and common short names, beside the names on GitHub.
ALIASES = {
    "bash": "Shell", "c-sharp": "C#", "cpp": "C++", "csharp": "C#", "golang": "Go", "js": "JavaScript",
    "md": "Markdown", "plpgsql": "SQL", "plsql": "SQL", "py": "Python", "python3": "Python", "rb": "Ruby",
    "rs": "Rust", "sh": "Shell", "ts": "TypeScript", "tsql": "SQL", "zsh": "Shell",
}  # fmt: skip
KNOWN = {name.lower(): name for name in {*ENDINGS.values(), "C#", "C++"}}

_SHEBANG = re.compile(r"#!\s*\S*?(?:/env\s+(?:-S\s+)?)?([\w.-]+?)[\d.]*(?:\s|$)")
# What a header has in C++ and cannot have in C.
_CPP_ONLY = re.compile(
    r"^\s*(?:class\s+\w+|template\s*<|namespace\s+\w+|public:|private:|using\s+\w+\s*=)|\bstd::", re.M
)
_QT_TRANSLATION = re.compile(r"\s*(?:<\?xml|<!DOCTYPE TS)")
LOOKED_AT = 20_000
"""Characters of the text that are looked at."""


class CodeLanguage(DocumentStep):
    """Give each file one name for its language, and keep those of the wanted languages.

    The name is the row's where it has one, else what the path's ending, the file's name or its first line say.
    Reasons: ``language not wanted``, ``language not known``. Table ``language``: all files by language.
    """

    config: CodeLanguageConfig

    def __init__(self, config: CodeLanguageConfig | None = None) -> None:
        super().__init__(config or CodeLanguageConfig())
        self._wanted = {common_name(name): name for name in self.config.languages}

    def process_document(self, document: Document) -> Document:
        given = document.metadata.get(self.config.field)
        if isinstance(given, str) and given.strip():
            language: str | None = common_name(given)
        else:
            language = language_of(str(document.metadata.get(self.config.path_field) or ""), document.text)
        self.count("language", language or "not known")
        if language is None:
            raise Rejection("language not known")
        document.metadata[self.config.field] = self._wanted.get(language, language)
        if language not in self._wanted:
            raise Rejection("language not wanted")
        return document


def common_name(name: str) -> str:
    """Return the name on GitHub of a language: ``cpp`` and ``C++`` are ``C++``."""
    plain = name.strip().lower()
    return KNOWN.get(plain) or ALIASES.get(plain) or name.strip()


def language_of(path: str, text: str) -> str | None:
    """Return the language that a file's path, or without a telling one its first line, names."""
    name = path.replace("\\", "/").rsplit("/", 1)[-1].lower()
    stem, dot, ending = name.rpartition(".")
    if dot and stem and ending == "h":
        return "C++" if _CPP_ONLY.search(text[:LOOKED_AT]) else "C"
    if dot and stem and ending in ENDINGS:
        language = ENDINGS[ending]
        return "XML" if language == "TypeScript" and _QT_TRANSLATION.match(text[:LOOKED_AT]) else language
    if name in NAMES:
        return NAMES[name]
    shebang = _SHEBANG.match(text[:200])
    return INTERPRETERS.get(shebang[1].lower()) if shebang else None
