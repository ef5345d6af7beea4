"""Peers that lie, stall and flood: nothing wrong is stored, memory stays bounded, and honest
peers are still used.

Most of it runs in virtual time: a hostile peer is an honest one whose messages are altered
on their way out, or a hand that writes messages of its own.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedlog import Feed, KeyPair, Proof, Store
from feedlog.errors import DecodeError
from feedlog.plan import Question
from net.errors import PeerError
from net.replicate import messages
from net.replicate.messages import Data, Have, Info, Message, NoData, Request, Want, encode
from net.replicate.scheduler import SILENT_AFTER
from net.replicate.session import Query, Session
from tests.adversary.conftest import BLOCKS
from tests.reference.world import Host, World


def alter_data(change: Callable[[Proof], Proof]) -> Callable[[bytes], bytes]:
    """Change the proofs among a peer's messages."""

    def alter(data: bytes) -> bytes:
        message = messages.decode(data)
        if isinstance(message, Data):
            proof = change(Proof.from_bytes(message.proof))
            return encode(Data(message.id, proof.to_bytes(), message.last))
        return data

    return alter


def flip_block(proof: Proof) -> Proof:
    if not proof.data:
        return proof
    first = bytearray(proof.data[0])
    first[0] ^= 1
    return replace(proof, data=(bytes(first), *proof.data[1:]))


def shift_blocks(proof: Proof) -> Proof:
    """The right blocks, each at its neighbour's index."""
    return replace(proof, data=(*proof.data[1:], *proof.data[:1])) if proof.data else proof


def flip_hash(proof: Proof) -> Proof:
    if not proof.nodes:
        return proof
    size, digest = proof.nodes[-1]
    return replace(proof, nodes=(*proof.nodes[:-1], (size, bytes(31) + digest[:1])))


def flip_signature(proof: Proof) -> Proof:
    return replace(
        proof,
        signatures=tuple((place, bytes([sig[0] ^ 1]) + sig[1:]) for place, sig in proof.signatures),
    )


def flip_size(proof: Proof) -> Proof:
    if not proof.nodes:
        return proof
    size, digest = proof.nodes[0]
    return replace(proof, nodes=((size + 1, digest), *proof.nodes[1:]))


LIES = [flip_block, shift_blocks, flip_signature]


def assert_sound(reader: Host) -> None:
    for part in reader.feed.have:
        assert reader.feed[part.start : part.stop] == BLOCKS[part.start : part.stop]


