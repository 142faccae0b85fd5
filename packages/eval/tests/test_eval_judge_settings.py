"""Settings of a judge that cannot be meant, or that would store a secret."""

import pytest
from core.errors import ConfigError
from smallwright_eval.judge.settings import JudgeConfig


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"url": "localhost:8000", "model": "j"}, "url=localhost:8000: not an address"),
        ({"url": "http://me:secret@host/v1", "model": "j"}, "would be stored"),
        ({"url": "http://host/v1?key=secret", "model": "j"}, "would be stored"),
        ({"url": "ftp://me:secret@host/v1", "model": "j"}, "would be stored"),
        ({"url": "http://host/v1#secret", "model": "j"}, "would be stored"),
        ({"url": "http://host:secret/v1", "model": "j"}, "host or port is none"),
        ({"url": "http://[::1/v1", "model": "j"}, "host or port is none"),
        ({"url": "http:///v1", "model": "j"}, "not an address"),
        ({"url": "http://host/\x07", "model": "j"}, "not an address"),
        ({"url": "http://host/v1"}, "without model"),
        ({"key_variable": "sk-secret"}, "not the name of an environment variable"),
        ({"key_variable": "gsk_secret5f8a0b1c2d3e4f"}, "not the name of an environment variable"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words) as refused:
        JudgeConfig(**settings)
    assert "secret" not in str(refused.value)
