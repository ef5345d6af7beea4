"""Small values of owners of keys, put and looked for by nodes on loopback."""

from __future__ import annotations

import pytest

from feedlog import KeyPair
from net.errors import ClosedError, NotFound, RefusedError
from net.node import Node
from tests.net.conftest import StartNode


@pytest.fixture
async def pair(start_node: StartNode) -> tuple[Node, Node]:
    """A node that starts a network, and one that has joined it."""
    first = await start_node()
    return first, await start_node(first)


async def test_awaited_it_is_the_newest_and_iterated_all_that_is_found(
    pair: tuple[Node, Node],
) -> None:
    owner, reader = pair
    assert await owner.put(b"the latest release is 7", salt=b"release") == 1
    newest = await reader.get(owner.public_key, salt=b"release")
    assert newest.value == b"the latest release is 7"
    assert (newest.public_key, newest.salt) == (owner.public_key, b"release")
    assert await owner.put(b"8", salt=b"release", seq=newest.seq + 1, cas=newest.seq) == 1
    search = reader.get(owner.public_key, salt=b"release")
    for _ in range(2):
        found = [value async for value in search]
        assert found[-1].value == b"8"
        assert [value.seq for value in found] == sorted({value.seq for value in found})
    assert (await search).value == b"8"


async def test_a_key_of_ones_own(pair: tuple[Node, Node]) -> None:
    here, there = pair
    key_pair = KeyPair.generate()
    await here.put(b"one", key_pair=key_pair, seq=1)
    await there.put(b"two", key_pair=key_pair, seq=2)
    assert (await here.get(key_pair.public_key)).value == b"two"
    with pytest.raises(RefusedError, match="another value with seq 2 is held"):
        await here.put(b"another two", key_pair=key_pair, seq=2)


async def test_what_nobody_has_put_is_not_found(pair: tuple[Node, Node]) -> None:
    here, there = pair
    await here.put(b"value")
    with pytest.raises(NotFound, match=r"no value of .* with that salt \(tried: the DHT\)"):
        await there.get(here.public_key, salt=b"another")
    assert [value async for value in there.get(there.public_key)] == []


async def test_who_has_no_network_is_told_so(start_node: StartNode) -> None:
    lonely = await start_node(bootstrap=["127.0.0.1:9"])
    assert await lonely.put(b"value") == 0
    with pytest.raises(NotFound, match="no bootstrap node answered"):
        await lonely.get(bytes(32))


async def test_misuse_names_value_and_limit(pair: tuple[Node, Node]) -> None:
    node, other = pair
    for options, limit in (
        ({"value": bytes(513)}, "at most 512 bytes, not 513"),
        ({"value": b"", "salt": bytes(33)}, "at most 32 bytes, not 33"),
        ({"value": b"", "seq": -1}, r"lies in 0\.\.2\*\*63-1, not -1"),
        ({"value": b"", "cas": 1 << 63}, r"lies in 0\.\.2\*\*63-1, not 9223372036854775808"),
    ):
        with pytest.raises(ValueError, match=limit):
            await node.put(**options)
    with pytest.raises(ValueError, match="32 bytes, not 3"):
        await node.get(b"key")
    with pytest.raises(ValueError, match="at most 32 bytes, not 33"):
        await node.get(node.public_key, salt=bytes(33))
    await other.close()
    with pytest.raises(ClosedError):
        other.get(node.public_key)


async def test_without_a_dht_there_are_no_values(start_node: StartNode) -> None:
    dht = await start_node()
    assert dht._parts is not None
    node = await start_node(bootstrap=[], discovery=dht._parts.network.discovery)
    with pytest.raises(RuntimeError, match="the DHT keeps values"):
        await node.put(b"value")
    with pytest.raises(RuntimeError, match="the DHT keeps values"):
        node.get(bytes(32))
