"""The exchange of offers."""

from __future__ import annotations

from random import Random

import pytest

from feedlog.keys import KeyPair
from net.errors import HandshakeError
from net.noise.handshake import Handshake
from net.punch.classify import NatClass
from net.punch.introduction import MAX_MESSAGE_SIZE, PROTOCOL, Introduction
from net.punch.messages import MAX_LOCAL, Kind, Message, Offer, open_datagram, seal_datagram

ALICE, BOB, EVE = [KeyPair.from_seed(bytes([n]) * 32) for n in (1, 2, 3)]
ADDRESS = ("2001:db8::1", 9)
ALICES = Offer(NatClass.CONSISTENT, ("192.0.2.1", 1), (("10.0.0.1", 1),))
LARGEST = Offer(NatClass.RANDOM, ADDRESS, (ADDRESS,) * MAX_LOCAL)


def introduce() -> tuple[Introduction, Introduction]:
    near = Introduction.ask(ALICE, BOB.public_key, ALICES)
    far = Introduction.asked(BOB, near.message)
    far.answer(LARGEST)
    near.finish(far.message)
    return near, far


def test_both_learn_the_other_key_and_offer_and_share_keys() -> None:
    near, far = introduce()
    assert (near.remote_key, far.remote_key) == (BOB.public_key, ALICE.public_key)
    message = Message(Kind.PROBE, bytes(8), bytes(8))
    assert open_datagram(far.keys, seal_datagram(near.keys, message)) == message
    punchers = [side.puncher(rng=Random(1), secret=bytes(32), now=0.0) for side in (near, far)]
    assert [puncher.initiator for puncher in punchers] == [True, False]
    assert punchers[1].datagrams_to_send(0.0)[0].address == ("192.0.2.1", 1)


def test_messages_are_small_and_show_no_addresses() -> None:
    near = Introduction.ask(ALICE, BOB.public_key, LARGEST)
    far = Introduction.asked(BOB, near.message)
    far.answer(LARGEST)
    for message in (near.message, far.message):
        assert len(message) <= MAX_MESSAGE_SIZE
        assert bytes.fromhex("20010db8") not in message
        assert ALICE.public_key not in message


def test_only_the_key_that_was_asked_for_can_answer() -> None:
    near = Introduction.ask(ALICE, BOB.public_key, ALICES)
    with pytest.raises(HandshakeError):
        Introduction.asked(EVE, near.message)
    other = Introduction.ask(ALICE, EVE.public_key, ALICES)
    answer = Introduction.asked(EVE, other.message)
    answer.answer(ALICES)
    with pytest.raises(HandshakeError):
        near.finish(answer.message)


def handshake(protocol: str, extra: bytes, key: bytes | None) -> bytes:
    made = Handshake(ALICE, initiator=True, remote_key=key, protocol=protocol, extra=extra)
    return made.data_to_send()


def test_what_is_no_introduction_is_refused() -> None:
    good = Introduction.ask(ALICE, BOB.public_key, ALICES).message
    for message in (
        b"",
        good[:1],
        bytes(MAX_MESSAGE_SIZE + 1),
        handshake(PROTOCOL, b"", BOB.public_key),
        handshake(PROTOCOL, b"\xff" * 20, BOB.public_key),
        handshake("feedlog/stream/1", b"", BOB.public_key),
        handshake(PROTOCOL, b"", None),
        good + b"x",
        good[:-1],
        good[:50] + bytes(10) + good[60:],
    ):
        with pytest.raises(HandshakeError):
            Introduction.asked(BOB, message)


def test_misuse() -> None:
    near, far = introduce()
    with pytest.raises(RuntimeError):
        far.answer(ALICES)
    with pytest.raises(RuntimeError):
        near.finish(far.message)
    fresh = Introduction.ask(ALICE, BOB.public_key, ALICES)
    with pytest.raises(RuntimeError):
        _ = fresh.keys
    with pytest.raises(RuntimeError):
        _ = fresh.remote_key
