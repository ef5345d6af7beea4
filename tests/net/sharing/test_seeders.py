"""Replicas serve without the writer, and without being able to read what they serve."""

from __future__ import annotations

import asyncio

from feedlog import Store
from feedlog.encryption import OVERHEAD
from tests.net.conftest import StartNode

BLOCKS = [b"secret %d" % i * 20 for i in range(200)]
SECRET = b"k" * 32


async def test_a_seeder_without_the_encryption_key_serves_a_reader_with_it(
    start_node: StartNode,
) -> None:
    router = await start_node()
    writer_store = Store.memory()
    feed = writer_store.feed("log", encryption_key=SECRET)
    feed.extend(BLOCKS)
    writer = await start_node(router, store=writer_store)
    await writer.share(feed)

    seeder = await start_node(router)
    copy = await seeder.follow(feed.key)
    await copy.download()
    await seeder.share(copy.feed)
    for index, block in enumerate(BLOCKS):
        sealed = copy.feed[index]
        assert len(sealed) == len(block) + OVERHEAD
        assert b"secret" not in sealed

    await writer.close()
    writer_store.close()
    reader_store = Store.memory()
    reader_store.feed(key=feed.key, encryption_key=SECRET)
    reader = await start_node(router, store=reader_store)
    remote = await reader.follow(feed.key)
    assert await remote.get(-1) == BLOCKS[-1]
    assert await remote.read(1000, 500) == b"".join(BLOCKS)[1000:1500]
    await remote.download()
    assert list(remote.feed) == BLOCKS
    assert {peer.public_key for peer in remote.status().peers} == {seeder.public_key}


async def test_partial_seeders_complete_each_other(start_node: StartNode) -> None:
    router = await start_node()
    writer_store = Store.memory()
    feed = writer_store.feed("log")
    feed.extend(BLOCKS)
    writer = await start_node(router, store=writer_store)
    await writer.share(feed)
    seeders = []
    for part in (range(120), range(80, 200)):
        seeder = await start_node(router)
        copy = await seeder.follow(feed.key)
        await copy.download(part)
        await seeder.share(copy.feed)
        seeders.append(seeder)
    await writer.close()
    writer_store.close()

    remote = await (await start_node(router)).follow(feed.key)
    async with asyncio.timeout(30):
        await remote.download()
    assert list(remote.feed) == BLOCKS
    assert {peer.public_key for peer in remote.status().peers} == {
        seeder.public_key for seeder in seeders
    }
