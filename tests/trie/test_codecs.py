from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trie.codecs import BY_NAME, BY_NUMBER, JSON, MSGPACK, TEXT, named

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=lambda codec: codec.name)
@given(value=PLAIN)
def test_values_come_back(codec: Any, value: Any) -> None:
    assert codec.decode(codec.encode(value)) == value


@pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=lambda codec: codec.name)
def test_equal_values_have_equal_bytes(codec: Any) -> None:
    assert codec.encode({"a": 1, "b": {"d": 1, "c": 2}}) == codec.encode(
        {"b": {"c": 2, "d": 1}, "a": 1}
    )


@given(data=st.binary())
def test_decoding_raises_nothing_but_value_errors(data: bytes) -> None:
    for codec in BY_NUMBER.values():
        with suppress(ValueError):
            codec.decode(data)


def test_what_a_codec_cannot_say_is_misuse() -> None:
    assert BY_NAME["bytes"].encode(bytearray(b"a")) == b"a"
    with pytest.raises(TypeError, match="expected bytes, got str"):
        BY_NAME["bytes"].encode("a")
    with pytest.raises(TypeError, match="expected str, got bytes"):
        TEXT.encode(b"a")
    with pytest.raises(TypeError):
        JSON.encode(object())
    with pytest.raises(ValueError, match="can't serialize ints"):
        MSGPACK.encode(2**70)
    endless: list[Any] = []
    endless.append(endless)
    for codec in (JSON, MSGPACK):
        with pytest.raises(ValueError, match="recursion"):
            codec.encode(endless)
    with pytest.raises(ValueError, match="surrogates"):
        TEXT.encode("\ud800")
    with pytest.raises(ValueError, match="'pickle' is none of bytes, text, json, msgpack"):
        named("pickle")
