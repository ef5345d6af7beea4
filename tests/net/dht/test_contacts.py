"""Contacts as answers name them: round trips, and bytes that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog.errors import DecodeError
from net.dht.contacts import V4_SIZE, V6_SIZE, Contact, pack_contacts, unpack_contacts

ID = bytes(range(20))
FAMILIES = [("1.2.3.4", 5, V4_SIZE), ("2a00::1", 6, V6_SIZE)]


@given(st.lists(st.binary(min_size=20, max_size=20), max_size=30), st.sampled_from(FAMILIES))
def test_contacts_round_trip(ids: list[bytes], place: tuple[str, int, int]) -> None:
    host, port, size = place
    contacts = [Contact(one, (host, port)) for one in ids]
    packed = pack_contacts(contacts)
    assert len(packed) == size * len(ids)
    assert unpack_contacts(packed, size) == contacts


@pytest.mark.parametrize(("host", "port", "size"), FAMILIES)
def test_a_part_of_a_contact_is_none(host: str, port: int, size: int) -> None:
    packed = pack_contacts([Contact(ID, (host, port))])
    for cut in range(1, size):
        with pytest.raises(DecodeError, match=f"not a multiple of {size} bytes"):
            unpack_contacts(packed[:cut], size)


@given(st.binary(max_size=200), st.sampled_from([V4_SIZE, V6_SIZE]))
def test_any_bytes_raise_nothing_but_decode_errors(data: bytes, size: int) -> None:
    try:
        contacts = unpack_contacts(data, size)
    except DecodeError:
        return
    assert all(port for _, (_, port) in contacts)
