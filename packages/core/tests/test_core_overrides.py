"""What a writer means is what Hydra reads: home folders, quotes, accents, signs; what is not closed is said."""

import pytest
from core.errors import ConfigError
from core.overrides import given_twice, home_written_out, readable
from hydra.core.override_parser.overrides_parser import OverridesParser


def read(override):
    return OverridesParser.create().parse_override(readable(override)).value()


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("~/x", "~/x"),
        ("/data/Käse/x", "/data/Käse/x"),
        ("/mnt/my disk/x", "/mnt/my disk/x"),
        ("/data/O'Brien/x", "/data/O'Brien/x"),
        ("it's", "it's"),
        ("/a(1)/b", "/a(1)/b"),
        ("a#b", "a#b"),
        ("a;b!", "a;b!"),
        ("https://h/x?y=1&z=2", "https://h/x?y=1&z=2"),
        ("[v].jsonl", "[v].jsonl"),
        ("C:\\x\\", "C:\\x\\"),
        ("a\"b'c\\", "a\"b'c\\"),
        (r"CC-MAIN-\d{4}-\d{2}", r"CC-MAIN-\d{4}-\d{2}"),
        ("", ""),
        ("'a b'", "a b"),
        ("3", 3),
        ("1e-3", 0.001),
        ("null", None),
        ("${a.b}", "${a.b}"),
        ("[~/a.gz, /b/ü.gz,c,3,true,null]", ["~/a.gz", "/b/ü.gz", "c", 3, True, None]),
        ("[it's,that's]", ["it's", "that's"]),
        ("[a=b.gz, [x#1, 'q,r']]", ["a=b.gz", ["x#1", "q,r"]]),
        ("{use: minhash, bands: 3, path: ~/x}", {"use": "minhash", "bands": 3, "path": "~/x"}),
        ('{ends: "0,21", middle: 1-4}', {"ends": "0,21", "middle": "1-4"}),
        ("[]", []),
    ],
)
def test_a_value_is_read_as_it_was_meant(written, value):
    assert read(f"key={written}") == value


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("data.paths=[a, b", "the [ is not closed. Write 'data.paths=[a, b]'"),
        ("x={a: [1}", "the { is not closed"),
        ("name='abc", "the quote ' is not closed"),
        ('name="abc', 'the quote " is not closed'),
        ("data.paths=a,b", "several values. Write 'data.paths=[a,b]'"),
    ],
)
def test_what_is_not_closed_or_is_several_values_is_said_with_the_key(written, said):
    with pytest.raises(ConfigError) as error:
        readable(written)
    assert str(error.value).startswith(f"{written.partition('=')[0]}=")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["a.b=1", "c=1", "++a.b=2"], ["a.b is set twice; a.b=2 counts, and a.b=1 changes nothing"]),
        (["a=1", "a=2", "a=3"], ["a is set twice; a=2 counts, and a=1 changes nothing",
                                 "a is set twice; a=3 counts, and a=2 changes nothing"]),
        (["a=1", "a=1", "a.b=2", "~a.b", "--flag"], []),
    ],
)  # fmt: skip
def test_a_key_that_is_given_twice_is_said_with_the_value_that_counts(overrides, said):
    assert given_twice(overrides) == said


def test_the_home_folder_is_written_out_where_a_path_begins_with_it(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert home_written_out("~/x") == "/home/me/x"
    assert home_written_out("~") == "/home/me"
    for same in ("a~/x", "~nobody-has-this-name/x", "~100 words", "s3://b/~/x", ""):
        assert home_written_out(same) == same
