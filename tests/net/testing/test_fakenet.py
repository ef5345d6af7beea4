"""The simulated network."""

from __future__ import annotations

from collections.abc import Callable

from net.addresses import Address
from net.testing import FakeNet, NatKind

Log = list[tuple[bytes, Address]]


def into(log: Log) -> Callable[[bytes, Address], None]:
    return lambda data, address: log.append((data, address))


def test_hosts_that_everybody_reaches() -> None:
    net, log = FakeNet(), Log()
    a, b = net.host().open(into([])), net.host().open(into(log))
    a.send(b"x", b.address)
    net.clock.run(net.clock.now + 1.0)
    assert log == [(b"x", a.address)]


def test_a_router_translates_and_lets_answers_in() -> None:
    net, log, answers = FakeNet(), Log(), Log()
    router = net.router(NatKind.CONE)
    inside, outside = net.host(router).open(into(answers)), net.host().open(into(log))
    outside.send(b"early", (router.nat.host, inside.address[1]))
    net.clock.run(net.clock.now + 1.0)
    assert answers == []
    inside.send(b"x", outside.address)
    net.clock.run(net.clock.now + 1.0)
    assert log == [(b"x", (router.nat.host, inside.address[1]))]
    outside.send(b"y", log[0][1])
    net.clock.run(net.clock.now + 1.0)
    assert answers == [(b"y", outside.address)]


def test_neighbours_talk_directly_but_not_around_the_router() -> None:
    net, log = FakeNet(), Log()
    router = net.router(NatKind.FULL_CONE)
    a, b = net.host(router).open(into([])), net.host(router).open(into(log))
    a.send(b"x", b.address)
    a.send(b"hairpin", (router.nat.host, b.address[1]))
    net.clock.run(net.clock.now + 1.0)
    assert log == [(b"x", a.address)]


def test_a_closed_socket_is_silent() -> None:
    net, log = FakeNet(), Log()
    a, b = net.host().open(into([])), net.host().open(into(log))
    a.send(b"on its way", b.address)
    b.close()
    b.close()
    a.close()
    a.send(b"x", b.address)
    net.clock.run(net.clock.now + 1.0)
    assert log == []


def run(seed: int) -> Log:
    net, log = FakeNet(seed, loss=0.2, duplicate=0.2), Log()
    a, b = net.host().open(into([])), net.host().open(into(log))
    for number in range(100):
        a.send(bytes([number]), b.address)
    net.clock.run(net.clock.now + 1.0)
    return log


def test_loss_duplicates_and_order_come_from_the_seed() -> None:
    log = run(1)
    arrived = [data[0] for data, _ in log]
    assert len(set(arrived)) < 100
    assert len(arrived) > len(set(arrived))
    assert arrived != sorted(arrived)
    assert run(1) == log
    assert run(2) != log
