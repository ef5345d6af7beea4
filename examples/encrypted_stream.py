"""A plain stream to a node by its public key: encrypted, and both sides know who is there."""

import asyncio

from feedlog import Store
from net import Node, SecureStream


async def echo(stream: SecureStream) -> None:
    while data := await stream.read(65536):
        stream.write(data.upper())
        await stream.drain()
    stream.close()


async def main() -> None:
    with Store.memory() as one, Store.memory() as other:
        async with Node(one, host="127.0.0.1") as alice:
            await alice.listen(echo, allow=lambda key: key == bob_key)
            bob_key = other.key_pair("node").public_key
            async with Node(other, bootstrap=[alice.address], host="127.0.0.1") as bob:
                stream = await bob.connect(alice.public_key)
                stream.write(b"hello alice")
                await stream.drain()
                print(await stream.read(65536))
                print("it was alice:", stream.remote_key == alice.public_key)
                stream.close()


asyncio.run(main())