class TestFalseProofs:
    @pytest.mark.parametrize("lie", LIES)
    def test_a_false_proof_ends_the_peer_and_the_honest_one_is_used(
        self, world: World, reader: Host, writer: Host, honest: Host, lie: Callable[[Proof], Proof]
    ) -> None:
        _, back = world.connect(reader, writer, delay=0.001)
        writer.wires[back].alter = alter_data(lie)
        world.run(1)
        assert [failure.error.code for failure in reader.failures] == ["proof"]
        assert reader.feed.have == []
        world.connect(reader, honest)
        world.run(2)
        assert list(reader.feed) == BLOCKS

    @pytest.mark.parametrize("lie", [flip_hash, flip_size])
    def test_a_false_node_is_found_too(
        self, world: World, reader: Host, writer: Host, lie: Callable[[Proof], Proof]
    ) -> None:
        _, back = world.connect(reader, writer)
        reader.core.wants.bulk.remove(0, 64)
        world.run(1)
        reader.core.wants.block(5)
        writer.wires[back].alter = alter_data(lie)
        reader.settle()
        world.run(1)
        assert [failure.error.code for failure in reader.failures] == ["proof"]
        assert reader.feed.have == []

    def test_who_lies_and_refuses_to_show_its_head_is_let_go(
        self, world: World, reader: Host, writer: Host
    ) -> None:
        reader.feed.apply(writer.feed.prove())
        reader.changed()
        _, back = world.connect(reader, writer)
        lie = alter_data(flip_block)

        def refuse(data: bytes) -> bytes:
            message = messages.decode(data)
            if isinstance(message, Data) and Proof.from_bytes(message.proof).question.signed:
                return encode(NoData(message.id, messages.UNKNOWN))
            return lie(data)

        writer.wires[back].alter = refuse
        world.run(1)
        assert [failure.error.code for failure in reader.failures] == ["proof"]
        assert reader.feed.have == []

    def test_who_lies_and_leaves_is_asked_nothing_more(
        self, world: World, reader: Host, writer: Host
    ) -> None:
        reader.feed.apply(writer.feed.prove())
        reader.changed()
        _, back = world.connect(reader, writer)
        writer.wires[back].alter = alter_data(flip_block)
        world.run(0.03, until=lambda: bool(reader.core.scheduler.busy))
        (session,) = reader.core.sessions
        number = min(session.sent)
        proof = flip_block(writer.feed.prove([0], since=64, signed=False))
        data = encode(Data(number, proof.to_bytes(), True))
        reader.core.receive(session, data, world.now)
        reader.core.close(session, world.now)
        reader.settle()
        assert session.probe is None
        assert not reader.core.scheduler.busy

    def test_the_lie_comes_while_an_honest_peer_works(
        self, world: World, reader: Host, writer: Host, honest: Host
    ) -> None:
        _, back = world.connect(reader, writer, delay=0.001)
        writer.wires[back].alter = alter_data(flip_block)
        world.connect(reader, honest)
        world.run(3)
        assert list(reader.feed) == BLOCKS
        assert len(reader.failures) == 1

    def test_a_proof_of_another_feed(
        self, world: World, reader: Host, writer: Host, make_store: Callable[[], Store]
    ) -> None:
        other = make_store().feed("other")
        other.extend([b"forged"] * len(BLOCKS))

        def replace_proof(proof: Proof) -> Proof:
            return other.prove(
                blocks=proof.question.blocks,
                since=proof.question.since,
                length=proof.length,
                signed=proof.question.signed,
            )

        _, back = world.connect(reader, writer)
        writer.wires[back].alter = alter_data(replace_proof)
        world.run(1)
        assert len(reader.failures) == 1
        assert (reader.feed.length, reader.feed.have) == (0, [])

    def test_a_writer_of_its_own_making(
        self, world: World, reader: Host, make_store: Callable[[], Store]
    ) -> None:
        store = make_store()
        stranger = store.feed("mine", key_pair=KeyPair.generate())
        stranger.extend(BLOCKS)
        world.connect(reader, world.host(stranger, store))
        world.run(1)
        assert len(reader.failures) == 1
        assert reader.feed.length == 0


