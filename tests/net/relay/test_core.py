"""What a relay decides, from messages and a clock of our own."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.errors import ProtocolError
from net.relay.core import (
    ANSWER,
    DECISION,
    MAX_STREAMS,
    SILENCE,
    Action,
    Ask,
    Drop,
    Join,
    RelayCore,
    Send,
)
from net.relay.limits import RelayLimits
from net.relay.messages import (
    Accept,
    Code,
    Connect,
    Decline,
    Done,
    Incoming,
    Limits,
    Message,
    Ping,
    Pong,
    Ready,
    Refused,
    Request,
    Reserve,
    Reserved,
)

ALICE, BOB, EVE = (bytes([number]) * 32 for number in (1, 2, 3))
LIMITS = RelayLimits(reservations=2, circuits=3, circuits_per_peer=2, pending_per_peer=2)


class Relay:
    """A core whose streams are numbered as they open."""

    def __init__(self, limits: RelayLimits = LIMITS) -> None:
        self.core = RelayCore(limits, Random(1).randbytes)
        self.now = 0.0
        self._numbers = itertools.count()

    def open(self, key: bytes) -> int:
        number = next(self._numbers)
        assert self.core.opened(number, key, self.now)
        return number

    def say(self, key: bytes, message: Message) -> tuple[int, list[Action]]:
        number = self.open(key)
        self.core.receive(number, message, self.now)
        return number, self.actions()

    def actions(self) -> list[Action]:
        return list(iter(self.core.next_action, None))

    def pass_time(self, seconds: float) -> list[Action]:
        self.now += seconds
        self.core.handle_timeout(self.now)
        return self.actions()


def refusal(actions: list[Action]) -> Refused:
    (send,) = actions
    assert isinstance(send, Send)
    assert send.last
    assert isinstance(send.message, Refused)
    return send.message


def token(actions: list[Action]) -> bytes:
    (send,) = actions
    assert isinstance(send, Send)
    assert isinstance(send.message, Incoming)
    return send.message.token


@pytest.fixture
def relay() -> Relay:
    return Relay()


def test_a_circuit_comes_about(relay: Relay) -> None:
    limits = LIMITS.of_circuit
    waiting, actions = relay.say(BOB, Reserve())
    assert actions == [Send(waiting, Reserved(limits))]
    asking, actions = relay.say(ALICE, Connect(BOB))
    assert actions == [Send(waiting, Incoming(token(actions), ALICE))]
    assert relay.core.waits(asking)
    accepting, actions = relay.say(BOB, Accept(token(actions)))
    assert actions == [
        Send(asking, Ready(limits)),
        Send(accepting, Ready(limits)),
        Join(asking, accepting, limits),
    ]
    assert not relay.core.waits(asking)
    assert relay.core.circuits == 1
    relay.core.lost(asking)
    relay.core.lost(accepting)
    assert relay.core.circuits == 0
    assert relay.core.reservations == 1


def test_who_does_not_wait_here_cannot_be_reached(relay: Relay) -> None:
    assert refusal(relay.say(ALICE, Connect(BOB))[1]).code == Code.NO_RESERVATION
    waiting, _ = relay.say(BOB, Reserve())
    relay.core.lost(waiting)
    assert refusal(relay.say(ALICE, Connect(BOB))[1]).code == Code.NO_RESERVATION


def test_a_token_is_for_one_key_and_serves_once(relay: Relay) -> None:
    relay.say(BOB, Reserve())
    asking, actions = relay.say(ALICE, Connect(BOB))
    secret = token(actions)
    assert refusal(relay.say(EVE, Accept(secret))[1]).code == Code.NO_TOKEN
    assert refusal(relay.say(ALICE, Accept(secret))[1]).code == Code.NO_TOKEN
    assert refusal(relay.say(BOB, Accept(bytes(16)))[1]).code == Code.NO_TOKEN
    _, actions = relay.say(BOB, Accept(secret))
    assert actions[-1] == Join(asking, 5, LIMITS.of_circuit)
    assert refusal(relay.say(BOB, Accept(secret))[1]).code == Code.NO_TOKEN


def test_a_stranger_cannot_decline_for_another(relay: Relay) -> None:
    relay.say(BOB, Reserve())
    asking, actions = relay.say(ALICE, Connect(BOB))
    secret = token(actions)
    eve, _ = relay.say(EVE, Reserve())
    relay.core.receive(eve, Decline(secret), 0.0)
    assert not relay.actions()
    assert relay.core.waits(asking)
    relay.core.receive(0, Decline(secret), 0.0)
    assert refusal(relay.actions()).code == Code.DECLINED


def test_the_same_key_on_a_new_stream_takes_its_place(relay: Relay) -> None:
    old, _ = relay.say(BOB, Reserve())
    new, actions = relay.say(BOB, Reserve())
    assert actions == [Drop(old), Send(new, Reserved(LIMITS.of_circuit))]
    relay.core.lost(old)  # as the shell reports
    assert token(relay.say(ALICE, Connect(BOB))[1])
    assert relay.core.reservations == 1


@pytest.mark.parametrize("limit", ["reservations", "circuits", "circuits_of_peer", "pending"])
def test_a_refusal_names_the_limit(limit: str) -> None:
    keys = [bytes([number]) * 32 for number in range(10, 20)]
    relay = Relay(RelayLimits(reservations=3, circuits=5, circuits_per_peer=3, pending_per_peer=2))
    for key in keys[:3]:
        relay.say(key, Reserve())
    if limit == "reservations":
        actions = relay.say(keys[3], Reserve())[1]
    elif limit == "circuits":
        for asking, waiting in zip(keys[4:9], (0, 0, 1, 1, 2), strict=True):
            relay.say(asking, Connect(keys[waiting]))
        actions = relay.say(keys[9], Connect(keys[2]))[1]
    elif limit == "circuits_of_peer":
        for waiting in range(3):
            relay.say(keys[9], Connect(keys[waiting]))
        actions = relay.say(keys[9], Connect(keys[0]))[1]
    else:
        for asking in keys[4:6]:
            relay.say(asking, Connect(keys[0]))
        actions = relay.say(keys[9], Connect(keys[0]))[1]
    expected = {
        "reservations": (Code.RESERVATIONS, "all 3 reservations are taken"),
        "circuits": (Code.CIRCUITS, "all 5 circuits are taken"),
        "circuits_of_peer": (Code.CIRCUITS_OF_PEER, "one of the peers has 3 circuits, the limit"),
        "pending": (Code.PENDING, "2 others wait for the peer, the limit"),
    }
    assert refusal(actions) == Refused(*expected[limit])


def test_a_peer_that_never_accepts_is_given_up(relay: Relay) -> None:
    relay.say(BOB, Reserve())
    asking, _ = relay.say(ALICE, Connect(BOB))
    assert relay.pass_time(ANSWER - 1) == []
    assert refusal(relay.pass_time(1)) == Refused(Code.SILENT, "the peer has not accepted in 10 s")
    assert not relay.core.waits(asking)
    assert relay.core.circuits == 0


def test_whoever_asks_is_told_when_the_peer_leaves(relay: Relay) -> None:
    waiting, _ = relay.say(BOB, Reserve())
    relay.say(ALICE, Connect(BOB))
    relay.core.lost(waiting)
    assert refusal(relay.actions()).reason == "the peer has just left"


def test_silent_streams_are_dropped(relay: Relay) -> None:
    silent = relay.open(EVE)
    waiting, _ = relay.say(BOB, Reserve())
    talking, actions = relay.say(ALICE, Ping(7))
    assert actions == [Send(talking, Pong(7))]
    assert relay.core.next_timeout() == DECISION
    assert relay.pass_time(DECISION) == [Drop(silent)]
    relay.core.receive(waiting, Ping(1), relay.now)
    assert relay.pass_time(SILENCE - DECISION) == [Send(waiting, Pong(1)), Drop(talking)]
    assert relay.pass_time(DECISION) == [Drop(waiting)]
    assert relay.core.reservations == 0
    assert relay.core.next_timeout() == float("inf")


def test_questions_are_passed_on_within_a_limit() -> None:
    relay = Relay(RelayLimits(requests_per_peer=2))
    stream, actions = relay.say(ALICE, Request(1, 0, b"x"))
    assert actions == [Ask(stream, Request(1, 0, b"x"))]
    relay.core.receive(stream, Request(2, 0, b"x"), 0.0)
    assert len(relay.actions()) == 1
    relay.core.receive(stream, Request(3, 0, b"x"), 0.0)
    reason = "2 requests are under way, the limit"
    assert relay.actions() == [Send(stream, Done(3, code=Code.REQUESTS, reason=reason))]
    with pytest.raises(ProtocolError, match="request 2 is under way"):
        relay.core.receive(stream, Request(2, 0, b"x"), 0.0)
    relay.core.answered(stream, 1)
    relay.core.receive(stream, Request(1, 0, b"x"), 0.0)
    assert len(relay.actions()) == 1


def test_streams_are_counted(relay: Relay) -> None:
    for _ in range(MAX_STREAMS):
        relay.open(EVE)
    assert not relay.core.opened(MAX_STREAMS, BOB, 0.0)


MESSAGES: list[Message] = [
    Reserve(),
    Reserved(Limits(1, 1, 1, 1)),
    Connect(BOB),
    Incoming(bytes(16), BOB),
    Accept(bytes(16)),
    Decline(bytes(16)),
    Ready(Limits(1, 1, 1, 1)),
    Refused(0),
    Ping(0),
    Pong(0),
    Request(0, 0, b""),
    Done(0),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("state", ["new", "talking", "reserved", "asking", "joined"])
def test_every_message_in_every_state(relay: Relay, state: str, message: Message) -> None:
    relay.say(BOB, Reserve())
    prepare: dict[str, Callable[[], int]] = {
        "new": lambda: relay.open(ALICE),
        "talking": lambda: relay.say(ALICE, Ping(1))[0],
        "reserved": lambda: relay.say(ALICE, Reserve())[0],
        "asking": lambda: relay.say(ALICE, Connect(BOB))[0],
        "joined": lambda: relay.say(BOB, Accept(token(relay.say(ALICE, Connect(BOB))[1])))[0],
    }
    stream = prepare[state]()
    relay.actions()
    allowed = {
        "new": {Reserve, Connect, Accept, Ping, Pong, Request},
        "talking": {Reserve, Ping, Pong, Request},
        "reserved": {Decline, Ping, Pong, Request},
    }.get(state, set())
    if type(message) in allowed:
        relay.core.receive(stream, message, 0.0)
    else:
        with pytest.raises(ProtocolError, match=f"{type(message).__name__} on a stream that is"):
            relay.core.receive(stream, message, 0.0)


@given(st.integers(0, 2**32), st.integers(1, 200))
def test_whatever_happens_it_stays_within_its_limits(seed: int, steps: int) -> None:
    rng, relay = Random(seed), Relay()
    streams: list[int] = []
    tokens: list[bytes] = [bytes(16)]
    joined = 0
    for _ in range(steps):
        match rng.randrange(6):
            case 0:
                streams.append(relay.open(rng.choice([ALICE, BOB, EVE])))
            case 1 if streams:
                relay.core.lost(streams.pop(rng.randrange(len(streams))))
            case 2:
                relay.now += rng.random() * 5
                relay.core.handle_timeout(relay.now)
            case _ if streams:
                wishes: list[Message] = [Reserve(), Connect(rng.choice([ALICE, BOB]))]
                wish = rng.choice([*wishes, Accept(rng.choice(tokens))])
                with contextlib.suppress(ProtocolError):
                    relay.core.receive(rng.choice(streams), wish, relay.now)
        for action in relay.actions():
            match action:
                case Send(_, Incoming(secret, _)):
                    tokens.append(secret)
                case Join():
                    joined += 1
                case Send(stream, _, last=True) | Drop(stream):
                    relay.core.lost(stream)
        core = relay.core
        assert core.reservations <= LIMITS.reservations
        assert core.circuits <= LIMITS.circuits
        assert len(core._tokens) <= LIMITS.circuits
        assert all(core._clients[number].token == key for key, number in core._tokens.items())
        assert joined <= len(tokens)
