"""Pages decoded as browsers decode them: by the Encoding Standard, and by what the bytes say."""

import time

import pytest
from core.data.charsets import declared_in, decode, decode_page, decode_strictly, encoding_of

KOREAN = "우리 회사는 서울에 있으며 매년 새로운 제품을 만들고 있습니다. "
RUSSIAN = "Наша компания находится в Москве и выпускает новые изделия. "
GREEK = "Η εταιρεία μας βρίσκεται στην Αθήνα. "


@pytest.mark.parametrize(
    ("label", "data", "text"),
    [
        ("euc-kr", (KOREAN + "펲시").encode("cp949"), KOREAN + "펲시"),
        ("ks_c_5601-1987", "똠방각하 펲시콜라".encode("cp949"), "똠방각하 펲시콜라"),
        ("shift_jis", "手順①を見る㈱山田 髙島".encode("cp932"), "手順①を見る㈱山田 髙島"),
        ("x-sjis", "ﾊﾝｶｸ 纊".encode("cp932"), "ﾊﾝｶｸ 纊"),
        ("big5", "那裏有恒心".encode("cp950"), "那裏有恒心"),
        ("big5-hkscs", "香港嘅㗎喺啲".encode("big5hkscs"), "香港嘅㗎喺啲"),
        ("gbk", "价格 ".encode("gbk") + b"\x80 100", "价格 € 100"),
        ("gb2312", "镕基 朱镕基 囧 €".encode("gb18030"), "镕基 朱镕基 囧 €"),
        ("gb18030", "㐀䶵𠀀".encode("gb18030"), "㐀䶵𠀀"),
        ("euc-jp", b"\xad\xa1\xad\xea \xa1\xc1 " + "日本語".encode("euc_jp"), "①㈱ ～ 日本語"),
        ("iso-2022-jp", b"\x1b$B-!-j\x1b(B ok \x1b$BF|K\\\x1b(B", "①㈱ ok 日本"),
        ("windows-1251", (RUSSIAN + "№").encode("cp1251") + b"\x98", RUSSIAN + "№\x98"),
        ("windows-1253", GREEK.encode("cp1253") + b"\xd2 .", GREEK + "\ufffd ."),
        ("iso-8859-1", b"\x93smart\x94 \x81", "“smart” \x81"),
        ("windows-1255", "שלום".encode("cp1255") + b" \xca", "שלום \u05ba"),
        ("tis-620", "ภาษาไทย “คำ”".encode("cp874"), "ภาษาไทย “คำ”"),
        ("x-mac-cyrillic", "Привет мир".encode("mac_cyrillic"), "Привет мир"),
        ("koi8-u", b"\xf7\xae\xbe", "Вў\u040e"),
        ("iso-8859-8-i", "שלום".encode("iso8859-8"), "שלום"),
        ("ISO_8859-5", RUSSIAN.encode("iso8859-5"), RUSSIAN),
        ("hz-gb-2312", b"~{VPND~}", "中文"),
    ],
)
def test_labels_mean_the_encodings_of_the_standard(label, data, text):
    assert decode_page(data, label)[0] == text
    page = b"<html><head><meta charset='" + label.encode() + b"'></head><p>" + data
    assert decode_page(page)[0].partition("<p>")[2] == text


@pytest.mark.parametrize("label", ["euc-kr", "shift_jis", "big5", "gbk", "euc-jp"])
def test_what_fits_nothing_takes_no_ascii_with_it_and_no_doubt_on_the_rest(label):
    text = {"euc-kr": KOREAN, "shift_jis": "日本語の文章", "euc-jp": "日本語の文章"}.get(label, "中文的文章") * 5
    data = text.encode(encoding_of(label))
    cut = len(text[:5].encode(encoding_of(label)))
    broken = data[:cut] + b"\xff<b>" + data[cut:] + b"\xfe\xff</b>"
    found, name = decode_page(broken, label)
    assert name == encoding_of(label)
    assert "<b>" in found
    assert found.endswith("</b>")
    assert 2 <= found.count("\ufffd") <= 3
    assert len(found.replace("\ufffd", "")) >= len(text) + 7


@pytest.mark.parametrize("declared", ["", "utf-8", "iso-8859-1", "gbk", "utf-16", "no-such-label"])
def test_utf_8_with_a_broken_byte_stays_utf_8(declared):
    data = RUSSIAN.encode() + b"\xd0 " + KOREAN.encode()
    assert decode_page(data, declared) == (f"{RUSSIAN}\ufffd {KOREAN}", "utf-8")


