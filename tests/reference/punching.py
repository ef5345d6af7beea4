"""Two punchers on the simulated network: reporters, offers, sockets opened as they are wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from net.addresses import Address, reach
from net.punch.classify import NatClass, NatReport, classify
from net.punch.hashing import punch_keys
from net.punch.messages import Offer
from net.punch.puncher import Event, Failed, Moved, Punched, Puncher
from net.testing import FakeNet, FakeSocket, Host, NatKind, Router, Timer

REPORTERS = 4


@dataclass
class Side:
    """A host with a puncher and its sockets."""

    net: FakeNet
    host: Host
    puncher: Puncher | None = None
    sockets: dict[int, FakeSocket] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    handed: list[tuple[bytes, Address]] = field(default_factory=list)
    _timer: Timer | None = None

    def socket(self, number: int) -> FakeSocket:
        if number not in self.sockets:
            self.sockets[number] = self.host.open(self._receiver(number))
        return self.sockets[number]

    def _receiver(self, number: int) -> Callable[[bytes, Address], None]:
        def received(data: bytes, address: Address) -> None:
            if self.puncher is not None:
                self.puncher.receive_datagram(data, address, self.net.clock.now, number)
                self.pump()
            else:
                self.handed.append((data, address))

        return received

    def pump(self) -> None:
        assert self.puncher is not None
        now = self.net.clock.now
        for data, address, number in self.puncher.datagrams_to_send(now):
            self.socket(number).send(data, address)
        while (event := self.puncher.next_event()) is not None:
            self.events.append(event)
            self.times.append(now)
        if self._timer is not None:
            self._timer.cancel()
        when = self.puncher.next_timeout()
        if when is not None:
            self._timer = self.net.clock.call_at(when, self.wake)

    def wake(self) -> None:
        assert self.puncher is not None
        self.puncher.handle_timeout(self.net.clock.now)
        self.pump()

    @property
    def punched(self) -> bool:
        return any(isinstance(event, Punched | Moved) for event in self.events)

    @property
    def ended(self) -> bool:
        return bool(self.events)

    @property
    def failure(self) -> Failed | None:
        return next((event for event in self.events if isinstance(event, Failed)), None)


def observe(net: FakeNet, side: Side) -> NatReport:
    """Ask some hosts how they see us, and classify."""
    reports: dict[Address, Address] = {}
    seen: list[tuple[str, Address]] = []
    main = side.socket(0)
    for _ in range(REPORTERS):
        reporter = net.host()
        there = reporter.open(lambda _, a, reporter=reporter: seen.append((reporter.address, a)))  # type: ignore[misc]  # mypy cannot type a lambda's default
        for _ in range(6):  # some get lost
            main.send(b"?", there.address)
    net.clock.run(net.clock.now + 0.5)
    for host, address in seen:
        reports[host, 1] = address
    return classify(reports, [main.address])


def offer_of(net: FakeNet, side: Side) -> Offer:
    report = observe(net, side)
    return Offer(report.kind, report.public, (side.socket(0).address,))


@dataclass
class Outcome:
    near: Side
    far: Side
    net: FakeNet
    began: float
    offers: tuple[Offer, Offer]

    @property
    def connected(self) -> bool:
        return self.near.punched and self.far.punched

    @property
    def seconds(self) -> float:
        return max(self.near.times[0], self.far.times[0]) - self.began

    @property
    def on_lan(self) -> bool:
        path = self.near.puncher.path if self.near.puncher else None
        return path is not None and reach(path.address[0]) == 1


def punch(
    near_kind: NatKind,
    far_kind: NatKind,
    seed: int,
    *,
    loss: float = 0.0,
    duplicate: float = 0.0,
    same_router: bool = False,
    timeout: float = 120.0,
) -> Outcome:
    """Run one punch from offers to the end of both sides."""
    net = FakeNet(seed, loss=loss, duplicate=duplicate)
    router: Router = net.router(near_kind, timeout=timeout)
    near = Side(net, net.host(router))
    other = router if same_router else net.router(far_kind, timeout=timeout)
    far = Side(net, net.host(other))
    offers = offer_of(net, near), offer_of(net, far)
    rng = Random(seed)
    secrets = [rng.randbytes(32) for _ in range(4)]
    transcript = rng.randbytes(64)
    began = net.clock.now

    def start(side: Side, initiator: bool) -> None:
        mine, theirs = offers if initiator else offers[::-1]
        pair = secrets[:2] if initiator else secrets[1::-1]
        side.puncher = Puncher(
            punch_keys(pair[0], pair[1], transcript),
            mine,
            theirs,
            initiator=initiator,
            rng=Random(seed + initiator),
            secret=secrets[2 + initiator],
            now=net.clock.now,
        )
        side.pump()

    start(far, False)  # it has the initiator's offer first
    net.clock.call_at(net.clock.now + net.rng.uniform(0.01, 0.1), lambda: start(near, True))
    net.clock.run(began + 15.0, lambda: near.ended and far.ended)
    return Outcome(near, far, net, began, offers)


CLASSES = {
    NatKind.OPEN: NatClass.OPEN,
    NatKind.FULL_CONE: NatClass.CONSISTENT,
    NatKind.CONE: NatClass.CONSISTENT,
    NatKind.TRAP: NatClass.CONSISTENT,
    NatKind.SYMMETRIC: NatClass.RANDOM,
    NatKind.BLOCKED: NatClass.UNKNOWN,
}