class TestFalseHeads:
    def test_an_old_head_as_the_newest_changes_nothing(
        self, world: World, reader: Host, writer: Host, make_store: Callable[[], Store]
    ) -> None:
        store = make_store()
        old = store.feed(key=writer.feed.key)
        old.apply(writer.feed.prove(blocks=range(64)))
        writer.feed.append(b"newer")
        writer.changed()
        world.connect(reader, writer)
        world.run(1)
        liar = world.host(old, store)
        session, back = world.connect(reader, liar)
        liar.wires[back].alter = lambda data: (
            encode(Info(1, 0, 1000)) if isinstance(messages.decode(data), Info) else data
        )
        world.run(1)
        liar.core.announce()
        liar.settle()
        world.run(5)
        assert reader.feed.length == 65
        assert session.failures > 0

    @pytest.mark.parametrize("answer", ["current", "nothing", "older"])
    def test_who_denies_that_there_is_a_newer_head_is_not_the_only_one_asked(
        self, world: World, reader: Host, writer: Host, honest: Host, answer: str
    ) -> None:
        world.connect(reader, honest)
        world.run(1)
        reader.core.following = False
        for length in (65, 70):
            writer.feed.extend([b"later"] * (length - writer.feed.length))
            honest.feed.apply(writer.feed.prove(since=honest.feed.length))
        honest.changed()
        world.run(0.5)
        liar = reader.core.open(world.now)
        reader.core.receive(liar, encode(Info(1, 0, 2**40)), world.now)
        reader.core.query(query := Query(), world.now)
        (number,) = liar.sent
        older = writer.feed.prove(since=64, length=65)
        nothing = Proof(Question(64, since=64, signed=False), 0, ())
        denials: dict[str, Message] = {
            "current": NoData(number, messages.CURRENT),
            "nothing": Data(number, nothing.to_bytes(), True),
            "older": Data(number, older.to_bytes(), True),
        }
        reader.core.receive(liar, encode(denials[answer]), world.now)
        reader.settle()
        world.run(1)
        assert reader.answered(query)
        assert reader.feed.length == 70

    def test_contradicting_heads_are_evidence_against_the_writer(
        self, world: World, make_store: Callable[[], Store]
    ) -> None:
        pair = KeyPair.generate()
        stores = [make_store() for _ in range(3)]
        feeds = [store.feed(key_pair=pair) for store in stores[:2]]
        feeds[0].extend([b"a"] * 10)
        feeds[1].extend([b"b"] * 12)
        victim = world.host(stores[2].feed(key=feeds[0].key), stores[2], following=True)
        world.connect(victim, world.host(feeds[0], stores[0]))
        world.run(1)
        world.connect(victim, world.host(feeds[1], stores[1]))
        world.run(1)
        assert victim.feed.length == 10
        assert victim.feed.conflict is not None

    @pytest.mark.parametrize("following", [True, False])
    @pytest.mark.parametrize(("shown", "kept"), [(64, 64), (70, 64), (64, 70)])
    def test_a_writer_of_two_feeds_does_not_get_an_honest_replica_banned(
        self, world: World, make_store: Callable[[], Store], shown: int, kept: int, following: bool
    ) -> None:
        pair = KeyPair.generate()
        stores = [make_store() for _ in range(3)]
        feeds = [store.feed(key_pair=pair) for store in stores[:2]]
        feeds[0].extend([b"for the reader"] * shown)
        feeds[1].extend([b"for others"] * kept)
        reader = world.host(stores[2].feed(key=feeds[0].key), stores[2], following=True)
        world.connect(reader, world.host(feeds[0], stores[0]))
        world.run(1)
        reader.core.following = following
        world.connect(reader, world.host(feeds[1], stores[1]), delay=0.001)
        world.run(1)
        reader.core.wants.add([(0, 64)])
        reader.core.wants.block(5)
        reader.settle()
        world.run(5)
        assert reader.feed.conflict is not None
        assert reader.failures == []

    @pytest.mark.parametrize("length", [2**40, 1000])
    def test_a_length_that_is_not_there_costs_three_requests(
        self, world: World, reader: Host, writer: Host, honest: Host, length: int
    ) -> None:
        _, back = world.connect(reader, writer)
        writer.wires[back].alter = lambda data: (
            encode(Info(1, 0, length)) if isinstance(messages.decode(data), Info) else data
        )
        world.connect(reader, honest)
        world.run(100)
        assert list(reader.feed) == BLOCKS
        assert reader.core.counters["requests"] < 20

    def test_a_length_past_all_bounds_is_no_message(self, reader: Host, world: World) -> None:
        session = reader.core.open(world.now)
        body = messages._encode([0, 1, 0, 2**63])
        with pytest.raises(PeerError):
            reader.core.receive(session, b"\0" + body, world.now)


class TestSilence:
    def test_all_promised_nothing_given(
        self, world: World, reader: Host, writer: Host, honest: Host
    ) -> None:
        _, back = world.connect(reader, writer, delay=0.001)
        writer.wires[back].alter = lambda data: None if data[0] == messages.DATA else data
        world.connect(reader, honest, delay=0.02)
        taken = world.run(60, until=lambda: sum(map(len, reader.feed.have)) == 64)
        assert taken < 10
        world.run(2 * SILENT_AFTER)
        assert [failure.error.code for failure in reader.failures] == ["silent"]

    def test_one_byte_a_second(
        self, world: World, reader: Host, writer: Host, honest: Host
    ) -> None:
        world.connect(reader, writer, rate=1)
        world.connect(reader, honest)
        assert world.run(60, until=lambda: sum(map(len, reader.feed.have)) == 64) < 10

    @pytest.mark.parametrize("kept", range(6))
    def test_a_cut_after_each_message(
        self, world: World, reader: Host, writer: Host, honest: Host, kept: int
    ) -> None:
        _, back = world.connect(reader, writer)
        count = 0

        def cut(data: bytes) -> bytes | None:
            nonlocal count
            count += 1
            if count > kept:
                world.at(0, lambda: writer.drop(back))
                return None
            return data

        writer.wires[back].alter = cut
        world.run(1)
        assert_sound(reader)
        world.connect(reader, honest)
        world.run(10)
        assert list(reader.feed) == BLOCKS

    def test_newcomers_without_end_that_promise_everything(
        self, world: World, reader: Host, writer: Host, honest: Host
    ) -> None:
        reader.feed.apply(writer.feed.prove())
        reader.changed()
        world.connect(reader, honest)
        world.run(1)

        def come() -> None:
            session = reader.core.open(world.now)
            reader.core.receive(session, encode(Info(1, 0, 2**40)), world.now)
            world.at(5, lambda: reader.core.close(session, world.now))
            world.at(1, come)

        come()
        come()
        reader.core.query(query := Query(), world.now)
        world.run(10)
        assert reader.answered(query)


