"""The former place of the conformance kit, now the package ``smallwright_testing``.

It goes with the next plugin API version.
"""

import importlib
import sys
import warnings
from typing import Any

from core.errors import UserError

KIT = "smallwright_testing"


class MissingKitError(UserError, ImportError):
    """The kit, or the pytest that it needs, is not installed."""


def find(module: str) -> Any:
    """Import a module of the kit.

    Raises:
        MissingKitError: it is not installed; the message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in (KIT, "pytest"):
            raise  # a mistake in the environment that installing the kit would not mend
        raise MissingKitError(f"core.testing is now {KIT}. Install it: pip install smallwright-testing") from None


def main() -> int:
    """Run ``python -m smallwright_testing`` and return its exit code."""
    try:
        command = find(f"{KIT}.__main__")
    except MissingKitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"core.testing is now {KIT}: python -m {KIT}", file=sys.stderr)
    return int(command.main())


if __name__ == "__main__":
    sys.exit(main())

warnings.warn(f"core.testing is now {KIT}: import from there", DeprecationWarning, stacklevel=2)
_kit = find(KIT)
globals().update({name: getattr(_kit, name) for name in _kit.__all__})
sys.modules[f"{__name__}.documents"] = find(f"{KIT}.documents")
