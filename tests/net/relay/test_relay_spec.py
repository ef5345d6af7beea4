"""The worked example and the numbers of docs/spec/relay.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from net.relay import choice, client, core, keeper, link, questions, service
from net.relay.limits import RelayLimits
from net.relay.messages import (
    MAX_MESSAGE,
    PROTOCOL,
    Accept,
    Code,
    Connect,
    Done,
    Incoming,
    Limits,
    Message,
    Ping,
    Ready,
    Refused,
    Request,
    Reserve,
    Reserved,
    encode_message,
)

SPECIFICATION = (Path(__file__).parents[3] / "docs/spec/relay.md").read_text(encoding="utf-8")
ALICE, BOB, TOKEN = bytes(range(0x20)), bytes(range(0x20, 0x40)), bytes(range(0x80, 0x90))
LIMITS = Limits(1 << 30, 1 << 22, 3600, 180)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Reserve", Reserve()),
        ("Reserved", Reserved(LIMITS)),
        ("Connect to Alice", Connect(ALICE)),
        ("Incoming from Bob", Incoming(TOKEN, BOB)),
        ("Accept", Accept(TOKEN)),
        ("Ready", Ready(LIMITS)),
        ("Refused", Refused(Code.NO_RESERVATION, "the peer does not wait at this relay")),
        ("Ping 1", Ping(1)),
        ("Request 7 of kind 1", Request(7, questions.Kind.LOOKUP, bytes(20))),
        ("Done with 7, 2 found", Done(7, 2)),
    ],
)
def test_the_worked_example(name: str, message: Message) -> None:
    assert f"| {name} | `{encode_message(message).hex()}` |" in SPECIFICATION


def test_the_numbers() -> None:
    limits = RelayLimits()
    for said in (
        f"the protocol `{PROTOCOL}`",
        f"size counts the array, at most {MAX_MESSAGE}",
        f"after {core.ANSWER:g} s without Accept",
        f"what it wants after {core.DECISION:g} s",
        f"said nothing for {core.SILENCE:g} s",
        f"Clients ping every {link.KEEP_ALIVE:g} s",
        f"after {link.SILENCE:g} s of silence",
        f"at most\n  {service.MAX_EARLY:,}.",
        f"ours answers {client.MAX_ANSWERS} at a time and {client.MAX_RATE} a second",
        f"| reservations | {limits.reservations} |",
        f"| circuits, those that wait for Accept included | {limits.circuits} |",
        f"| circuits that one key takes part in | {limits.circuits_per_peer} |",
        f"| Connects that wait for one peer | {limits.pending_per_peer} |",
        f"| bytes of a circuit | {limits.circuit_bytes >> 30} GiB |",
        f"| bytes a second of a circuit | {limits.circuit_rate >> 20} MiB |",
        f"| seconds of a circuit | {limits.circuit_seconds} |",
        f"| seconds of a circuit without a byte | {limits.circuit_idle} |",
        f"| {limits.requests_per_peer}, of one key {questions.RATE:g} a second",
        f"a second after a burst of {questions.BURST:g} |",
        f"| streams of clients | {core.MAX_STREAMS} |",
        f"at most {questions.MAX_RECORDS} |",
        f"up to {choice.AT_ONCE} relays at a time",
        f"waits at the {keeper.WANTED} with",
        f"{choice.PAUSE:g} s, twice as long after each further failure, {choice.MAX_PAUSE:g} s",
    ):
        assert said in SPECIFICATION, said
