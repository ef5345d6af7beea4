"""Announcements under keys that nobody can shake hands with; they must end nothing but themselves.

A point of the curve outside of the group of prime order has no static key. Yet it can sign: of
a signature's two points the one with a factor of eight vanishes, for one nonce in eight.
"""

from __future__ import annotations

import asyncio
import hashlib
import time

from nacl import bindings

from feedlog import Store
from feedlog.keys import random_secret, verify
from net.carriers import Carrier
from net.carriers.tcp_listener import listen_tcp
from net.dht.hashing import feed_topic
from net.dht.records import sign_announcement
from net.node import Node

ORDER = 2**252 + 27742317777372353535851937790883648493
OF_ORDER_EIGHT = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")


def scalar(data: bytes) -> int:
    return int.from_bytes(hashlib.sha512(data).digest(), "little") % ORDER


def point(number: int) -> bytes:
    made: bytes = bindings.crypto_scalarmult_ed25519_base_noclamp(number.to_bytes(32, "little"))
    return made


class OddKeyPair:
    """Signs for a point that is no key."""

    def __init__(self) -> None:
        self._secret = scalar(random_secret())
        self.public_key: bytes = bindings.crypto_core_ed25519_add(
            point(self._secret), OF_ORDER_EIGHT
        )

    def sign(self, message: bytes) -> bytes:
        while True:
            nonce = scalar(random_secret())
            commitment = point(nonce)
            challenge = scalar(commitment + self.public_key + message)
            if challenge % 8 == 0:
                answer = (nonce + challenge * self._secret) % ORDER
                return commitment + answer.to_bytes(32, "little")


async def test_an_announcer_without_a_key_does_not_end_the_search() -> None:
    liar = OddKeyPair()
    assert verify(liar.public_key, b"hello", liar.sign(b"hello"))
    came = asyncio.Event()

    def accepted(carrier: Carrier) -> None:
        carrier.abort()
        came.set()

    listener = await listen_tcp(accepted, "127.0.0.1")
    with Store.memory() as store, Store.memory() as other:
        feed = store.feed("log")
        feed.append(b"hello")
        async with (
            Node(store, host="127.0.0.1") as writer,
            Node(other, host="127.0.0.1", bootstrap=[writer.address]) as reader,
        ):
            record = sign_announcement(
                liar,  # type: ignore[arg-type]  # all of it that is asked for
                feed_topic(feed.discovery_key),
                listener.addresses,
                seq=1,
                expiry=int(time.time()) + 600,
            )
            dht = reader._parts and reader._parts.network.dht
            assert dht
            assert await dht.publish(record)
            remote = await reader.follow(feed.key)
            await came.wait()
            await writer.share(feed)
            assert await remote.get(0, timeout=60) == b"hello"
            assert any("not a public key" in one.reason for one in remote.attempts)
    listener.close()
