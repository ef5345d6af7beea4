"""Nodes that connect by key through real routers: every kind with every kind."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from statistics import median
from typing import Any

import pytest

from tests.natbed.bed import ADDRESSES, SERVERS_6, NatBed, address_6
from tests.natbed.members import IPV4, Members

KINDS = ["open", "full cone", "cone", "symmetric", "blocked"]
CLASSES = {"open": "OPEN", "full cone": "CONSISTENT", "cone": "CONSISTENT", "symmetric": "RANDOM"}
ROUNDS = 5
"""Of the long run."""


@pytest.fixture(scope="module")
def members(worker_id: str) -> Iterator[Members]:
    """The nodes to bootstrap from also relay."""
    with ExitStack() as stack:
        bed = stack.enter_context(NatBed(f"nm{os.getpid()}{worker_id[:4]}"))
        yield Members(bed, stack, relay=True)


def expected(near: str, far: str) -> set[str]:
    """Return the ways that a connection from `near` to `far` may take, by their first word."""
    if far == "open":
        return {"tcp"}
    if "blocked" in (near, far) or near == far == "symmetric":
        return {"relay"}
    if {near, far} == {"cone", "symmetric"}:
        return {"punched", "relay"}  # whichever is quicker: blind probes need luck
    # A router that lets everyone in may be quicker than the detour of an introduction.
    return {"punched", "quic"} if far == "full cone" else {"punched"}


def run_row(members: Members, far: str) -> dict[str, dict[str, Any]]:
    """Have a node behind `far` listen, and one behind each kind connect to it."""
    blocked = members.on("h3")  # it begins now: it takes a while to see that nobody answers
    blocked.tell("start", members.bootstrap, members.port(), IPV4)
    key = members.listen(members.place(2, far))
    if far != "open":
        members.on("srv").ask("places", key)
    found = {near: members.connect(members.place(1, near), key) for near in KINDS[:-1]}
    blocked.answer()
    found["blocked"] = blocked.ask("connect", key, 20.0)
    for near in KINDS:
        print(f"{near:>10} -> {far:<10}", found[near])
    for near in KINDS:
        assert found[near]["nat"] == CLASSES.get(near, "UNKNOWN")
        assert found[near]["carried"]
        assert first_word(found[near]) in expected(near, far)
    return found


def first_word(found: dict[str, Any]) -> str:
    way: str = found["way"]
    return way.split(maxsplit=1)[0]


@pytest.mark.parametrize("far", KINDS)
def test_a_node_is_reached_by_key(members: Members, far: str) -> None:
    run_row(members, far)


@pytest.mark.soak
def test_every_pair_several_times(members: Members) -> None:
    for far in KINDS:
        rows = [run_row(members, far) for _ in range(ROUNDS)]
        for near in KINDS:
            times = [row[near]["ms"] for row in rows]
            ways = Counter(first_word(row[near]) for row in rows)
            print(f"{near:>10} -> {far:<10} {median(times):5.0f} ms, at most {max(times)}", ways)


@pytest.mark.parametrize(
    ("far", "near", "way"),
    [
        ("cone", "cone", "punched"),
        ("symmetric", "symmetric", "relay"),
        ("cone", "blocked", "relay"),
        ("blocked", "cone", "relay"),
    ],
)
def test_a_feed_is_read_through_two_routers(
    members: Members, far: str, near: str, way: str
) -> None:
    writer, reader = members.place(2, far), members.place(1, near)
    writer.tell("share", members.bootstrap, members.port(), IPV4)
    members.start(reader)
    block, *ways = reader.ask("read", writer.answer(), 20.0)
    assert block == "block 9"
    assert [one.split(maxsplit=1)[0] for one in ways] == [way]


def test_two_hosts_behind_one_router_meet_on_their_lan(members: Members) -> None:
    members.bed.set_router(1, "symmetric")
    key = members.listen(members.on("l1"))
    found = members.connect(members.on("h1"), key)
    assert found["way"].startswith(f"tcp {ADDRESSES['l1']}:")


def test_two_hosts_on_a_lan_need_nobody_else(members: Members) -> None:
    """Both families, no bootstrap node, no way out: multicast finds, TCP connects."""
    listening, connecting = members.on("l1"), members.on("h1")
    key = listening.ask("listen", [], members.port(), {})
    connecting.ask("start", [], members.port(), {})
    found = connecting.ask("connect", key, 20.0)
    assert found["way"].startswith("tcp "), found
    assert found["carried"]


def test_a_router_that_forgets_after_five_seconds(members: Members) -> None:
    for number in (1, 2):
        members.bed.forget_after(number, 5)
    key = members.listen(members.place(2, "symmetric"))
    near = members.place(1, "cone")
    members.start(near)
    near.ask("look every", 0.5)
    assert near.ask("connect", key, 20.0)["carried"]
    while near.ask("way").startswith("relay "):  # blind probes took longer than 2.5 s
        time.sleep(0.1)
    assert near.ask("talk after", 7.0, 20.0)
    assert near.ask("way").startswith("punched ")
    for number in (1, 2):
        members.bed.forget_after(number, 30)


def test_without_a_relay_the_errors_say_why() -> None:
    with ExitStack() as stack:
        members = Members(stack.enter_context(NatBed(f"ne{os.getpid()}")), stack)
        blocked = members.on("h3")
        blocked.tell("start", members.bootstrap, members.port(), IPV4)
        key = members.listen(members.place(2, "symmetric"))
        both_random = members.connect(members.place(1, "symmetric"), key)["error"]
        assert "both NATs random and no relay" in both_random
        assert both_random.count("tried") == 1
        blocked.answer()
        alone = blocked.ask("connect", key, 20.0)["error"]
        assert "no announcement" in alone
        assert "no bootstrap node answered" in alone
        key = blocked.ask("listen", members.bootstrap, members.port(), IPV4)
        unheard = members.connect(members.on("o1"), key)["error"]
        assert "no announcement" in unheard
        key = members.listen(members.on("h2"))
        members.on("h2").ask("stop without a word")
        silent = members.connect(members.on("o1"), key)["error"]
        assert "peer silent" in silent


@pytest.fixture
def members_6() -> Iterator[Members]:
    with ExitStack() as stack:
        bed = stack.enter_context(NatBed(f"n6{os.getpid()}"))
        yield Members(bed, stack, servers=SERVERS_6)


def test_ipv6_without_translation(members_6: Members) -> None:
    """In the open at once; through two routers that let in only answers, by punching.

    QUIC by itself finds the hole, too, if it comes when there is one.
    """
    ipv6 = {**IPV4, "host": "::"}
    key = members_6.listen(members_6.on("o2"), **ipv6)
    for near in ("o1", "h1"):
        found = members_6.connect(members_6.on(near), key, **ipv6)
        assert found["way"].startswith("tcp [2001:db8::22]")
        assert found["nat"] == "OPEN"
    key = members_6.listen(members_6.on("h2"), **ipv6)
    found = members_6.connect(members_6.on("h1"), key, **ipv6)
    assert f"quic [{address_6('h2')}]" in found["way"], found
