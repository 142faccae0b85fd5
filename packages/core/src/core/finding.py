"""What ``core.doctor`` finds: one line each."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """A thing that was looked at."""

    name: str
    figure: str
    """What was measured, for people: ``212 MB/s``."""
    fault: str | None = None
    """What would fail, and the fix, in a line; None: nothing."""
