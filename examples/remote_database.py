"""A database of somebody else, queried over the network without downloading it."""

import asyncio

from feedlog import Store
from feedlog_cli.remote_trie import RemoteTrie
from feedlog_cli.trie_hints import TrieHints
from net import Node
from trie import Trie


async def main() -> None:
    with Store.memory() as theirs, Store.memory() as ours:
        words = Trie(theirs.feed("words"), order="key", value_codec="text")
        words.update({f"{n % 26:02}/{n:05}": f"word {n}" for n in range(5_000)})
        async with Node(theirs, host="127.0.0.1") as publisher:
            publisher.extension("trie", TrieHints())  # answers a lookup in one round trip
            await publisher.share(words.feed)
            async with Node(ours, bootstrap=[publisher.address], host="127.0.0.1") as reader:
                remote = await reader.follow(words.feed.key)
                trie = RemoteTrie(remote)
                print(await trie.get("07/00033"))
                print(await trie.get("07/99999", "absent, and that is checked as well"))
                print("round trips:", remote.status().round_trips)
                print("under 03/:", len([key async for key, _ in trie.items("03/")]))
                print(f"held: {remote.status().held} of {remote.status().length} blocks")


asyncio.run(main())
