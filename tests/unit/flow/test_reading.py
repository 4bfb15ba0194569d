from typing import Any

import pytest

from headrace.runtime.flow.document import BYTES_MAX, Document
from headrace.runtime.flow.reading import Format, read_documents


def read(content: bytes | str, syntax: Format = "yaml") -> Document:
    (document,) = read_documents(content, "file", syntax)
    return document


def mistakes(content: bytes | str, syntax: Format = "yaml") -> list[tuple[int, str]]:
    return [(line, text) for line, text in read(content, syntax).mistakes]


@pytest.mark.parametrize("word", ["on", "off", "yes", "no", "2020-01-01", "12:30:45", "1_000"])
def test_words_that_only_yaml_1_1_resolves_stay_text(word: str) -> None:
    assert read(f"value: {word}").data == {"value": word}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("-12", -12),
        ("0x1F", 31),
        ("0o17", 15),
        ("1.5e3", 1500.0),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("! 1", "1"),
        ("event.amount > 100", "event.amount > 100"),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: Any) -> None:
    read_value = read(f"value: {text}").data["value"]

    assert read_value == value
    assert type(read_value) is type(value)


def test_keys_are_the_text_they_are_written_as() -> None:
    assert read("on: 1\n1: 2\ntrue: 3\n").data == {"on": 1, "1": 2, "true": 3}


@pytest.mark.parametrize("syntax", ["yaml", "json"])
def test_every_part_has_its_line(syntax: Format) -> None:
    document = read('{"a": 1,\n "b": [1,\n  {"c": 2}]}', syntax)

    assert document.places.line("a") == 1
    assert document.places.line("b", 1, "c") == 3
    assert document.places.place("b", 0) == "file:2"


@pytest.mark.parametrize("syntax", ["yaml", "json"])
def test_a_key_given_twice_is_a_mistake_that_names_both_lines(syntax: Format) -> None:
    found = mistakes('{"a": 1,\n "b": 2,\n "a": 3}', syntax)

    assert found == [(3, "key 'a' is given twice, first in line 1; keep one of them")]


def test_several_documents_in_a_file_are_read_one_by_one() -> None:
    documents = read_documents("a: 1\n---\n---\n# nothing\n---\nb: 2\n", "file", "yaml")

    assert [document.data for document in documents] == [{"a": 1}, {"b": 2}]
    assert documents[1].places.line("b") == 6


def test_anchors_aliases_and_merge_keys_work() -> None:
    data = read("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\nz: [*x]\nw: {<<: [*x, {c: 4}]}").data

    assert data["y"] == {"a": 1, "b": 3}
    assert data["z"] == [{"a": 1, "b": 2}]
    assert data["w"] == {"a": 1, "b": 2, "c": 4}


def test_what_an_alias_stands_for_is_a_copy() -> None:
    data = read("x: &x [1]\ny: *x").data

    assert data["x"] is not data["y"]


def test_a_merge_key_of_no_mapping_is_a_mistake() -> None:
    assert mistakes("a: 1\nb: {<<: 5}") == [(2, "'<<' must name a mapping or a list of mappings")]


def test_aliases_of_aliases_are_bounded() -> None:
    # A million values: enough to pass the bound, and few enough to survive its absence.
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 6)]

    ((line, text),) = mistakes("\n".join(lines))

    assert line == 6
    assert "more than 500000 values once its aliases are expanded" in text


def test_aliases_of_a_long_text_are_bounded() -> None:
    text = f"a: &a {'x' * 1_000_000}\nb: [{', '.join(['*a'] * 40)}]"

    assert "once its aliases are expanded" in mistakes(text)[0][1]


def test_aliases_cannot_nest_deeper_than_the_bound() -> None:
    lines = ["a0: &a0 []"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 80)]

    assert mistakes("\n".join(lines)) == [
        (65, "lists and mappings are nested deeper than 64 levels")
    ]


@pytest.mark.parametrize("syntax", ["yaml", "json"])
@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000])
def test_deep_nesting_is_refused(text: str, syntax: Format) -> None:
    assert mistakes(text, syntax) == [(1, "lists and mappings are nested deeper than 64 levels")]


def test_an_alias_inside_of_what_it_names_is_refused() -> None:
    assert mistakes("a: 1\nb: &b [*b]") == [
        (2, "alias '*b' stands before or inside of what it names ('&b')")
    ]


