"""Tells each who asks by UDP how it is seen, and passes lines between two who connect by TCP.

python rendezvous.py HOST...       the first also listens on TCP; prints READY
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from net.addresses import Address, pack_address
from net.carriers.udp import UdpSocket

PORT = 7000
ASK = 0x3F
"""First byte of what is no protocol's on the shared port."""


async def main(hosts: Sequence[str]) -> None:
    for host in hosts:
        udp = await UdpSocket.open(host, port=PORT)

        def answer(datagrams: Sequence[tuple[bytes, Address]], udp: UdpSocket = udp) -> None:
            for _, address in datagrams:
                udp.send(bytes([ASK]) + pack_address(address), address)

        udp.attach([ASK], answer)
    writers: dict[str, asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = (await reader.readline()).decode().strip()
        writers[name] = writer
        while line := await reader.readline():
            other, _, rest = line.partition(b" ")
            writers[other.decode()].write(rest)

    server = await asyncio.start_server(serve, hosts[0], PORT)
    print("READY", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
