from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trie.codecs import BY_NUMBER
from trie.errors import NotATrie
from trie.header import Header

HEADERS = st.builds(
    Header,
    order=st.just("hash"),
    keys=st.sampled_from(list(BY_NUMBER.values())),
    values=st.sampled_from(list(BY_NUMBER.values())),
    hash_key=st.binary(min_size=32, max_size=32),
    hash_bits=st.integers(1, 64),
    metadata=st.binary(max_size=10),
)


@given(header=HEADERS)
def test_headers_come_back(header: Header) -> None:
    assert Header.from_bytes(header.to_bytes()) == header


def test_a_key_ordered_header_names_no_hash() -> None:
    block = Header(order="key", hash_key=b"k" * 32, hash_bits=3).to_bytes()
    assert Header.from_bytes(block) == Header(order="key")


@given(data=st.binary())
def test_other_blocks_are_refused(data: bytes) -> None:
    with pytest.raises(NotATrie):
        Header.from_bytes(data)


def test_every_truncation_and_wrong_field_is_refused() -> None:
    good = Header(hash_key=b"k" * 32).to_bytes()
    for size in range(len(good)):
        with pytest.raises(NotATrie):
            Header.from_bytes(good[:size])
    for at, wrong in ((12, 2), (13, 2), (14, 0), (14, 65), (15, 4), (16, 9), (13, 1)):
        with pytest.raises(NotATrie):
            Header.from_bytes(good[:at] + bytes((wrong,)) + good[at + 1 :])


def test_options_outside_of_the_format_are_misuse() -> None:
    with pytest.raises(ValueError, match="neither 'hash' nor 'key'"):
        Header(order="size")  # type: ignore[arg-type]  # a caller without a type checker
    with pytest.raises(ValueError, match="hash_bits 65"):
        Header(hash_bits=65)
    with pytest.raises(ValueError, match="65537 bytes, the limit is 65536"):
        Header(metadata=bytes(65537))