class TestWhatWasNotAsked:
    def open(self, world: World, host: Host) -> Session:
        session = host.core.open(world.now)
        host.core.receive(session, encode(Have(0, 2**40, (0, 64))), world.now)
        host.core.receive(session, encode(Info(1, 0, 64)), world.now)
        return session

    def test_an_answer_to_no_request(self, world: World, reader: Host, writer: Host) -> None:
        session = self.open(world, reader)
        data = encode(Data(77, writer.feed.prove(blocks=[1]).to_bytes(), True))
        with pytest.raises(PeerError, match="77"):
            reader.core.receive(session, data, world.now)

    def test_other_blocks_than_those_asked_for(
        self, world: World, reader: Host, writer: Host
    ) -> None:
        reader.core.following = False
        reader.core.wants.bulk.remove(0, 64)
        session = self.open(world, reader)
        query = Query()
        reader.core.query(query, world.now)
        ((number, _),) = session.sent.items()
        data = encode(Data(number, writer.feed.prove(blocks=[1]).to_bytes(), True))
        with pytest.raises(PeerError, match="not asked"):
            reader.core.receive(session, data, world.now)

    def test_a_refusal_of_no_request(self, world: World, reader: Host) -> None:
        session = self.open(world, reader)
        with pytest.raises(PeerError):
            reader.core.receive(session, encode(NoData(99)), world.now)

    @pytest.mark.parametrize("blocks", [[], [1]])
    def test_a_push_without_a_head(
        self, world: World, reader: Host, writer: Host, blocks: list[int]
    ) -> None:
        reader.feed.apply(writer.feed.prove())
        reader.core.live = True
        session = self.open(world, reader)
        hashes = (63,) if not blocks else ()
        proof = writer.feed.prove(blocks, since=64, hashes=hashes, signed=False)
        with pytest.raises(PeerError, match="not asked"):
            reader.core.receive(session, encode(Data(0, proof.to_bytes(), True)), world.now)

    def test_a_push_of_old_blocks(self, world: World, reader: Host, writer: Host) -> None:
        writer.feed.extend([b""] * 2000)
        reader.feed.apply(writer.feed.prove())
        reader.changed()
        reader.core.live = True
        session = self.open(world, reader)
        proof = writer.feed.prove([1])
        reader.core.receive(session, encode(Data(0, proof.to_bytes(), True)), world.now)
        reader.settle()
        assert reader.feed.have == []

    def test_pushes_by_one_who_is_suspected_are_not_looked_at(
        self, world: World, reader: Host, writer: Host
    ) -> None:
        reader.feed.apply(writer.feed.prove())
        reader.changed()
        reader.core.live = True
        writer.feed.append(b"new")
        session = self.open(world, reader)
        forged = flip_signature(writer.feed.prove([64], since=64))
        push = encode(Data(0, forged.to_bytes(), True))
        for _ in range(10):
            reader.core.receive(session, push, world.now)
            reader.settle()
        assert reader.core.counters["failures"] == 1
        assert session.probe is not None

    def test_a_push_to_one_who_does_not_download(
        self, world: World, reader: Host, writer: Host
    ) -> None:
        reader.feed.apply(writer.feed.prove())
        reader.changed()
        writer.feed.append(b"new")
        session = self.open(world, reader)
        proof = writer.feed.prove([64], since=64)
        reader.core.receive(session, encode(Data(0, proof.to_bytes(), True)), world.now)
        reader.settle()
        assert reader.feed.have == []
        assert session.position == (0, 65)

    def test_a_push_of_a_length_that_links_to_nothing(
        self, world: World, reader: Host, writer: Host
    ) -> None:
        session = self.open(world, reader)
        push = encode(Data(messages.PUSH, writer.feed.prove(since=30).to_bytes(), True))
        reader.core.receive(session, push, world.now)
        reader.settle()
        assert reader.feed.length == 0
        assert session in reader.core.sessions  # it may be honest, and we behind

    def test_a_replayed_conversation(self, world: World, reader: Host, writer: Host) -> None:
        recorded: list[bytes] = []
        _, back = world.connect(reader, writer)

        def record(data: bytes) -> bytes:
            recorded.append(data)
            return data

        writer.wires[back].alter = record
        world.run(1)
        writer.feed.append(b"later")
        writer.changed()
        world.run(1)
        session = reader.core.open(world.now)
        for data in recorded:
            try:
                reader.core.receive(session, data, world.now)
            except PeerError:
                break
        reader.settle()
        assert_sound(reader)
        assert reader.feed.length == 65


