"""The closed sets of words, and the checks that name what is wrong and what is right."""

from __future__ import annotations

import math
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any, get_args

import pytest

from obswriter import vocabulary
from obswriter.vocabulary import check_mapping, check_project_id, check_text, check_word, to_number


class Team(str, Enum):  # noqa: UP042  # format() of this kind gives the member's name
    WEB = "web"


@pytest.mark.parametrize(
    ("words", "type"),
    [
        (vocabulary.EVENT_TYPES, vocabulary.EventType),
        (vocabulary.STATUSES, vocabulary.Status),
        (vocabulary.SPAN_KINDS, vocabulary.SpanKind),
        (vocabulary.LEVELS, vocabulary.Level),
    ],
)
def test_the_words_are_those_that_the_types_admit(words: tuple[str, ...], type: Any) -> None:
    assert words == get_args(type)


def test_a_wrong_word_names_the_field_the_choice_and_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"level must be one of debug, .*'warning'.*'warn'"):
        check_word("level", "warning", vocabulary.LEVELS)


@pytest.mark.parametrize("value", [None, 3, [], {}, "", "Ok", b"ok"])
def test_only_the_words_themselves_are_words(value: Any) -> None:
    with pytest.raises(ValueError, match="status must be one of ok, error, unset; got"):
        check_word("status", value, vocabulary.STATUSES)


@pytest.mark.parametrize("name", ["a", "A-b_9", "-", "x" * 128, "Processed", "processed2"])
def test_a_project_may_be_called(name: str) -> None:
    assert check_project_id(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "", "processed", "..", ".", ".hidden", "a/b", "../x", "a\\b", "a b", "a.b", "a\n", "\n",
        "a\0", "ä", "x" * 129, "%2e", None, 7, b"a", ["a"],
    ],
)  # fmt: skip
def test_a_project_may_not_be_called(name: Any) -> None:
    with pytest.raises(ValueError, match=r"project_id must be 1 to 128 of the characters .*; got"):
        check_project_id(name)


def test_a_project_from_an_enum_is_its_value_wherever_it_is_printed() -> None:
    assert f"{check_project_id(Team.WEB)}" == "web"


def test_text_is_a_string_and_not_empty_unless_it_may_be() -> None:
    assert check_text("name", "x") == "x"
    assert check_text("message", "", empty=True) == ""
    with pytest.raises(ValueError, match="name must not be empty"):
        check_text("name", "")
    with pytest.raises(TypeError, match="name must be a string; got 5"):
        check_text("name", 5)


@pytest.mark.parametrize("value", [[], "ab", 5, [("a", 1)]])
def test_attributes_are_a_mapping(value: Any) -> None:
    with pytest.raises(TypeError, match="attributes must be a mapping of names to values; got"):
        check_mapping("attributes", value)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1),
        (1.5, 1.5),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (2**63, 2.0**63),
        (10**400, math.inf),
        pytest.param(10**5000, math.inf, id="more digits than Python prints"),
        (Fraction(1, 4), 0.25),
        (Decimal("0.5"), 0.5),
        (Decimal("1e999"), math.inf),
    ],
)
def test_real_numbers_of_every_kind_are_numbers(value: Any, number: float) -> None:
    assert to_number(value) == number
    assert type(to_number(value)) is type(number)


def test_numpy_numbers_are_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    assert to_number(numpy.int64(7)) == 7
    assert type(to_number(numpy.int64(7))) is int
    for kind in (numpy.float16, numpy.float32, numpy.float64, numpy.longdouble):
        assert to_number(kind(0.5)) == 0.5
        assert type(to_number(kind(0.5))) is float


def test_what_numpy_does_not_count_with_is_no_number() -> None:
    numpy = pytest.importorskip("numpy")
    for value in (numpy.bool_(True), numpy.complex64(1j), numpy.array([1, 2]), numpy.str_("1")):
        with pytest.raises(TypeError, match="value must be a number; got"):
            to_number(value)


@pytest.mark.parametrize("value", [True, False, "1", None, 1j, [1], b"2", object()])
def test_what_only_resembles_a_number_is_none(value: Any) -> None:
    with pytest.raises(TypeError, match="value must be a number; got"):
        to_number(value)
