"""How a node is found: the one interface that every way of finding peers has.

`Node` announces topics and looks them up through a `Discovery` and does not know whether a
DHT, a local network or anything else answers. A topic is 20 bytes, any that users agree on:
`net.dht.hashing` makes the topic of a feed (`feed_topic`) and of a peer (`peer_topic`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from net.addresses import Address, RelayAddress

TOPIC_SIZE = 20
"""Bytes: topics and ids of DHT nodes live in one 160-bit space."""


def check_topic(topic: bytes) -> None:
    """Raise `ValueError` for what is no topic."""
    if len(topic) != TOPIC_SIZE:
        raise ValueError(f"a topic has {TOPIC_SIZE} bytes, not {len(topic)}")


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """Where the owner of a key says that it listens. Only a handshake shows whether it does.

    `relays` are those on which it says that it waits.
    """

    public_key: bytes
    addresses: tuple[Address, ...]
    relays: tuple[RelayAddress, ...] = ()


class Discovery(Protocol):
    """A way to announce oneself and to find others."""

    async def announce(
        self, topic: bytes, addresses: Sequence[Address], relays: Sequence[RelayAddress] = ()
    ) -> int:
        """Announce that we offer a topic at these addresses, until withdrawn or closed.

        `relays` are those on which we wait for connections; addresses that do not fit beside
        them are left out, the last first. Announcing again replaces both. Returns how many
        others know it now; with 0 it is kept and tried again. Raises `NetError` when all
        refused, with the reason.
        """

    async def unannounce(self, topic: bytes) -> int:
        """Withdraw an announcement; returns how many others were told."""

    def lookup(self, topic: bytes) -> AsyncGenerator[PeerAddress]:
        """Yield those who announce a topic, the first at once; ends when no more are found.

        A peer is yielded again when newer addresses of it turn up. Until the next one
        is asked for, the lookup may rest.
        """

    async def close(self) -> None:
        """Stop announcing and looking. Closing twice is harmless."""


class Introducer(Protocol):
    """A way to reach somebody behind a router: others pass one message on, and one back."""

    async def introduce(
        self,
        topic: bytes,
        public_key: bytes,
        message: bytes,
        *,
        timeout: float = 5.0,  # noqa: ASYNC109 - the error says who is silent
    ) -> bytes:
        """Return the answer of who announces a topic to a message of 1 to 512 bytes.

        Raises `NotFound` when nobody holds its announcement, `RefusedError` when it takes no
        messages or those who hold it pass none on, and `DeadlineError` when it is silent.
        """
