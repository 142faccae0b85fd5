"""Words of many scripts: each is one word, other words are other words. Milliseconds."""

import pytest
from core.data.words import split_words

ONE_WORD = {
    "Hindi": "हिन्दी क्षत्रिय ज़रूरत कुँआ",
    "Bengali": "বাংলা সংস্কৃতি",
    "Tamil": "தமிழ் மொழி",
    "Telugu": "తెలుగు",
    "Malayalam": "മലയാളം",
    "Sinhala, with its joiner": "ශ්‍රී ලංකා",
    "Gurmukhi": "ਪੰਜਾਬੀ",
    "Hebrew with vowels": "שָׁלוֹם עוֹלָם",
    "Arabic with vowels": "كَتَبَ الوَلَدُ",
    "Persian, with its joiner": "می‌خواهم",
    "Syriac": "ܫܠܳܡܳܐ",
    "Divehi": "ދިވެހި",
    "Tibetan between its dots": "བོད་སྐད",
    "Brahmi, beyond 16 bits": "𑀩𑁆𑀭𑀸𑀳𑁆𑀫𑀻",
    "Vietnamese": "tiếng Việt",
    "Yoruba, taken apart": "e\u0323\u0300ko\u0323\u0301",
    "a soft hyphen": "ex\u00adam\u00adple",
}


@pytest.mark.parametrize("words", ONE_WORD.values(), ids=ONE_WORD)
def test_words_are_not_cut_at_their_marks(words):
    expected = words.replace("་", " ").split()
    assert len(split_words(words)) == len(expected)
    assert split_words(f"({words})!") == split_words(words)


@pytest.mark.parametrize(
    "words",
    [
        ("कील", "कुल", "कल", "कला"),  # nail, total, yesterday, art
        ("เสือ", "เสื่อ", "เสื้อ"),  # tiger, mat, shirt
        ("မာ", "မား", "မ"),
        ("ខ្មែរ", "ខ្មរ"),
        ("ພາສາ", "ພາສີ"),
        ("كَتَبَ", "كُتُبُ", "كُتِبَ"),  # he wrote, books, it was written
        ("סֵפֶר", "סַפָּר", "סָפַר"),  # book, barber, he counted
        ("நான்", "நானே", "நானா"),
        ("نامه‌ای", "نام‌های"),  # a letter, names of
        ("かき", "がき", "かぎ"),
    ],
)
def test_words_of_other_marks_are_other_words(words):
    assert len({tuple(split_words(word)) for word in words}) == len(words)


def test_case_accents_and_what_is_not_seen_do_not_count():
    assert (
        split_words("CAFÉ naïve Straße") == split_words("cafe\u0301 nai\u0308ve straße") == ["cafe", "naive", "straße"]
    )
    assert split_words("in\u00advis\u2060ible \ufefftext\u200f ❤\ufe0f 1\ufe0f\u20e3") == ["invisible", "text", "1"]
    assert split_words("zero\u200bwidth space") == ["zero", "width", "space"]


def test_letters_of_scripts_without_spaces_are_words_with_their_marks():
    assert split_words("เสื่อ") == ["เ", "สื่", "อ"]
    assert split_words("中文 かな漢字 한국 abc中") == [*"中文かな漢字한국", "abc", "中"]
    assert split_words("\u0e48 \u0301 \u093f - \u20e3") == []  # marks without a letter


def test_numbers_are_folded_in_any_script():
    assert split_words("1,234.5 and 3 ٣٤ x1", fold_numbers=True) == ["0", "and", "0", "0", "x0"]
