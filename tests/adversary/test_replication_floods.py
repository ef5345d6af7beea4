"""Peers that send or refuse without end, or read nothing: memory is bounded, others are served."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from feedlog import Store
from net.errors import PeerError
from net.replicate import messages
from net.replicate.messages import Data, Have, Info, NoData, Request, Want, encode
from net.replicate.serving import MAX_WAITING, MAX_WAITING_SPANS
from net.replicate.session import MAX_OFFER_PIECES, MAX_OUTBOX, Query
from tests.adversary.conftest import BLOCKS
from tests.reference.world import Host, World


class TestRefusals:
    @pytest.mark.parametrize("reason", [messages.BUSY, messages.MISSING])
    def test_one_who_refuses_at_once_what_it_offers_again_hinders_nobody(
        self, world: World, reader: Host, writer: Host, honest: Host, reason: str
    ) -> None:
        world.connect(reader, honest, delay=0.05)
        session, back = world.connect(reader, writer, delay=0.001)
        refused = 0

        def refuse(data: bytes) -> bytes:
            nonlocal refused
            message = messages.decode(data)
            if not isinstance(message, Data):
                return data
            refused += 1
            reader.core.receive(session, encode(NoData(message.id, reason)), world.now)
            return encode(Have(0, 64, (0, 64)))  # comes before anything else is asked

        writer.wires[back].alter = refuse
        reader.core.wants.block(5)
        reader.settle()
        world.run(5, until=lambda: refused > 100)
        assert list(reader.feed) == BLOCKS
        assert refused < 20

    def test_one_who_is_always_busy_is_asked_seldom(
        self, world: World, reader: Host, writer: Host
    ) -> None:
        _, back = world.connect(reader, writer, delay=0.001)
        world.run(0.001)
        writer.wires[back].alter = lambda data: (
            encode(NoData(messages.DATA_HEADER.unpack_from(data)[1], messages.BUSY))
            if data[0] == messages.DATA and reader.feed.length
            else data
        )
        world.run(3600)
        assert 100 < reader.core.counters["requests"] < 1000
        writer.wires[back].alter = None
        world.run(20)
        assert list(reader.feed) == BLOCKS


class TestFloods:
    def test_requests(self, world: World, writer: Host) -> None:
        session = writer.core.open(world.now)
        request = Request(1, 0, 64, 64, (0, 64))
        for _ in range(2 * MAX_WAITING):
            writer.core.receive(session, encode(request), world.now)
        with pytest.raises(PeerError, match="requests"):
            writer.core.receive(session, encode(request), world.now)
        assert session.serving.waiting <= MAX_WAITING

    def test_requests_of_scattered_blocks(self, world: World, writer: Host) -> None:
        session = writer.core.open(world.now)
        serving = session.serving
        for number in range(1, MAX_WAITING):
            runs = (0, 1, *([1, 1] * 4095))
            writer.core.receive(session, encode(Request(number, 0, 64, 64, runs)), world.now)
        assert serving._pieces <= MAX_WAITING_SPANS

    def test_urgent_requests_that_cut_others_into_pieces(self, world: World, writer: Host) -> None:
        session = writer.core.open(world.now)
        for number in range(1, MAX_WAITING // 2):
            request = Request(number, 0, 64, 64, (0, 65536))
            writer.core.receive(session, encode(request), world.now)
        for number in range(MAX_WAITING // 2, MAX_WAITING):
            runs = (2 * number, *([1, 1] * 1024)[1:])
            request = Request(number, 0, 64, 64, runs, urgent=True)
            writer.core.receive(session, encode(request), world.now)
        assert session.serving._pieces <= MAX_WAITING_SPANS

    def test_offers_of_every_other_block(self, world: World, reader: Host) -> None:
        session = reader.core.open(world.now)
        for start in range(0, 1 << 20, 8192):
            have = Have(start, start + 8192, (0, 1, *([1, 1] * 4095)))
            reader.core.receive(session, encode(have), world.now)
        assert session.link.have.pieces <= MAX_OFFER_PIECES

    def test_offers_of_all_but_every_other_block(self, world: World, reader: Host) -> None:
        session = reader.core.open(world.now)
        reader.core.receive(session, encode(Have(0, 2**40, (0, 2**40))), world.now)
        for start in range(1, 3 * MAX_OFFER_PIECES, 2):
            reader.core.receive(session, encode(Have(start, start + 1, ())), world.now)
        assert session.link.have.pieces <= MAX_OFFER_PIECES

    def test_wants_without_end(self, world: World, writer: Host) -> None:
        session = writer.core.open(world.now)
        while writer.core.next_message(session) is not None:
            pass

        def flood() -> None:
            for start in range(0, 4 * MAX_OFFER_PIECES, 2):
                writer.core.receive(session, encode(Want(start, start + 1)), world.now)

        with pytest.raises(PeerError, match="spans"):
            flood()

    def test_wants_by_one_who_reads_no_answers(self, world: World, writer: Host) -> None:
        for index in range(0, 64, 2):
            writer.feed.clear(index, index + 1)
        writer.changed()
        session = writer.core.open(world.now)

        def flood() -> None:
            for _ in range(100_000):
                writer.core.receive(session, encode(Want(0, 64)), world.now)
                writer.core._news._put_haves(session)

        with pytest.raises(PeerError, match="reads none"):
            flood()

    def test_news_for_one_who_reads_none(self, world: World, writer: Host, honest: Host) -> None:
        for index in range(0, 64, 2):
            writer.feed.clear(index, index + 1)
        writer.changed()
        world.connect(writer, honest)
        session = writer.core.open(world.now)
        for _ in range(20_000):
            writer.core.receive(session, encode(Want(0, 64)), world.now)
            writer.core._news.tell(0, 1, world.now)
            world.now += 0.05
            writer.core.handle_timeout(world.now)
        assert session._outbox_size < 1000

    def test_an_answer_counts_where_one_who_reads_none_claims_more(
        self, world: World, reader: Host, honest: Host
    ) -> None:
        reader.core.following = False
        world.connect(reader, honest)
        world.run(1)
        reader.core.query(update := Query(), world.now)
        session = reader.core.open(world.now)
        session.put_encoded(bytes(MAX_OUTBOX))
        reader.core.receive(session, encode(Info(1, 0, 2**40)), world.now)
        reader.settle()
        world.run(1)
        assert reader.answered(update)

    def test_questions_to_one_who_reads_none(
        self, world: World, reader: Host, honest: Host
    ) -> None:
        session = reader.core.open(world.now)
        claim = Info(1, 0, 2**40, extensions=("trie",))
        reader.core.receive(session, encode(claim), world.now)
        world.connect(reader, honest)
        for _ in range(300):
            reader.core.query(Query(hint=("trie", bytes(8000))), world.now)
        reader.core.query(update := Query(), world.now)
        world.run(10)
        assert session._outbox_size <= MAX_OUTBOX
        assert reader.answered(update)
        assert list(reader.feed) == BLOCKS

    def test_messages_that_are_too_large(self, world: World, reader: Host) -> None:
        session = reader.core.open(world.now)
        with pytest.raises(PeerError, match="limit"):
            reader.core.receive(session, b"\0" + bytes(messages.MAX_CONTROL), world.now)

    def test_small_messages_of_one_whose_offer_is_all_holes(
        self, world: World, make_store: Callable[[], Store]
    ) -> None:
        store, copy = make_store(), make_store()
        feed = store.feed("log")
        feed.extend([b"x"] * (1 << 15))
        replica = copy.feed(key=feed.key)
        replica.apply(feed.prove())
        reader = world.host(replica, copy)
        reader.core.wants.add([(0, 1 << 15)])
        sessions = [reader.core.open(world.now) for _ in range(4)]
        for session in sessions:
            for start in range(0, 1 << 15, 8192):
                have = Have(start, start + 8192, (0, 1, *([1, 1] * 4095)))
                reader.core.receive(session, encode(have), world.now)
            reader.core.receive(session, encode(Info(1, 0, 1 << 15)), world.now)
        reader.core.pursue(world.now)
        assert sessions[0].sent
        steps = 0

        def profile(_frame: FrameType, event: str, _argument: object) -> None:
            nonlocal steps
            steps += event == "call"

        sys.setprofile(profile)
        try:
            reader.core.receive(session, encode(Have(0, 1, ())), world.now)
            reader.core.pursue(world.now)
        finally:
            sys.setprofile(None)
        assert steps < 40_000
