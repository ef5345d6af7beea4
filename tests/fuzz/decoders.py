"""Every decoder and every session that takes the bytes of strangers, with bytes of any kind.

A decoder returns a value or raises the error that its docstring names, and a session takes bytes
or ends with a `PeerError`, whatever the bytes are. Knows no fuzzer.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from feedlog import Feed, FeedlogError, Manifest, Proof, Store, decode_id
from feedlog.archive import read_header, read_proofs
from feedlog.draft import Draft
from net.addresses import parse_address, unpack_address
from net.carriers.quic_packet import destination, first_flight
from net.channels import Mux
from net.channels import messages as frames
from net.dht.datagrams import Response, decode_body, decode_datagram
from net.dht.messages import RPCS
from net.dht.records import parse_announcement, sign_announcement
from net.dht.value_records import parse_value, sign_value
from net.errors import PeerError
from net.lan import messages as lan
from net.lan.hashing import seal
from net.noise import DataReceived, NoiseSession
from net.punch.messages import Ports, decode_offer, decode_ports, encode_ports
from net.relay.messages import MessageReader, decode_message
from net.replicate import messages as replicate
from tests.reference.wire import ALICE, BOB, HANDSHAKE_HASH, noise_pair, pump_noise
from trie import Trie, TrieProof
from trie.header import Header
from trie.node import is_chunk
from trie.nodes import Nodes

LAN_KEY = bytes(32)


@dataclass(frozen=True)
class Target:
    """What takes bytes, the errors that it may raise, and bytes that it understands."""

    take: Callable[[bytes], object]
    errors: tuple[type[Exception], ...] = (FeedlogError,)
    understood: tuple[bytes, ...] = ()


def _archive(data: bytes) -> None:
    file = io.BytesIO(data)
    read_header(file)
    for _ in read_proofs(file):
        pass


def _sealed(data: bytes) -> object:
    """A datagram of somebody in our own network: the seal keeps out the others."""
    return lan.decode(LAN_KEY, seal(LAN_KEY, data) + data)


def _answer(data: bytes) -> None:
    """The body of a DHT response, as every procedure reads it."""
    response = decode_datagram(data)
    if isinstance(response, Response):
        for name in RPCS:
            with contextlib.suppress(FeedlogError):
                decode_body(name, response)


def _frames(data: bytes) -> None:
    """A mux of ours with an open channel, whole and byte by byte alike."""
    told = []
    for size in (len(data) or 1, 1):
        mux = Mux(initiator=False, handshake_hash=HANDSHAKE_HASH, now=0.0)
        mux.open(bytes(32), "proto")
        events = []
        try:
            for start in range(0, len(data), size):
                mux.receive_data(data[start : start + size], 0.0)
        except PeerError as error:
            events.append(type(error).__name__)
        while (event := mux.next_event()) is not None:
            events.append(type(event).__name__)
        told.append(events)
    assert told[0] == told[1]


def _handshake(data: bytes) -> None:
    session = NoiseSession(BOB, initiator=False)
    session.receive_data(data)


def _records(data: bytes) -> None:
    """Records behind a handshake that was done."""
    left, right = noise_pair()
    pump_noise(left, right)
    right.receive_data(data)
    while (event := right.next_event()) is not None:
        assert not isinstance(event, DataReceived), "nobody has sent anything"


def _relay(data: bytes) -> None:
    reader = MessageReader()
    for start in range(0, len(data), 7):
        for _ in reader.receive(data[start : start + 7]):
            pass


def _node(header: bytes, data: bytes) -> None:
    """A block of a trie, in a place behind many others."""
    blocks = [header, *[b""] * 99, data]
    Nodes(Snapshot(blocks)).load(100).rows  # noqa: B018 - a property that parses


class Snapshot(list[bytes]):
    """Blocks as a trie reads them."""

    @property
    def length(self) -> int:
        return len(self)


def _feed() -> tuple[Feed, Trie]:
    store = Store.memory()
    trie = Trie(store.feed("trie"))
    for number in range(20):
        trie[f"a/{number}"] = b"value"
    trie["large"] = bytes(10_000)
    del trie["a/3"]
    return store.feed("trie"), trie


def targets() -> dict[str, Target]:
    """Return them all, with what they understand."""
    feed, trie = _feed()
    assert feed.manifest is not None
    proof = feed.prove(blocks=range(3, 9)).to_bytes()
    blocks = tuple(feed[i] for i in range(len(feed)))
    nodes = tuple(block for block in blocks[1:] if not is_chunk(block))
    with tempfile.TemporaryDirectory() as name:
        feed.export(Path(name, "archive"))
        archive = Path(name, "archive").read_bytes()
    place = [("192.0.2.1", 4000)]
    note = sign_announcement(ALICE, bytes(20), place, seq=1, expiry=2_000_000_000).raw
    kept = sign_value(ALICE, b"value", salt=b"salt", seq=1, expiry=2_000_000_000).raw
    hello = frames.encode_control(frames.Hello(1, 1))
    asked = frames.encode_control(frames.Open(0, bytes(32), "proto", bytes(32), 1 << 16))
    begun = NoiseSession(ALICE, initiator=True, remote_key=BOB.public_key).data_to_send()
    request = replicate.encode(replicate.Request(1, 0, 0, 0, (0, 5)))
    return {
        "proof": Target(Proof.from_bytes, understood=(proof,)),
        "archive": Target(_archive, understood=(archive,)),
        "manifest": Target(Manifest.from_bytes, understood=(feed.manifest.to_bytes(),)),
        "draft": Target(Draft.from_bytes),
        "trie node": Target(lambda data: _node(blocks[0], data), understood=nodes),
        "trie header": Target(Header.from_bytes, understood=blocks[:1]),
        "trie proof": Target(TrieProof.from_bytes, understood=(trie.prove("a/4").to_bytes(),)),
        "replication message": Target(replicate.decode, understood=(request,)),
        "control frame": Target(frames.decode_control, understood=(hello[3:], asked[3:])),
        "mux": Target(_frames, understood=(hello + asked,)),
        "handshake": Target(_handshake, (PeerError,), (begun,)),
        "records": Target(_records, (PeerError,)),
        "dht datagram": Target(_answer),
        "announcement": Target(parse_announcement, understood=(note,)),
        "dht value": Target(parse_value, understood=(kept,)),
        "lan datagram": Target(_sealed),
        "punch offer": Target(decode_offer),
        "punch ports": Target(decode_ports, understood=(encode_ports(Ports(4000, 4001)),)),
        "relay message": Target(decode_message),
        "relay stream": Target(_relay),
        "quic packet": Target(lambda data: (destination(data), first_flight(data)), ()),
        "packed address": Target(unpack_address, understood=(bytes(6),)),
        "typed address": Target(
            lambda data: parse_address(data.decode("latin-1")), (ValueError,), (b"[::1]:80",)
        ),
        "typed id": Target(
            lambda data: decode_id(data.decode("latin-1")), (ValueError,), (feed.id.encode(),)
        ),
    }


class Decoders:
    """Picks a target by the first byte and gives it the rest."""

    def __init__(self) -> None:
        self.targets = targets()
        self._list = list(self.targets.values())

    def run(self, data: bytes) -> None:
        """Try one."""
        if data:
            target = self._list[data[0] % len(self._list)]
            with contextlib.suppress(*target.errors):
                target.take(data[1:])

    def seeds(self) -> list[bytes]:
        """Return what each understands, and for each some that goes too deep."""
        found = []
        for number, target in enumerate(self._list):
            deep = (b"\x91" * 3000, b"\x81" * 3000, b"\xdd\xff\xff\xff\xff")
            found += [bytes([number]) + data for data in (*target.understood, *deep)]
        return found
