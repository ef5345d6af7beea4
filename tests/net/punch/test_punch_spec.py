"""docs/spec/punch.md: its worked example and its numbers, recomputed."""

from __future__ import annotations

import re
from pathlib import Path

from net.addresses import pack_address
from net.carriers import simultaneous
from net.punch import birthday, introduction, messages, puncher
from net.punch.classify import NatClass
from net.punch.hashing import path_token, punch_keys
from net.punch.messages import (
    Kind,
    Message,
    Offer,
    Ports,
    encode_offer,
    encode_ports,
    open_datagram,
    seal_datagram,
)
from net.punch.puncher import Reason
from net.reaching import crossing

ROOT = Path(__file__).parent.parent.parent.parent
SPECIFICATION = (ROOT / "docs/spec/punch.md").read_text()

NEAR_KEY, FAR_KEY = bytes(range(32)), bytes(range(32, 64))
TRANSCRIPT = bytes(range(64, 128))
SECRET = bytes(range(128, 160))
PEER_TOKEN = bytes(range(160, 168))
OFFER = Offer(NatClass.CONSISTENT, ("203.0.113.9", 4000), (("192.168.1.2", 4000),))


def example() -> dict[str, bytes]:
    keys = punch_keys(NEAR_KEY, FAR_KEY, TRANSCRIPT)
    token = path_token(SECRET, 0, pack_address(("198.51.100.7", 5000)))
    return {
        "session": keys.session,
        "key to send with": keys.send,
        "token": token,
        "echo": seal_datagram(keys, Message(Kind.ECHO, token, PEER_TOKEN)),
        "offer": encode_offer(OFFER),
        "ports": encode_ports(Ports(4000, 40001)),
    }


def test_the_specification_shows_the_example() -> None:
    for name, value in example().items():
        assert f"| {name} | `{value.hex()}` |" in SPECIFICATION


def test_the_other_side_reads_the_example() -> None:
    theirs = punch_keys(FAR_KEY, NEAR_KEY, TRANSCRIPT)
    assert open_datagram(theirs, example()["echo"]).echo == PEER_TOKEN


def test_the_numbers_are_those_of_the_code() -> None:
    text = " ".join(SPECIFICATION.split())
    for number in (
        f"each message is at most {introduction.MAX_MESSAGE_SIZE} bytes",
        f"at most {messages.MAX_LOCAL} packed addresses",
        f"at most {messages.MAX_OFFER_SIZE} bytes",
        f"always {messages.DATAGRAM_SIZE} bytes",
        f"waits {puncher.LAN_GRACE * 1e3:.0f} ms",
        f"every {puncher.SELECT_INTERVAL * 1e3:.0f} ms, {puncher.MAX_SELECTS} times",
        f"after {puncher.FIRST_INTERVAL * 1e3:.0f} ms, each pause half as long again",
        f"at most {puncher.LAST_INTERVAL * 1e3:.0f} ms. after {puncher.PUNCH_TIME:g} s it has",
        f"if one side is random and the other not, and {birthday.HEAD_START * 1e3:.0f} ms",
        f"both send {birthday.RATE:g} probes a second",
        f"from {birthday.SOCKETS} sockets",
        f"every {0.8 * puncher.KEEPALIVE:g} to {puncher.KEEPALIVE:g} s",
        f"after {puncher.MAX_UNANSWERED} the way is lost",
        f"big endian; at least {messages.MIN_PORT}",
        f"the initiator {crossing.HEAD_START * 1e3:.0f} ms later",
        f"or {simultaneous.MIN_PAUSE * 1e3:.0f} ms if that is more",
        f"at most {simultaneous.MAX_ATTEMPTS} attempts in {simultaneous.WINDOW:g} s",
        f"the next {crossing.REST:g} s later",
    ):
        assert number in text.lower(), number


def test_every_reason_is_explained() -> None:
    listed = set(re.findall(r"^\| `([A-Z_]+)` \|", SPECIFICATION, re.MULTILINE))
    assert listed == {reason.name for reason in Reason} | {"BUSY"}
