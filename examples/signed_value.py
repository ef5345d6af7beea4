"""A small value under a key: put by its owner, replaced by newer ones, read by all who know it."""

import asyncio

from feedlog import Store
from net import Node, NotFound, RefusedError


async def main() -> None:
    with Store.memory() as one, Store.memory() as other:
        async with (
            Node(one, host="127.0.0.1") as owner,
            Node(other, bootstrap=[owner.address], host="127.0.0.1") as reader,
        ):
            await owner.put(b"version 7", salt=b"release", seq=7)
            newest = await reader.get(owner.public_key, salt=b"release")
            print(newest.value)

            await owner.put(b"version 8", salt=b"release", seq=8)
            async for value in reader.get(owner.public_key, salt=b"release"):
                print(value.seq, value.value)

            try:
                await owner.put(b"version 6", salt=b"release", seq=6)
            except RefusedError as error:
                print(error)
            try:
                await reader.get(owner.public_key, salt=b"another")
            except NotFound as error:
                print(error)


asyncio.run(main())
