"""Punching: every state with every input, and every pair of NATs from many seeds."""

from __future__ import annotations

from itertools import product
from random import Random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.addresses import pack_address
from net.punch.birthday import Path
from net.punch.classify import NatClass
from net.punch.hashing import path_token, punch_keys
from net.punch.messages import NO_TOKEN, Kind, Message, Offer, seal_datagram
from net.punch.puncher import (
    KEEPALIVE,
    MAX_PATHS,
    MAX_SELECTS,
    MAX_UNANSWERED,
    PUNCH_TIME,
    TRANSITIONS,
    Failed,
    Moved,
    Punched,
    Puncher,
    Reason,
    State,
    candidates,
)
from net.testing import NatKind
from tests.reference.punching import CLASSES, punch

OURS = punch_keys(bytes(32), bytes([1]) * 32, bytes(64))
THEIRS = punch_keys(bytes([1]) * 32, bytes(32), bytes(64))
SECRET = bytes(range(32))
PEER, ELSEWHERE = ("8.8.8.8", 4000), ("8.8.8.8", 4001)
MINE = Offer(NatClass.CONSISTENT, ("9.9.9.9", 5000), (("192.168.1.2", 5000),))
OFFER = Offer(NatClass.CONSISTENT, PEER, (("192.168.7.2", 4000),))
TOKEN = b"peer tok"


def make(*, initiator: bool = True, mine: Offer = MINE, theirs: Offer = OFFER) -> Puncher:
    return Puncher(OURS, mine, theirs, initiator=initiator, rng=Random(1), secret=SECRET, now=0.0)


def datagram(kind: Kind, *, proof: bool, address: tuple[str, int] = PEER) -> bytes:
    echo = path_token(SECRET, 0, pack_address(address)) if proof else NO_TOKEN
    return seal_datagram(THEIRS, Message(kind, TOKEN, echo))


def in_state(state: State, *, initiator: bool) -> Puncher:
    puncher = make(initiator=initiator)
    puncher.datagrams_to_send(0.0)
    if initiator and state in (State.SELECTING, State.CONNECTED):
        puncher.receive_datagram(datagram(Kind.ECHO, proof=True), PEER, 0.0)
        if state is State.CONNECTED:
            puncher.receive_datagram(datagram(Kind.SELECTED, proof=True), PEER, 0.0)
    elif state is State.CONNECTED:
        puncher.receive_datagram(datagram(Kind.SELECT, proof=True), PEER, 0.0)
    elif state is State.FAILED:
        puncher.handle_timeout(PUNCH_TIME)
    elif state is State.CLOSED:
        puncher.close()
    assert puncher.state is state
    while puncher.next_event() is not None:
        pass
    puncher.datagrams_to_send(0.0)
    return puncher


ROLES = [
    (state, initiator)
    for state, initiator in product(State, (True, False))
    if initiator or state is not State.SELECTING
]


@pytest.mark.parametrize(("state", "initiator"), ROLES)
@pytest.mark.parametrize("kind", [*Kind, None])
@pytest.mark.parametrize("proof", [True, False])
@pytest.mark.parametrize("address", [PEER, ELSEWHERE])
def test_a_legal_successor_and_one_answer_at_most(
    state: State, initiator: bool, kind: Kind | None, proof: bool, address: tuple[str, int]
) -> None:
    puncher = in_state(state, initiator=initiator)
    data = b"\x11" * 42 if kind is None else datagram(kind, proof=proof, address=address)
    puncher.receive_datagram(data, address, 0.0)
    assert puncher.state in {state} | TRANSITIONS[state]
    # An initiator that has its proof proposes at once what it would propose anyway.
    answers = puncher.datagrams_to_send(0.0)
    chose = state is State.PROBING and puncher.state is State.SELECTING
    assert len(answers) <= 1 + chose
    assert {answer.address for answer in answers} <= {address}
    if kind is None or state in (State.FAILED, State.CLOSED):
        assert not answers
        assert puncher.state is state
    if not proof:
        assert puncher.state is state


@pytest.mark.parametrize(("state", "initiator"), ROLES)
def test_time_alone_leads_to_an_end(state: State, initiator: bool) -> None:
    puncher, now, turns = in_state(state, initiator=initiator), 0.0, 0
    while (when := puncher.next_timeout()) is not None:
        assert when >= now
        now, turns = when, turns + 1
        before = puncher.state
        puncher.handle_timeout(now)
        assert puncher.state in {before} | TRANSITIONS[before]
        assert len(puncher.datagrams_to_send(now)) <= 8
        assert turns < 200
    assert puncher.state in (State.FAILED, State.CLOSED)
    assert now <= max(PUNCH_TIME, KEEPALIVE + MAX_UNANSWERED + 1)


