"""A node as others know it, and how answers name it.

    contact = id (20) || packed address (6 for IPv4, 18 for IPv6)

Specified in docs/spec/dht.md, section 6.

Invariant: bytes are read as contacts that can be asked, or raise `DecodeError`. Must not know
who names whom.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from feedlog.errors import DecodeError
from net.addresses import Address, pack_address, unpack_address
from net.dht.hashing import ID_SIZE

MAX_NODES = 20
"""Contacts in one answer: one bucket."""

V4_SIZE, V6_SIZE = ID_SIZE + 6, ID_SIZE + 18
"""Bytes of a contact of each family."""


class Contact(NamedTuple):
    """A node as others know it: its id and where it answers."""

    id: bytes
    address: Address


def pack_contacts(contacts: Iterable[Contact]) -> bytes:
    """Return contacts of one family as an answer carries them."""
    return b"".join(contact.id + pack_address(contact.address) for contact in contacts)


def unpack_contacts(data: bytes, size: int) -> list[Contact]:
    """Read contacts of one family, of `size` bytes each; raises `DecodeError`.

    Those without a port are left out: there is nobody to ask.
    """
    if len(data) % size:
        raise DecodeError("dht nodes", len(data), f"not a multiple of {size} bytes")
    contacts = []
    for at in range(0, len(data), size):
        address = unpack_address(data[at + ID_SIZE : at + size])
        if address[1]:
            contacts.append(Contact(data[at : at + ID_SIZE], address))
    return contacts
