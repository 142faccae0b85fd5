"""Settings of tasks whose answers another model rates."""

import dataclasses
from urllib.parse import urlsplit

from core.errors import ConfigError
from core.typed import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgeConfig:
    """Which model rates answers, and where it is asked."""

    url: str | None = setting(None, identity=False)
    """Of a server that speaks the protocol of OpenAI, up to its version: ``http://localhost:8000/v1``."""
    model: str | None = None
    """What the server calls the model that rates."""
    key_variable: str = setting("OPENAI_API_KEY", identity=False, min_length=1)
    """Name of the environment variable with the key to the server. The key itself is stored nowhere; without the
    variable none is sent."""
    temperature: float = setting(0.0, ge=0)
    """Of the ratings."""
    max_tokens: int = setting(2048, ge=1)
    """Longest rating in tokens, with its explanation."""
    retries: int = setting(3, ge=0, le=20)
    """How often a request is made again that failed, and a rating asked for again that had no number."""
    seconds: float = setting(120.0, gt=0, le=86400, identity=False)
    """Longest wait for one rating."""
    workers: int = setting(8, ge=1, identity=False)
    """Ratings that are waited for at a time."""

    def __post_init__(self) -> None:
        name = self.key_variable
        mixed = len(name) >= 20 and any(map(str.islower, name)) and any(map(str.isdigit, name))
        if not name.isidentifier() or mixed:
            raise ConfigError(
                "key_variable: not the name of an environment variable. If it is the key itself: put it in a variable, "
                "and name that; what stands here is stored."
            )
        if self.url is not None:
            self._check(self.url)
        if self.url is not None and self.model is None:
            raise ConfigError(f"url={self.url}: without model. Name the model that the server is to rate with.")

    @staticmethod
    def _check(url: str) -> None:
        # First what could be a secret, which no message repeats.
        if "@" in url:
            raise ConfigError("url: has a user's name or password in it, which would be stored. Use key_variable.")
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise ConfigError("url: its host or port is none. Write http://<host>:<port>/v1.") from None
        if parts.query or parts.fragment:
            raise ConfigError(
                "url: has a ? or # with something behind it, which would be stored. Use key_variable for a key."
            )
        if parts.scheme not in ("http", "https") or not host or not url.isprintable() or " " in url:
            raise ConfigError(f"url={url}: not an address of a server. Write http://<host>:<port>/v1.")


NO_JUDGE = JudgeConfig()
