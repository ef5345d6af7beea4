"""The ladder: which ways there are to a peer, in which order, and what its failures are called."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from net.addresses import Address, RelayAddress
from net.carriers import Carrier
from net.carriers.medium import Medium
from net.carriers.ports import Ports
from net.discovery import PeerAddress
from net.errors import ConnectError, DeadlineError, NetError, NotFound, PunchError
from net.punch.classify import NatClass, NatReport
from net.punch.messages import Offer
from net.reaching.dial import Attempt, Way
from net.reaching.reach import PUNCHED, Reach, explain, likeliest_first
from net.reaching.rendezvous import Rendezvous
from tests.reference.wire import ALICE, BOB

TOPIC = bytes(20)
OURS: Address = ("8.8.8.8", 4000)
PUBLIC: Address = ("9.9.9.9", 4000)
BEHIND_OURS: Address = ("8.8.8.8", 5000)
PRIVATE: Address = ("192.168.1.2", 4000)


class Silence:
    """An introducer that does not get through to anybody."""

    def __init__(self, error: NetError) -> None:
        self.error = error
        self.asked = 0

    async def introduce(
        self,
        topic: bytes,
        public_key: bytes,
        message: bytes,
        *,
        timeout: float = 5.0,  # noqa: ASYNC109 - the protocol's signature
    ) -> bytes:
        self.asked += 1
        assert len(message) <= 512
        assert timeout > 0
        assert (topic, public_key) == (TOPIC, BOB.public_key)
        raise self.error


@dataclass(frozen=True)
class Around:
    introducer: Silence | None
    nat: NatReport


async def refused() -> Carrier:
    raise ConnectError("no place")


async def nobody(_: bytes) -> bool:
    return False


@pytest.fixture
async def ports() -> AsyncIterator[Ports]:
    made = await Ports.open(["127.0.0.1"], 0, lambda carrier: carrier.abort())
    yield made
    made.close()


def reach_from(ports: Ports, introducer: Silence | None, ours: Address | None = OURS) -> Reach:
    def accepted(carrier: Carrier) -> None:
        carrier.abort()

    rendezvous = Rendezvous(
        ALICE,
        ports.punching,
        ports.quic,
        offer=lambda: Offer(NatClass.CONSISTENT, ours),
        allow=nobody,
        accepted=accepted,
    )
    around = Around(introducer, NatReport(NatClass.CONSISTENT, ours))

    def relayed(peer: PeerAddress, behind: str) -> list[Way]:
        return [
            Way(Medium.RELAY, f"relay {relay.address[0]}", refused, behind=(behind, 1))
            for relay in peer.relays
        ]

    return Reach(ALICE, ports, rendezvous, around, relayed)


def names(reach: Reach, *addresses: Address) -> list[str]:
    ways = reach.ladder(PeerAddress(BOB.public_key, addresses), TOPIC)
    return [way.name for way in ways]


async def test_a_hole_comes_after_the_likeliest_address(ports: Ports) -> None:
    reach = reach_from(ports, Silence(DeadlineError("silent")))
    assert names(reach, PRIVATE, PUBLIC) == [
        "tcp 9.9.9.9:4000",
        "quic 9.9.9.9:4000",
        PUNCHED,
        "tcp 192.168.1.2:4000",
        "quic 192.168.1.2:4000",
    ]
    # One of us at the same public address: behind our own router.
    assert names(reach, PRIVATE, BEHIND_OURS)[0] == "tcp 192.168.1.2:4000"


async def test_a_hole_comes_first_where_no_address_can_be_reached(ports: Ports) -> None:
    reach = reach_from(ports, Silence(DeadlineError("silent")))
    assert names(reach, PRIVATE)[0] == PUNCHED
    assert names(reach) == [PUNCHED]
    assert names(reach, ("2001:db8::1", 1)) == [PUNCHED]  # there is no socket of that family
    offline = reach_from(ports, Silence(DeadlineError("silent")), ours=None)
    assert names(offline, PRIVATE)[0] == "tcp 192.168.1.2:4000"


async def test_who_cannot_be_introduced_has_addresses_only(ports: Ports) -> None:
    assert names(reach_from(ports, None), PUBLIC) == ["tcp 9.9.9.9:4000", "quic 9.9.9.9:4000"]


def test_without_knowing_our_own_address_the_order_is_the_peers() -> None:
    assert likeliest_first([PRIVATE, PUBLIC], None) == [PRIVATE, PUBLIC]
    assert likeliest_first([PRIVATE, PUBLIC], ("10.0.0.1", 1)) == [PRIVATE, PUBLIC]
    assert likeliest_first([PRIVATE, PUBLIC], OURS) == [PUBLIC, PRIVATE]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DeadlineError("the peer did not answer within 5 s"), "peer silent"),
        (NotFound("no announcement of a peer that takes introductions"), "peer silent"),
        (PunchError("no hole: x", "BOTH_RANDOM"), "both NATs random and no relay"),
        (PunchError("no hole: nothing arrived from the peer", "SILENT"), "nothing arrived"),
        (ConnectError("other"), "no way leads there"),
    ],
)
async def test_failures_are_said_once_and_in_plain_words(
    ports: Ports, error: NetError, said: str
) -> None:
    introducer = Silence(error)
    attempts: list[Attempt] = []
    reach = reach_from(ports, introducer)
    with pytest.raises(ConnectError, match=said) as caught:
        await reach.connect(PeerAddress(BOB.public_key, ()), TOPIC, "test", attempts)
    assert introducer.asked == 1
    assert str(caught.value).count("tried") == 1
    assert [attempt.name for attempt in attempts] == [PUNCHED]
    assert len(caught.value.tried) == 1
    assert BOB.public_key.hex()[:16] in str(caught.value)


async def test_relays_come_last_and_make_a_hole_come_first(ports: Ports) -> None:
    relay = RelayAddress(bytes(32), ("9.9.9.1", 9))
    reach = reach_from(ports, Silence(PunchError("no hole", "BOTH_RANDOM")))
    peer = PeerAddress(BOB.public_key, (PUBLIC,), (relay,))
    names = [way.name for way in reach.ladder(peer, TOPIC)]
    assert names == [PUNCHED, "tcp 9.9.9.9:4000", "quic 9.9.9.9:4000", "relay 9.9.9.1"]
    with pytest.raises(ConnectError, match="both NATs random and no relay works") as caught:
        await reach.connect(PeerAddress(BOB.public_key, (), (relay,)), TOPIC, "test")
    assert caught.value.tried[1:] == ("relay 9.9.9.1: no place",)
    neighbour = PeerAddress(BOB.public_key, (BEHIND_OURS,), (relay,))
    assert reach.ladder(neighbour, TOPIC)[0].name == "tcp 8.8.8.8:5000"


def test_an_explanation_of_nothing() -> None:
    assert explain([]) == "no way leads there"