@pytest.mark.parametrize("tag", ["!secret", "!!python/object:os.system", "!!binary", "!!set"])
def test_a_tag_of_anything_but_plain_data_is_a_mistake(tag: str) -> None:
    ((line, text),) = mistakes(f"a: 1\nb: {tag} {{}}")

    assert line == 2
    assert text == f"tag '{tag}' is not known here; leave it out, or quote the text"


@pytest.mark.parametrize("text", [".nan", ".inf", "-.INF", "1e999", "9" * 30])
def test_yaml_numbers_that_json_cannot_hold_are_mistakes(text: str) -> None:
    ((line, _),) = mistakes(f"a: 1\nb: {text}")

    assert line == 2


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999", "9" * 5_000])
def test_json_numbers_that_are_no_numbers_are_mistakes(text: str) -> None:
    ((line, _),) = mistakes(f'{{"a": 1,\n"b": {text}}}', "json")

    assert line == 2


def test_a_list_as_a_key_is_refused() -> None:
    assert mistakes("? [a]\n: 1") == [(1, "a key must be text, found a list or a mapping")]


def test_a_byte_that_is_not_utf_8_is_found_by_its_line() -> None:
    assert mistakes(b"a: 1\nb: \xff") == [(2, "the text is not UTF-8: byte 0xff; save it as UTF-8")]


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert read(b"\xef\xbb\xbfa: 1").data == {"a": 1}


@pytest.mark.parametrize("text", ["a: \x00", "a: \x07"])
def test_control_characters_are_refused(text: str) -> None:
    assert mistakes("x: 1\n" + text) == [
        (2, "the text holds a control character, which YAML does not allow")
    ]


def test_half_of_a_surrogate_pair_is_refused() -> None:
    assert mistakes('{"a":\n "\\ud800"}', "json") == [(2, "a text holds half of a surrogate pair")]
    assert mistakes("a: \ud800") == [(0, "the text holds half of a surrogate pair")]


def test_a_text_over_the_size_limit_is_refused() -> None:
    assert mistakes(b"#" * (BYTES_MAX + 1)) == [(0, "the text is larger than 5 MB")]


@pytest.mark.parametrize("syntax", ["yaml", "json"])
@pytest.mark.parametrize("text", ["", "\n\n"])
def test_a_text_without_a_document_says_so(text: str, syntax: Format) -> None:
    assert mistakes(text, syntax) == [(1, "the text holds no flow; a flow begins with its 'name'")]


def test_a_yaml_syntax_error_names_its_line() -> None:
    ((line, text),) = mistakes("a: 1\nb: [1,\nc: 2")

    assert line == 3
    assert text == (
        "the text is not YAML: did not find expected ',' or ']' "
        "(while parsing a flow sequence that begins in line 2)"
    )


def test_a_syntax_error_leaves_the_documents_before_it() -> None:
    documents = read_documents("a: 1\n---\nb: [", "file", "yaml")

    assert [document.data for document in documents] == [{"a": 1}, None]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a" 1}', "expected ':', found '1'"),
        ('{"a": 1', "expected ',', but the text ends here"),
        ("[1,]", "expected a value, found ']'"),
        ('{"a": 1,}', "expected a key in double quotes, found '}'"),
        ("{a: 1}", "expected a key in double quotes, found 'a'"),
        ("[01]", "expected a value, found '0'"),
        ("[1 2]", "expected ',', found '2'"),
        ('"a" "b"', "expected the end of the text, found '\"'"),
        ('["\\x"]', "unknown escape in a text"),
        ('["abc', "expected a value, found '\"'"),
        ("[tru]", "'tru' must stand in double quotes"),
        ("[-]", "expected a value, found '-'"),
    ],
)
def test_a_json_syntax_error_says_what_was_expected(text: str, expected: str) -> None:
    assert mistakes("\n" + text, "json") == [(2, f"the text is not JSON: {expected}")]


def test_json_values_are_those_of_json() -> None:
    text = '{"a": [true, false, null, -1.5e3, 10, "\\u00e9\\n\\ud83d\\ude00"], "b": {}}'

    assert read(text, "json").data == {"a": [True, False, None, -1500.0, 10, "é\n😀"], "b": {}}
