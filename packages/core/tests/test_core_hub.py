"""Whatever the hub's client raises is one line, which begins with what the user wrote."""

import pytest
from core import fetch, hub, publish, remote
from core.errors import InputError, NotAtHand, UserError

errors = pytest.importorskip("huggingface_hub.errors", reason="the extra 'hub'")
httpx = pytest.importorskip("httpx", reason="the extra 'hub'")
ANSWER = httpx.Response(404, request=httpx.Request("GET", "https://hub"))


@pytest.fixture
def at_a_place(monkeypatch):
    client = hub.client("test")
    monkeypatch.setattr(client.constants, "ENDPOINT", "https://hub")
    monkeypatch.setattr(client.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_TOKEN", raising=False)


@pytest.mark.parametrize(
    ("raised", "kind", "said"),
    [
        (errors.HFValidationError("x\ny"), InputError, "no such folder, and no hub id (owner/name)."),
        (
            errors.GatedRepoError("x", response=ANSWER),
            InputError,
            "access must be asked for at https://hub/datasets/o/n, and HF_TOKEN set.",
        ),
        (
            errors.RepositoryNotFoundError("x", response=ANSWER),
            InputError,
            "there is no such folder, and the hub has no such data set. For a private one set HF_TOKEN.",
        ),
        (errors.RevisionNotFoundError("x", response=ANSWER), InputError, "the hub has no revision v9 of it."),
        (errors.LocalEntryNotFoundError("x"), NotAtHand, "https://hub cannot be reached. Go on."),
        (errors.OfflineModeIsEnabled("x"), NotAtHand, "https://hub cannot be reached. Go on."),
        (httpx.ConnectError("refused\nadvice"), NotAtHand, "https://hub cannot be reached (refused advice). Go on."),
        (errors.HfHubHTTPError("500 broken\n", response=ANSWER), NotAtHand, "not looked at: 500 broken. Go on."),
        (OSError("disk full."), NotAtHand, "not looked at: disk full. Go on."),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_error_of_the_client_is_one_line(at_a_place, raised, kind, said):
    with (
        pytest.raises(UserError) as met,
        hub.asking("model=o/n", "o/n", "dataset", "v9", missing="not looked at", then=" Go on."),
    ):
        raise raised
    assert type(met.value) is kind
    assert str(met.value).startswith("model=o/n: ")
    assert str(met.value).endswith(said)
    assert "\n" not in str(met.value)


def test_where_no_folder_can_be_named_none_is_spoken_of(at_a_place):
    for raised in (errors.RepositoryNotFoundError("x", response=ANSWER), errors.HFValidationError("x"), OSError("x")):
        with pytest.raises(UserError) as met, hub.asking("X", "o/n", or_folder=False, missing="not fetched"):
            raise raised
        assert "folder" not in str(met.value)


def test_a_client_that_is_not_installed_is_said_by_every_command(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    data = remote.RemoteData(name="o/n", splits=("test",))
    for work in (
        lambda: hub.snapshot("o/n", None, hub.DESCRIPTION, "model"),
        lambda: fetch.fetch([data], tmp_path),
        lambda: publish.upload(tmp_path, "o/n", None, private=False),
    ):
        with pytest.raises(UserError, match=r"pip install 'smallwright-core\[hub\]'"):
            work()
