"""The worked example of docs/spec/replication.md, recomputed from its fixed key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from feedlog import KeyPair, Store
from net.replicate import link, messages, pace, serving, session
from tests.reference.world import Host, World

ROOT = Path(__file__).parents[3]
EXAMPLE = json.loads((ROOT / "tests/vectors/replication_example.json").read_text())
SPECIFICATION = (ROOT / "docs/spec/replication.md").read_text()

PAIR = KeyPair.from_seed(bytes(range(0x20)))


def conversation() -> list[list[str]]:
    """A cold reader gets block 1 of three; then a fourth is appended and pushed to it."""
    said: list[list[str]] = []
    world = World()
    with Store.memory() as here, Store.memory() as there:
        feed = here.feed(key_pair=PAIR)
        feed.extend([b"one", b"two", b"three"])
        writer = world.host(feed, here)
        reader = world.host(there.feed(key=feed.key), there, following=True)
        reader.core.live = True
        reader.core.wants.block(1)

        def listen(host: Host, who: str) -> None:
            (wire,) = host.wires.values()

            def note(data: bytes) -> bytes:
                message = messages.decode(data)
                said.append([who, type(message).__name__, data.hex()])
                return data

            wire.alter = note

        left, right = reader.core.open(world.now), writer.core.open(world.now)
        world.join(reader, left, writer, right)
        listen(reader, "reader")
        listen(writer, "writer")
        reader.settle()
        writer.settle()
        world.run(1)
        feed.append(b"four")
        writer.changed()
        world.run(1)
        assert reader.feed.have == [range(1, 2), range(3, 4)]
    return said


def test_the_conversation_is_the_one_in_the_vectors() -> None:
    assert conversation() == EXAMPLE["conversation"]
    assert EXAMPLE["seed"] == PAIR.seed.hex()


@pytest.mark.parametrize("line", EXAMPLE["conversation"], ids=lambda line: f"{line[0]} {line[1]}")
def test_the_specification_shows_it(line: list[str]) -> None:
    who, kind, data = line
    shown = data if len(data) <= 80 else f"{data[:40]}...{data[-20:]}"
    assert f"| {who} | {kind} | `{shown}` |" in SPECIFICATION


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("control message", messages.MAX_CONTROL),
        ("blocks of a request", messages.MAX_REQUEST_BLOCKS),
        ("spans of a message", messages.MAX_RUNS),
        ("hashes of a request", messages.MAX_HASHES),
        ("anchors of a request", messages.MAX_ANCHORS),
        ("extensions", messages.MAX_EXTENSIONS),
        ("extension message", messages.MAX_PAYLOAD),
        ("bytes of blocks in a record", serving.RECORD_SIZE),
        ("blocks in a record", serving.RECORD_BLOCKS),
        ("waiting requests", serving.MAX_WAITING),
        ("spans of waiting requests", serving.MAX_WAITING_SPANS),
        ("hinted blocks", serving.MAX_HINTED),
        ("push", session.MAX_PUSH),
        ("spans remembered", session.MAX_OFFER_PIECES),
        ("requests in flight", link.MAX_REQUESTS),
        ("window", pace.MAX_WINDOW),
    ],
)
def test_the_limits_are_those_of_the_code(name: str, value: int) -> None:
    assert f"| {name} | {value} |" in SPECIFICATION
