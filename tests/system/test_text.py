from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_steps.system.text import clean, one_line, shorten_middle

ALLOWED = re.compile("[\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b(Bplain", "plain"),
        ("\x1b7saved\x1b8", "saved"),
        ("10%\r20%\rdone\r\n", "10%\n20%\ndone\n"),
        ("a\r\r\nb", "a\nb"),
        ("tab\tstays", "tab\tstays"),
        ("\x1b]0;title without an end\nnext", "0;title without an end\nnext"),
        ("\x1b", ""),
        ("\x1b[31", "31"),
    ],
)
def test_terminal_escapes_go_and_the_text_stays(text: str, expected: str) -> None:
    assert clean(text) == expected


@given(st.text(st.characters(codec=None)))
def test_cleaned_text_holds_only_what_xml_allows(text: str) -> None:
    assert ALLOWED.fullmatch(clean(text))


@given(st.text(max_size=300), st.integers(30, 200))
def test_a_shortened_text_is_never_much_longer_than_its_limit(text: str, limit: int) -> None:
    short = shorten_middle(text, limit)
    assert short == text or len(short.encode()) <= limit + len("\n[… 1000 bytes left out …]\n".encode())
    assert (short == text) == (len(text.encode()) <= limit)


@given(st.text(st.characters(codec=None), max_size=60), st.integers(1, 30))
def test_a_name_is_one_line_within_its_limit(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert line == " ".join(line.split())


@pytest.mark.parametrize("piece", ["\x1b]", "\x1b[0", "\x9d", "a.", "https://", "\r", "\x1bP"])
def test_hostile_texts_take_no_more_than_linear_time(piece: str) -> None:
    text = piece * 200_000
    start = time.process_time()
    one_line(text, 100)
    assert time.process_time() - start < 5