@given(st.lists(st.tuples(st.binary(max_size=50), st.sampled_from(["::1", "1.1.1.1", "fe80::1%2",
       "x"])), max_size=4))  # fmt: skip
def test_garbage_changes_nothing(datagrams: list[tuple[bytes, str]]) -> None:
    puncher = in_state(State.PROBING, initiator=False)
    for data, host in datagrams:
        puncher.receive_datagram(data, (host, 1), 0.0)
    assert puncher.datagrams_to_send(0.0) == []
    assert puncher.counters["malformed"] == len(datagrams)


def test_an_answer_from_a_changed_port_is_probed_and_then_believed() -> None:
    puncher = in_state(State.PROBING, initiator=True)
    echo = datagram(Kind.ECHO, proof=True, address=PEER)
    puncher.receive_datagram(echo, ELSEWHERE, 0.0)
    assert puncher.state is State.PROBING
    (probe,) = puncher.datagrams_to_send(0.0)
    assert probe.address == ELSEWHERE
    puncher.receive_datagram(datagram(Kind.ECHO, proof=True, address=ELSEWHERE), ELSEWHERE, 0.0)
    assert puncher.path == Path(ELSEWHERE)


def test_a_way_that_is_not_agreed_on_is_given_up_for_another() -> None:
    puncher = in_state(State.SELECTING, initiator=True)
    puncher.receive_datagram(datagram(Kind.ECHO, proof=True, address=ELSEWHERE), ELSEWHERE, 0.0)
    now = 0.0
    for _ in range(MAX_SELECTS + 2):
        now += 0.1
        puncher.handle_timeout(now)
    assert puncher.path == Path(ELSEWHERE)
    assert puncher.state is State.SELECTING


def test_the_paths_that_are_remembered_are_bounded() -> None:
    puncher = in_state(State.PROBING, initiator=False)
    for port in range(1, 3 * MAX_PATHS):
        puncher.receive_datagram(datagram(Kind.PROBE, proof=False), ("8.8.8.8", port), 0.0)
    puncher.datagrams_to_send(0.0)
    now = puncher.next_timeout()
    assert now is not None
    assert len(puncher.datagrams_to_send(now)) <= MAX_PATHS + 1


def test_private_addresses_are_probed_behind_one_router_only() -> None:
    stranger = Offer(NatClass.CONSISTENT, PEER, (("192.168.1.1", 53), ("127.0.0.1", 22)))
    assert candidates(MINE, stranger) == [Path(PEER)]
    neighbour = Offer(NatClass.CONSISTENT, ("9.9.9.9", 77), (("192.168.1.9", 7), ("127.0.0.1", 7)))
    assert candidates(MINE, neighbour) == [Path(("9.9.9.9", 77)), Path(("192.168.1.9", 7))]
    v6 = Offer(NatClass.UNKNOWN, PEER, (("2600::1", 7),))
    assert candidates(MINE, v6) == [Path(PEER), Path(("2600::1", 7))]


def test_hopeless_offers_fail_at_once_and_say_why() -> None:
    random = Offer(NatClass.RANDOM, PEER)
    puncher = make(mine=Offer(NatClass.RANDOM, ("9.9.9.9", 1)), theirs=random)
    assert puncher.next_event() == Failed(Reason.BOTH_RANDOM)
    puncher = make(theirs=Offer(NatClass.UNKNOWN, None))
    assert puncher.next_event() == Failed(Reason.NO_ADDRESS)
    assert puncher.next_timeout() is None
    assert puncher.tried == ["0 addresses of the offer", "0 datagrams arrived"]


def test_one_way_is_told_from_silence() -> None:
    puncher = in_state(State.PROBING, initiator=True)
    puncher.receive_datagram(datagram(Kind.PROBE, proof=False), PEER, 0.0)
    puncher.handle_timeout(PUNCH_TIME)
    assert puncher.next_event() == Failed(Reason.ONE_WAY)
    assert puncher.datagrams_to_send(PUNCH_TIME) == []


WORKING = [NatKind.OPEN, NatKind.FULL_CONE, NatKind.CONE, NatKind.SYMMETRIC]
SEEDS = 100


