from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog_cli.blocks import parse_range
from feedlog_cli.errors import UsageError

BOUND = st.none() | st.integers(-30, 30)


@given(BOUND, BOUND, st.integers(0, 20))
def test_ranges_mean_what_slices_mean(start: int | None, stop: int | None, length: int) -> None:
    text = f"{'' if start is None else start}:{'' if stop is None else stop}"
    assert list(parse_range(text, length)) == list(range(length))[start:stop]


@given(st.integers(-30, 30), st.integers(0, 20))
def test_numbers_mean_what_indexes_mean(index: int, length: int) -> None:
    try:
        expected = range(length)[index]
    except IndexError:
        with pytest.raises(IndexError, match=f"block {index} is past the end: the feed has"):
            parse_range(str(index), length)
    else:
        assert list(parse_range(str(index), length)) == [expected]


@pytest.mark.parametrize(
    "text", ["", "x", "1-2", "1:2:3", "1.5", "--1", "1 ", "\u0664", "9" * 40, "1:" + "9" * 40]
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="blocks are written as 7, 10:20"):
        parse_range(text, 10)