def random_message(rng: random.Random) -> Message:
    number = rng.choice([0, 1, 2, 5, 63, 64, 65, 2**20, 2**40])
    choices: list[Message] = [
        Info(1, rng.randrange(3), number),
        Want(0, number + 1),
        Have(0, number + 1, (0, number + 1)),
        Request(rng.randrange(1, 5), 0, rng.choice([0, number]), 0, (0, min(number + 1, 64))),
        Request(1, 0, 64, 64, (), (number,), None, (), None, True),
        Request(1, 0, 0, 0, seek=number),
        Request(1, 0, 64, 64, (1, 2), anchors=(number, number + 2)),
        NoData(rng.randrange(1, 5)),
        messages.Cancel(rng.randrange(1, 5)),
    ]
    return rng.choice(choices)


class TestFuzz:
    @given(st.binary(max_size=200))
    @settings(max_examples=300)
    def test_random_bytes_are_survived(self, data: bytes) -> None:
        with Store.memory() as store:
            feed = store.feed("log")
            feed.extend(BLOCKS[:8])
            host = World().host(feed, store, following=True)
            session = host.core.open(0.0)
            try:
                host.core.receive(session, data, 0.0)
            except PeerError:
                return
            host.settle()

    @given(st.integers(0, 2**32))
    @settings(max_examples=60)
    def test_any_sequence_of_messages_is_answered_or_refused(self, seed: int) -> None:
        rng = random.Random(seed)
        with Store.memory() as store:
            feed = store.feed("log")
            feed.extend(BLOCKS)
            world = World()
            host = world.host(feed, store, following=True)
            session = host.core.open(world.now)
            try:
                for _ in range(30):
                    host.core.receive(session, encode(random_message(rng)), world.now)
                    while host.core.next_message(session) is not None:
                        pass
                    host.settle()
                    world.run(rng.random())
            except PeerError:
                pass
            assert list(feed) == BLOCKS

    @given(st.integers(0, 2**32))
    @settings(max_examples=60)
    def test_a_mutated_conversation_stores_nothing_wrong(self, seed: int) -> None:
        rng = random.Random(seed)
        with Store.memory() as store, Store.memory() as elsewhere:
            feed = store.feed("log")
            feed.extend(BLOCKS)
            world = World()
            host = world.host(feed, store)
            copy: Feed = elsewhere.feed(key=feed.key)
            reader = world.host(copy, elsewhere, following=True)
            reader.core.wants.add([(0, 64)])
            _, back = world.connect(reader, host)

            def mutate(data: bytes) -> bytes | None:
                match rng.randrange(6):
                    case 0:
                        at = rng.randrange(len(data))
                        return (
                            data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
                        )
                    case 1:
                        return data[: rng.randrange(len(data))]
                    case _:
                        return data

            host.wires[back].alter = mutate
            world.run(5)
            assert_sound(reader)
            assert copy.length in (0, 64)

    @given(st.binary(max_size=300))
    def test_the_decoder_returns_a_message_or_raises_decode_error(self, data: bytes) -> None:
        with contextlib.suppress(DecodeError):
            messages.decode(data)
