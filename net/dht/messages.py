"""What nodes ask each other: the procedures, their arguments and answers, and the bounds of both.

    name        arguments                                      body of the response
    ping        [sender, padding]                              [public key, signature]
    lookup      [sender, topic, padding]                       `Found`
    announce    [sender, token, record, ticket, proof]         nil
    introduce   [sender, token, topic, key, message, padding]  the announcer's answer
    introduced  [sender, ticket, topic, message, padding]      the announcer's answer
    get         [sender, topic, padding]                       `Found`
    put         [sender, token, value, cas]                    nil

`sender` is the asker's node id, or empty when it does not offer to be a contact.
Arguments and bodies are arrays of fixed shape; an element more or less, another type or a
size out of bounds is malformed. Specified in docs/spec/dht.md, section 6.

Invariant: what is not in `RPCS` does not exist, and all that a peer sends has a bound in its type.
Must not know how messages travel (`datagrams`).
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from feedlog.keys import SIGNATURE_SIZE
from net.dht.contacts import MAX_NODES, V4_SIZE, V6_SIZE, Contact, unpack_contacts
from net.dht.hashing import ID_SIZE, TOKEN_SIZE
from net.dht.records import MAX_RECORD_SIZE
from net.dht.value_records import MAX_VALUE_RECORD
from net.discovery import TOPIC_SIZE

MAX_DATAGRAM = 1200
"""Bytes of a message with its frame: passes every path that QUIC passes (RFC 9000, section 14)
without being fragmented."""

MAX_RECORDS = 4
"""Announcements in one answer, drawn at random when more are held."""

MAX_MESSAGE = 512
"""Bytes that are carried to an announcer or back: the two messages of a Noise handshake."""

assert TOPIC_SIZE == ID_SIZE == 20, "Bytes20 stands for both"

Bytes20 = Annotated[bytes, msgspec.Meta(min_length=20, max_length=20)]
Sender = Annotated[bytes, msgspec.Meta(max_length=ID_SIZE)]
Padding = Annotated[bytes, msgspec.Meta(max_length=MAX_DATAGRAM)]
Token = Annotated[bytes, msgspec.Meta(min_length=TOKEN_SIZE, max_length=TOKEN_SIZE)]
Record = Annotated[bytes, msgspec.Meta(max_length=MAX_RECORD_SIZE)]
ValueRecord = Annotated[bytes, msgspec.Meta(max_length=MAX_VALUE_RECORD)]
Seq = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Ticket = Annotated[bytes, msgspec.Meta(max_length=TOKEN_SIZE)]
Proof = Annotated[bytes, msgspec.Meta(max_length=SIGNATURE_SIZE)]
Message = Annotated[bytes, msgspec.Meta(min_length=1, max_length=MAX_MESSAGE)]
PublicKey = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class Ping(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """Asks for the proof of a node id."""

    sender: Sender
    padding: Padding = b""


class Lookup(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """Asks for the records of a topic and the contacts that are closest to it."""

    sender: Sender
    topic: Bytes20
    padding: Padding = b""


class Announce(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """Asks to hold a record, and with a ticket also to introduce those who ask for its maker.

    Anybody may pass on a record. Only its maker can make the proof, the signature of
    `hashing.way_signable`; so nobody else draws the introductions to itself.
    """

    sender: Sender
    token: Token
    record: Record
    ticket: Ticket = b""
    proof: Proof = b""


class Introduce(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """Asks a holder to pass a message on to the announcer, and the answer back."""

    sender: Sender
    token: Token
    topic: Bytes20
    public_key: PublicKey
    message: Message
    padding: Padding = b""


class Introduced(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """Brings an announcer a message, with the ticket that it gave to the holder."""

    sender: Sender
    ticket: Token
    topic: Bytes20
    message: Message
    padding: Padding = b""


class Fetch(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """Asks for the value of a topic and the contacts that are closest to it."""

    sender: Sender
    topic: Bytes20
    padding: Padding = b""


class Store(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """Asks to hold a value; with `cas` only in place of one with that seq, if one is held."""

    sender: Sender
    token: Token
    value: ValueRecord
    cas: Seq | None = None


class Pong(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """Proves a node id: its key and the signature of `hashing.ping_signable`."""

    public_key: PublicKey
    signature: Annotated[bytes, msgspec.Meta(min_length=SIGNATURE_SIZE, max_length=SIGNATURE_SIZE)]


class Found(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """Records or the value of a topic, and contacts: 20 bytes of id and a packed address each.

    `answerer` is the id of the node that answers, so that an address which a liar has
    named under another id is found out.
    """

    answerer: Bytes20
    token: Token
    nodes: Annotated[bytes, msgspec.Meta(max_length=MAX_NODES * V4_SIZE)]
    nodes6: Annotated[bytes, msgspec.Meta(max_length=MAX_NODES * V6_SIZE)]
    records: Annotated[list[ValueRecord], msgspec.Meta(max_length=MAX_RECORDS)]

    def contacts(self) -> list[Contact]:
        """Read the contacts; raises `DecodeError`."""
        return [*unpack_contacts(self.nodes, V4_SIZE), *unpack_contacts(self.nodes6, V6_SIZE)]


Arguments = Ping | Lookup | Announce | Introduce | Introduced | Fetch | Store
Body = Pong | Found | bytes | None

RPCS: dict[str, tuple[type[Arguments], Any]] = {
    "ping": (Ping, Pong),
    "lookup": (Lookup, Found),
    "announce": (Announce, None),
    "introduce": (Introduce, Message),
    "introduced": (Introduced, Message),
    "get": (Fetch, Found),
    "put": (Store, None),
}
"""The whole list: a name that is not here does not exist."""

_names = {kind: name for name, (kind, _) in RPCS.items()}


def procedure(arguments: Arguments) -> str:
    """Return the name of the procedure that takes these arguments."""
    return _names[type(arguments)]
