"""Names that become a part of a path: one function says which are good."""

import re

from core.errors import ConfigError
from core.writing import ENDING

LONGEST = 120
"""Bytes in UTF-8. File systems take 255, and a hash, a position or an ending comes to a name."""
_BAD = re.compile(r"[\x00-\x1f\x7f/\\:*?\"<>|\[\]{}]")
"""What ends a path's part, steers a terminal, is a pattern, or is refused by some file system."""


def check(name: str, where: str) -> str:
    """Return a name that a file or a folder may have, also as a part of a longer one.

    Args:
        name: What the user, a recipe or a plugin wrote.
        where: Key that it stands under, for the message.

    Raises:
        ConfigError: it is empty, too long, begins with a dot, ends with a space, or has a character that no path takes.
    """
    if not name.strip():
        raise ConfigError(f"{where} is empty: it names files, so give it a few letters or digits.")
    if found := _BAD.search(name):
        raise ConfigError(f"{where}={name!r}: {found[0]!r} cannot be in it, for it names files. Leave it out.")
    if name.startswith((".", "~")) or name != name.strip():
        raise ConfigError(f"{where}={name!r}: names files, so it begins with no dot or ~ and has no space at its ends.")
    if name.endswith(ENDING):
        raise ConfigError(f"{where}={name!r}: {ENDING} ends the names of unfinished files. Choose another name.")
    if not name.isprintable():
        raise ConfigError(f"{where}={name!r}: has characters that cannot be seen, and it names files. Leave them out.")
    if len(name.encode("utf-8", "surrogatepass")) > LONGEST:
        raise ConfigError(f"{where}={name[:20]}...: longer than {LONGEST} bytes, and it names files. Make it shorter.")
    return name


def shorten(name: str) -> str:
    """Return a made-up name cut to what a path's part may have, for names that something else makes unique."""
    while len(name.encode("utf-8", "surrogatepass")) > LONGEST + 40:
        name = name[:-1]
    return name
