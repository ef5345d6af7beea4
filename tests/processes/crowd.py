"""A crowd that comes at once: many handshakes with one node, each under a key of its own.

    python -m tests.processes.crowd ADDRESS NODE-KEY tcp|quic COUNT ATTEMPTS

Says how many came in as a line of JSON, and stays until its standard input ends. Whoever is not let
in tries again after a growing pause, as nodes do, but not for ever.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys

from feedlog import KeyPair
from net.addresses import parse_address
from net.carriers.quic import QuicPort
from net.carriers.tcp import connect_tcp
from net.carriers.udp import UdpSocket
from net.errors import NetError
from net.secure.opening import open_stream
from net.secure.stream import SecureStream
from net.sharing.connection import PROTOCOL


async def main(where: str, key: str, how: str, count: int, attempts: int) -> None:
    address, node = parse_address(where), bytes.fromhex(key)
    udp = await UdpSocket.open("127.0.0.1")
    port = QuicPort(udp)
    streams: list[SecureStream] = []
    failures: list[str] = []

    async def come() -> None:
        keys = KeyPair.generate()
        for attempt in range(attempts):
            try:
                way = connect_tcp(*address) if how == "tcp" else port.connect(address)
                streams.append(await open_stream(await way, keys, node, protocol=PROTOCOL))
            except NetError as error:
                failures.append(str(error))
                await asyncio.sleep(random.uniform(0, min(8, 2**attempt / 4)))
            else:
                return

    await asyncio.gather(*(come() for _ in range(count)))
    print(json.dumps([len(streams), len(failures), failures[-1:]]), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for stream in streams:
        stream.abort()
    port.close()
    udp.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