@pytest.mark.parametrize(("near", "far"), list(product(NatKind, NatKind)), ids=lambda k: k.value)
def test_every_pair_of_nats_from_many_seeds(near: NatKind, far: NatKind) -> None:
    others = {NatKind.CONE, NatKind.TRAP, NatKind.BLOCKED}
    blind = NatKind.SYMMETRIC in (near, far) and bool({near, far} & others)
    seeds = range(12 if blind else SEEDS)
    runs = [punch(near, far, seed, loss=0.1, duplicate=0.05) for seed in seeds]
    connected = [run for run in runs if run.connected]
    failed = [seed for seed, run in zip(seeds, runs, strict=True) if not run.connected]
    for seed, run in zip(seeds, runs, strict=True):
        assert run.near.punched == run.far.punched, f"the sides disagree with seed {seed}"
        assert {o.nat for o in run.offers} <= {CLASSES[near], CLASSES[far]}
        if not run.connected:
            assert run.near.failure is not None
    if {near, far} <= set(WORKING) and not (near is far is NatKind.SYMMETRIC):
        assert len(failed) <= blind, f"no way with seeds {failed}"
        assert median(run.seconds for run in connected) < (4.0 if blind else 0.5)
    elif near is far is NatKind.SYMMETRIC:
        assert {run.near.failure for run in runs} == {Failed(Reason.BOTH_RANDOM)}
    elif NatKind.BLOCKED in (near, far):
        assert not connected
    elif {near, far} & {NatKind.OPEN, NatKind.FULL_CONE}:
        assert not failed, f"a changed port does harm with seeds {failed}"


@pytest.mark.parametrize("kind", [NatKind.FULL_CONE, NatKind.CONE, NatKind.SYMMETRIC])
def test_neighbours_meet_on_their_lan(kind: NatKind) -> None:
    for seed in range(50):
        run = punch(kind, kind, seed, loss=0.05, same_router=True)
        assert run.connected
        assert run.on_lan


def test_a_way_is_kept_alive_through_a_router_that_forgets_after_thirty_seconds() -> None:
    for seed in range(20):
        run = punch(NatKind.CONE, NatKind.CONE, seed, timeout=30.0)
        assert run.connected
        events = len(run.near.events)
        run.net.clock.run(run.net.clock.now + 600.0)
        assert len(run.near.events) == events


@pytest.mark.parametrize(
    ("near", "far"),
    [
        (NatKind.CONE, NatKind.CONE),
        (NatKind.SYMMETRIC, NatKind.OPEN),
        (NatKind.FULL_CONE, NatKind.SYMMETRIC),
    ],
)
def test_a_router_that_forgets_after_five_seconds_is_met_again_and_again(
    near: NatKind, far: NatKind
) -> None:
    for seed in range(20):
        run = punch(near, far, seed, timeout=5.0)
        assert run.connected
        run.net.clock.run(run.net.clock.now + 300.0)
        for side in (run.near, run.far):
            assert side.failure is None
            assert side.puncher is not None
            assert side.puncher.state is State.CONNECTED


def test_a_router_that_started_anew_is_met_again() -> None:
    met = 0
    for seed in range(20):
        run = punch(NatKind.CONE, NatKind.CONE, seed)
        router = run.near.host.router
        assert router is not None
        router.nat.forget()
        run.net.clock.run(run.net.clock.now + 100.0)
        assert run.near.puncher is not None
        met += run.near.puncher.state is State.CONNECTED
    assert met == 20


def test_a_peer_that_went_away_is_noticed() -> None:
    run = punch(NatKind.CONE, NatKind.CONE, 1)
    assert run.far.puncher is not None
    run.far.puncher.close()
    run.far.puncher.close()
    run.net.clock.run(run.net.clock.now + KEEPALIVE + MAX_UNANSWERED + 2.0)
    assert run.near.events[-1] == Failed(Reason.LOST)


def test_events_name_the_way() -> None:
    run = punch(NatKind.OPEN, NatKind.OPEN, 1)
    assert run.near.events == [Punched(Path(run.far.socket(0).address))]
    puncher = in_state(State.CONNECTED, initiator=False)
    puncher.receive_datagram(datagram(Kind.SELECT, proof=True, address=ELSEWHERE), ELSEWHERE, 0.0)
    assert puncher.next_event() == Moved(Path(ELSEWHERE))
