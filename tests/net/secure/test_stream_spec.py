"""The worked example of docs/spec/stream.md, recomputed from its fixed keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from feedlog.hashing import discovery_key
from feedlog.keys import KeyPair
from net.channels import Mux
from net.channels.messages import MORE, URGENT
from net.hashing import capability
from net.noise import NoiseSession
from net.noise.identity import static_public_key
from net.noise.primitives import X25519, X25519Keys
from tests.reference.wire import noise_events, sent_by

ROOT = Path(__file__).parents[3]
EXAMPLE = json.loads((ROOT / "tests/vectors/stream_example.json").read_text())
SPECIFICATION = (ROOT / "docs/spec/stream.md").read_text()

ALICE = KeyPair.from_seed(bytes(range(0x20)))
BOB = KeyPair.from_seed(bytes(range(0x20, 0x40)))
EPHEMERALS = [bytes(range(0x40, 0x60)), bytes(range(0x60, 0x80))]
FEED_KEY = bytes(range(0x80, 0xA0))
PROTOCOL = "feedlog/channels/1"
CHANNEL = "feedlog/replicate/1"

Values = dict[str, str]


def handshake(monkeypatch: pytest.MonkeyPatch, known: bool) -> tuple[Values, NoiseSession]:
    """Run a handshake with the ephemeral keys of the example; return its bytes and Alice's end."""
    keys = iter(EPHEMERALS)
    monkeypatch.setattr(
        X25519, "generate_keypair", lambda _: X25519Keys.from_private_bytes(next(keys))
    )
    alice = NoiseSession(
        ALICE,
        initiator=True,
        remote_key=BOB.public_key if known else None,
        protocol=PROTOCOL,
    )
    bob = NoiseSession(BOB, initiator=False)
    name = "IK" if known else "XX"
    values: Values = {}
    sides = [alice, bob]
    for number in range(1, 3 if known else 4):
        data = sides[(number - 1) % 2].data_to_send()
        values[f"{name} message {number}"] = data.hex()
        sides[number % 2].receive_data(data)
        noise_events(sides[number % 2])
    if known:
        values["first record of IK"] = alice.data_to_send().hex()
    result = alice._handshake.result
    assert result is not None
    values[f"{name} handshake hash"] = result.handshake_hash.hex()
    values[f"{name} key of the initiator"] = result.send_key.hex()
    values[f"{name} key of the responder"] = result.receive_key.hex()
    return values, alice


def compute(monkeypatch: pytest.MonkeyPatch) -> Values:
    values = {
        "Alice": ALICE.public_key.hex(),
        "Bob": BOB.public_key.hex(),
        "static key of Alice": static_public_key(ALICE.public_key).hex(),
        "static key of Bob": static_public_key(BOB.public_key).hex(),
    }
    more, _ = handshake(monkeypatch, known=False)
    values |= more
    more, alice = handshake(monkeypatch, known=True)
    values |= more
    assert alice.established is not None
    stream = alice.established.handshake_hash

    ours = Mux(initiator=True, handshake_hash=stream, now=0.0)
    theirs = Mux(initiator=False, handshake_hash=stream, now=0.0)
    values["discovery key"] = discovery_key(FEED_KEY).hex()
    values["capability of the initiator"] = capability(FEED_KEY, stream, initiator=True).hex()
    values["capability of the responder"] = capability(FEED_KEY, stream, initiator=False).hex()
    frames: list[bytes] = []

    def speak(mux: Mux, *names: str) -> None:
        for name in names:
            frame = b"".join(mux._next_frame())
            values[name] = frame.hex()
            frames.append(frame)

    channel = ours.open(FEED_KEY, CHANNEL)
    speak(ours, "Hello", "Ping", "Open")
    flight = b"".join(frames)
    alice.send(flight)
    values["record of Hello, Ping and Open"] = alice.data_to_send().hex()
    theirs.receive_data(flight, 0.0)
    theirs.open(FEED_KEY, CHANNEL)
    ours.receive_data(sent_by(theirs), 0.0)
    assert channel.is_open
    channel.send(b"hello", urgent=True)
    ours._next_frame()  # the Pong
    speak(ours, "urgent message hello")
    channel.close("done")
    speak(ours, "Close")
    alice.send_end()
    values["last record"] = alice.data_to_send().hex()
    return values


def test_the_example_comes_out_as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compute(monkeypatch) == EXAMPLE["values"]


def test_the_specification_shows_the_example() -> None:
    for name, value in EXAMPLE["values"].items():
        shown = value if len(value) <= 160 else f"{value[:32]}...{value[-32:]}"
        assert f"| {name} | `{shown}` |" in SPECIFICATION, name


def test_the_flags_are_those_of_the_specification() -> None:
    assert (MORE, URGENT) == (1, 2)
