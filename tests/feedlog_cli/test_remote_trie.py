from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from feedlog import Store
from feedlog_cli import remote_trie
from feedlog_cli.finding import choose
from feedlog_cli.remote_trie import RemoteTrie
from feedlog_cli.trie_hints import EXTENSION, TrieHints
from feedlog_cli.tries import get_remote
from net import Node
from tests.reference.command_line import Network, Run
from trie import Trie

KEYS = {f"{a}/{b:02}": f"{a}{b}" for a in "xyz" for b in range(30)}


@pytest.fixture
def trie() -> Trie:
    trie = Trie(Store.memory().feed("trie"), order="key", value_codec="text")
    trie.update(KEYS)
    return trie


@pytest.fixture(params=["hints", "no hints"])
async def remote(trie: Trie, request: pytest.FixtureRequest) -> AsyncIterator[RemoteTrie]:
    """The trie as a node of another store sees it; its peer may lack the extension."""
    async with AsyncExitStack() as stack:
        server = Store.memory()
        feed = server.feed(key=trie.feed.key)
        feed.apply(trie.feed.prove(blocks=range(trie.feed.length)))
        sharing = await stack.enter_async_context(Node(server, host="127.0.0.1"))
        if request.param == "hints":
            sharing.extension(EXTENSION, TrieHints())
        await sharing.share(feed)
        node = await stack.enter_async_context(
            Node(Store.memory(), bootstrap=[sharing.address], host="127.0.0.1")
        )
        yield RemoteTrie(await node.follow(feed.key), timeout=20)


async def test_values_and_absence(remote: RemoteTrie) -> None:
    assert await remote.get("x/07") == "x7"
    assert await remote.get("x/99") is None
    assert await remote.get("x/99", "nothing") == "nothing"
    entry = await remote.entry("z/29")
    assert entry is not None
    assert (entry.key, entry.value) == ("z/29", "z29")
    assert (await remote.header()).order == "key"
    assert sum(map(len, remote.remote.feed.have)) < len(KEYS) // 2, "only what was needed"


@pytest.mark.parametrize("remote", ["hints"], indirect=True)
async def test_a_cold_lookup_is_one_round_trip(remote: RemoteTrie) -> None:
    await remote.get("y/15")
    assert remote.remote.status().round_trips == 1
    await remote.get("y/15")
    assert remote.remote.status().round_trips == 1, "what is here costs none"


async def test_listings_in_pages(remote: RemoteTrie, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_trie, "PAGE", 7)
    assert [item async for item in remote.items()] == sorted(KEYS.items())
    under = sorted(item for item in KEYS.items() if item[0].startswith("y/"))
    assert [item async for item in remote.items("y/")] == under
    assert [item async for item in remote.items("y/", reverse=True)] == under[::-1]
    names = [key async for key, _ in remote.items(recursive=False)]
    assert names == ["x/", "y/", "z/"]


async def test_the_command_gets_a_key_that_is_no_text() -> None:
    with Store.memory() as theirs, Store.memory() as ours:
        trie = Trie(theirs.feed("odd"), key_codec="bytes")
        trie[b"k"] = b"v"
        async with Node(theirs, host="127.0.0.1") as sharing:
            sharing.extension(EXTENSION, TrieHints())
            await sharing.share(trie.feed)
            feed = ours.feed(key=trie.feed.key)
            finding = choose([sharing.address], mainline=False)
            found = await get_remote(ours, feed, "k", None, finding, 20)
            assert found == b"v"


async def test_an_old_version(remote: RemoteTrie) -> None:
    version = await remote.version()
    assert version == len(KEYS) + 1
    old = remote.at(version)
    assert await old.version() == version
    assert await old.get("x/00") == "x0"


def test_from_the_command_line(process: Run, network: Network) -> None:
    where = ("-b", network.bootstrap)
    value = process("trie", "get", network.directory, "README", *where).raw
    assert json.loads(value)["size"] == 8
    assert process("trie", "ls", network.directory, *where).out == "README\nempty\nsrc/\n"
    listed = process("trie", "ls", network.directory, "src/", "--json", *where).json
    assert set(listed) == {"src/large", "src/small"}
    missing = process("trie", "get", network.directory, "nix", *where)
    assert missing.complaint == f"{network.directory} has no key 'nix'"


def test_blocks_from_the_command_line(process: Run, network: Network) -> None:
    where = ("-b", network.bootstrap)
    assert process("get", network.log, 7, *where).raw == b"entry 7"
    assert process("cat", network.log, "--range", "3:5", *where).raw == b"entry 3\nentry 4\n"
    assert process("info", network.log, "--json").json["held"] >= 3
    assert process("cat", "log", "--live").code != 0
