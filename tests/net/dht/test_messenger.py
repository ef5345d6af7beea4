"""Messages to somebody behind a router, on a simulated network with routers, from seeds."""

from __future__ import annotations

import pytest

from net.dht.codes import Code
from net.dht.events import Answered, Event, Finished
from net.dht.holders import KEEP_EVERY
from net.testing import FakeNet, NatKind
from tests.reference.dht_nats import Peer, network

TOPIC = bytes(range(20))


def answer(events: list[Event]) -> bytes | None:
    return next((event.answer for event in events if isinstance(event, Answered)), None)


def reply(message: bytes) -> bytes:
    return b"to " + message


def end(events: list[Event]) -> Finished:
    last = events[-1]
    assert isinstance(last, Finished)
    return last


@pytest.mark.parametrize("kind", [NatKind.FULL_CONE, NatKind.CONE, NatKind.SYMMETRIC, NatKind.OPEN])
@pytest.mark.parametrize("asker_kind", [NatKind.OPEN, NatKind.SYMMETRIC])
def test_a_message_reaches_who_is_behind_a_router_and_the_answer_comes_back(
    kind: NatKind, asker_kind: NatKind
) -> None:
    net = FakeNet(seed=1)
    peers = network(net, 12)
    inside = Peer(net, net.host(net.router(kind)), answer=reply)
    inside.join(peers[0])
    assert inside.announce(TOPIC) == 8
    asker = Peer(net, net.host(net.router(asker_kind)))
    asker.join(peers[3])
    started = net.clock.now
    assert answer(asker.introduce(TOPIC, inside, b"hello")) == b"to hello"
    assert net.clock.now - started < 0.6
    assert inside.messages == [b"hello"]  # though three holders brought it


def test_the_mapping_of_the_router_is_kept_for_hours_of_silence() -> None:
    net = FakeNet(seed=2)
    peers = network(net, 12)
    inside = Peer(net, net.host(net.router(NatKind.CONE, timeout=30.0)), answer=reply)
    inside.join(peers[0])
    inside.announce(TOPIC)
    for number in range(4):
        net.clock.run(net.clock.now + 1700.0)
        message = b"%d" % number
        assert answer(peers[5].introduce(TOPIC, inside, message)) == b"to " + message


@pytest.mark.parametrize("kind", [NatKind.CONE, NatKind.SYMMETRIC])
def test_a_router_that_forgets_after_five_seconds(kind: NatKind) -> None:
    net = FakeNet(seed=7)
    peers = network(net, 12)
    inside = Peer(net, net.host(net.router(kind, timeout=5.0)), answer=reply)
    inside.join(peers[0])
    inside.announce(TOPIC)
    for number in range(10):
        net.clock.run(net.clock.now + net.rng.uniform(4.0, 60.0))
        message = b"%d" % number
        assert answer(peers[5].introduce(TOPIC, inside, message)) == b"to " + message


def test_a_router_that_starts_anew_costs_one_interval() -> None:
    net = FakeNet(seed=3)
    peers = network(net, 12)
    router = net.router(NatKind.SYMMETRIC)
    inside = Peer(net, net.host(router), answer=reply)
    inside.join(peers[0])
    inside.announce(TOPIC)
    router.nat.forget()
    net.clock.run(net.clock.now + KEEP_EVERY + 15.0)
    assert answer(peers[5].introduce(TOPIC, inside, b"again")) == b"to again"


def test_silence_no_announcement_and_no_taker_are_told_apart() -> None:
    net = FakeNet(seed=4)
    peers = network(net, 12)
    silent = Peer(net, net.host(net.router(NatKind.CONE)), answer=lambda _: None)
    deaf = Peer(net, net.host(net.router(NatKind.CONE)))
    for peer in (silent, deaf):
        peer.join(peers[0])
        peer.announce(TOPIC)
    said = end(peers[5].introduce(TOPIC, silent, b"x"))
    assert said.silent == 8
    assert silent.messages == [b"x"]
    for nobody in (deaf, peers[3]):
        said = end(peers[5].introduce(TOPIC, nobody, b"x"))
        assert (said.silent, dict(said.refusals)) == (0, {Code.NO_ANNOUNCER: said.stored})


def test_the_only_holder_passes_its_own_message_on() -> None:
    net = FakeNet(seed=5)
    (alone,) = network(net, 1)
    inside = Peer(net, net.host(net.router(NatKind.CONE)), answer=reply, ephemeral=True)
    inside.join(alone)
    assert inside.announce(TOPIC) == 1
    assert answer(alone.introduce(TOPIC, inside, b"hello")) == b"to hello"


def test_an_announcer_that_is_reached_directly_answers_itself() -> None:
    net = FakeNet(seed=6)
    peers = network(net, 1)
    taker = Peer(net, net.host(), answer=reply)
    taker.join(peers[0])
    taker.announce(TOPIC)
    net.clock.run(net.clock.now + 1.0)
    peers[0].socket.close()  # the only other holder
    asker = Peer(net, net.host())
    asker.join(taker)
    assert answer(asker.introduce(TOPIC, taker, b"hello")) == b"to hello"


def test_dead_and_lossy_holders_only_cost_time() -> None:
    got = 0
    for seed in range(10):
        net = FakeNet(seed=seed, loss=0.05, duplicate=0.05)
        peers = network(net, 16)
        inside = Peer(net, net.host(net.router(NatKind.CONE)), answer=reply)
        inside.join(peers[0])
        assert inside.announce(TOPIC) >= 6
        for peer in net.rng.sample(peers[1:], 5):
            peer.socket.close()
        asker = Peer(net, net.host(net.router(NatKind.CONE)))
        asker.join(peers[0])
        got += answer(asker.introduce(TOPIC, inside, b"hello")) == b"to hello"
        assert len(inside.messages) == 1
    assert got == 10


def test_one_who_announces_no_more_is_not_found() -> None:
    net = FakeNet(seed=8)
    peers = network(net, 12)
    inside = Peer(net, net.host(net.router(NatKind.CONE)), answer=reply)
    inside.join(peers[0])
    inside.announce(TOPIC)
    inside.finish(inside.core.withdraw(TOPIC, net.clock.now))
    said = end(peers[5].introduce(TOPIC, inside, b"x"))
    assert set(dict(said.refusals)) == {Code.NO_ANNOUNCER}
    net.clock.run(net.clock.now + 60.0)
    assert inside.core._announcer.next_ping() is None