@pytest.mark.parametrize("label", ["utf-16", "unicode", "utf-16le", "utf-16be", "ucs-2"])
def test_a_label_of_utf_16_is_not_believed_of_single_bytes(label):
    assert decode_page(b"<html><p>plain page", label) == ("<html><p>plain page", "utf-8")
    page = b"<meta charset=windows-1251><p>" + RUSSIAN.encode("cp1251")
    assert decode_page(page, label) == (page.decode("cp1251"), "cp1251")
    assert decode_page(page.replace(b"windows-1251", label.encode()), "windows-1251")[1] == "cp1251"
    for name in ("utf-16-le", "utf-16-be"):
        assert decode_page("\r\n<p>текст стр.\n".encode(name), label) == ("\r\n<p>текст стр.\n", name)
        assert decode_page("\ufeffтекст".encode(name)) == ("текст", name)


@pytest.mark.parametrize(
    ("head", "label"),
    [
        (b'<meta charset="euc-kr">', "euc-kr"),
        (b"<META HTTP-EQUIV=Content-Type CONTENT='text/html;CHARSET=EUC-KR'>", "EUC-KR"),
        (b'<meta http-equiv="content-type" content="text/html; charset="euc-kr"">', "euc-kr"),
        (b'<?xml version="1.0" encoding="windows-1251"?><html>', "windows-1251"),
        (b"<!-- <meta charset=gbk> --><meta charset=big5>", "big5"),
        (b'<meta name=description content="set charset=gbk here"><meta charset=big5>', "big5"),
        (b"<meta charset=nonsense><meta charset=big5>", "big5"),
        (b"<script>" + b"x" * 5000 + b"</script><meta charset=big5>", "big5"),
        (b"<p>charset=gbk", ""),
    ],
)
def test_the_page_itself_says_its_charset(head, label):
    assert declared_in(head) == label


def test_of_two_declarations_the_one_that_fits_counts():
    japanese = b"<meta charset=shift_jis>" + "日本語の文章です。表示".encode("cp932")
    assert decode_page(japanese, "iso-8859-1")[1] == "shift_jis"  # the server's default
    assert decode_page(RUSSIAN.encode("cp1251"), "utf-8") is None
    assert decode_page(RUSSIAN.encode("cp1251"), "utf-8", lambda data: "windows-1251") == (RUSSIAN, "cp1251")
    assert decode_page("模".encode("gbk"), "gbk") == ("模", "gbk")  # C4 A3, which is UTF-8 by chance
    assert decode_page("模型和é".encode(), "gbk")[1] == "utf-8"
    assert decode_page("\ufeff".encode() + RUSSIAN.encode("cp1251"), "windows-1251", lambda data: "windows-1251")[0]


def test_every_label_has_a_decoder_that_never_raises():
    from core.data.charset_labels import LABELS

    for label in LABELS:
        text = decode(bytes(range(256)) * 2, encoding_of(f" {label.upper()} "))
        assert isinstance(text, str)
    assert encoding_of("rot13") is None
    assert encoding_of("zip") is None


def test_strict_decoding_knows_the_wider_charset_and_refuses_what_fits_neither():
    assert decode_strictly("手順①".encode("cp932"), "shift_jis") == "手順①"
    assert decode_strictly(KOREAN.encode("cp949") + "펲".encode("cp949"), "EUC-KR") == KOREAN + "펲"
    assert decode_strictly(b"caf\xe9", "latin-1") == "café"
    assert decode_strictly("日本".encode("cp932"), "windows-31j") == "日本"  # no codec of Python's
    for data, label in ((b"caf\xe9", "utf-8"), ("手順".encode("cp932")[:-1], "shift_jis"), (b"\xff\xff", "euc-kr")):
        with pytest.raises(UnicodeDecodeError):
            decode_strictly(data, label)
    with pytest.raises(LookupError):
        decode_strictly(b"x", "no-such-label")


@pytest.mark.parametrize(
    ("label", "unit"),
    [("euc-kr", b"\xff"), ("big5", b"\xfe\x80"), ("big5", b"\x88\x62"), ("gbk", b"\xff\x80"), ("euc-jp", b"\xad\xa1"),
     ("iso-2022-jp", b"\x1b(B"), ("iso-2022-jp", b"\x1b$B~~")],
)  # fmt: skip
def test_megabytes_that_fit_nothing_take_no_time(label, unit):
    start = time.process_time()
    decode_page(unit * (3_000_000 // len(unit)), label)
    assert time.process_time() - start < 1  # 2.7 to 4 when each is looked at
