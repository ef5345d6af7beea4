"""Whom one joins through: by address, by name, and known from another time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from net.addresses import Address, parse_address
from net.dht.bootstrap import Bootstrap
from net.dht.node import DhtNode
from net.finding.contacts import KeptContacts

StartNode = Callable[..., Awaitable[DhtNode]]

TOPIC = bytes(range(20))
HERE = ("127.0.0.1", 4000)
KNOWN = ("192.0.2.7", 9)


def reaches(address: Address) -> bool:
    """Tell whether it is IPv4, which is all that we speak."""
    return ":" not in address[0]


async def test_addresses_are_there_at_once_and_names_when_they_are_resolved() -> None:
    names = ["127.0.0.1:5", "[::1]:6", "localhost:7"]
    bootstrap = Bootstrap(names, [KNOWN, ("2001:db8::1", 9)], reaches)
    assert bootstrap.names == tuple(names)
    assert bootstrap.addresses == [("127.0.0.1", 5), ("::1", 6), KNOWN]
    assert bootstrap.has_names
    assert await bootstrap.resolve()
    assert bootstrap.addresses == [("127.0.0.1", 5), ("::1", 6), KNOWN, ("127.0.0.1", 7)]
    assert not await bootstrap.resolve()  # it leads where it has led


@pytest.mark.parametrize(
    ("names", "known", "given"), [([], [], 0), (["h:1"], [], 1), ([], [KNOWN], 1)]
)
def test_with_nobody_named_or_known_there_is_nothing_to_join(
    names: list[str], known: list[Address], given: int
) -> None:
    assert bool(Bootstrap(names, known, reaches)) == given


def test_a_mistake_in_a_name_is_found_before_anything_starts() -> None:
    with pytest.raises(ValueError, match="localhost"):
        Bootstrap(["localhost"], [], reaches)


async def test_names_are_asked_again_while_nobody_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("net.dht.bootstrap.NAMES_AGAIN", 0.001)
    looks, enough = 0, asyncio.Event()
    moves: list[tuple[int, list[Address]]] = []

    def alone() -> bool:
        nonlocal looks
        looks += 1
        if looks == 10:
            enough.set()
        return looks % 2 == 0  # at every other look somebody is known

    bootstrap = Bootstrap(["localhost:7"], [], lambda one: looks > 3 and reaches(one))
    watching = asyncio.create_task(
        bootstrap.watch(alone, lambda: moves.append((looks, bootstrap.addresses)))
    )
    await enough.wait()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert moves == [(4, [("127.0.0.1", 7)])]


async def test_a_name_that_leads_nowhere_leaves_where_it_has_led() -> None:
    families = [True, False]
    bootstrap = Bootstrap(["localhost:7"], [], lambda address: families[0] and reaches(address))
    assert await bootstrap.resolve()
    families.reverse()
    assert not await bootstrap.resolve()
    assert bootstrap.addresses == [("127.0.0.1", 7)]


async def test_a_bootstrap_node_may_be_named(start_node: StartNode) -> None:
    first = await start_node()
    second = await start_node([first.address.replace("127.0.0.1", "localhost")])
    assert second.contacts == [first.address]


async def test_known_nodes_let_one_join_when_the_bootstrap_node_is_gone(
    start_node: StartNode, tmp_path: Path
) -> None:
    first = await start_node()
    second = await start_node([first.address])
    third = await start_node([first.address])
    assert [peer async for peer in third.lookup(TOPIC)] == []
    kept = KeptContacts(tmp_path / "contacts")
    assert second.address in third.contacts
    kept.save(third.contacts)
    await first.close()
    await third.close()
    known = KeptContacts(tmp_path / "contacts").load()
    again = await start_node([first.address], known=[*known, ("2001:db8::1", 9)])
    assert again.contacts == [second.address]
    assert await again.announce(TOPIC, [HERE]) == 1


async def test_known_nodes_that_are_gone_leave_a_network_to_start(start_node: StartNode) -> None:
    gone = await start_node()
    await gone.close()
    alone = await start_node(known=[parse_address(gone.address)])
    assert alone.contacts == []
