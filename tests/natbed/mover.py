"""One end of a QUIC connection whose addresses change under it.

python mover.py serve            echoes; says "there" when it listens, ends with its input
python mover.py visit HOST       for each line of its input, sends it and says the echo
"""

from __future__ import annotations

import asyncio
import sys

from net.carriers.quic import QuicCarrier, QuicPort
from net.carriers.udp import UdpSocket
from tests.reference.receivers import Recording

PORT = 4900
EVERYWHERE = "0.0.0.0"


class Echo(Recording):
    def __init__(self, carrier: QuicCarrier) -> None:
        super().__init__()
        self._carrier = carrier

    def data_received(self, data: bytes | bytearray | memoryview) -> None:
        self._carrier.write(bytes(data))


async def serve() -> None:
    udp = await UdpSocket.open(EVERYWHERE, port=PORT)
    port = QuicPort(udp, lambda carrier: carrier.start(Echo(carrier)))
    print("there", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    port.close()
    udp.close()


async def visit(host: str) -> None:
    udp = await UdpSocket.open(EVERYWHERE)
    port = QuicPort(udp)
    carrier = await port.connect((host, PORT))
    heard = Recording()
    carrier.start(heard)
    expected = b""
    while line := await asyncio.to_thread(sys.stdin.readline):
        expected += line.encode()
        carrier.write(line.encode())
        await heard.size(len(expected))
        assert heard.received == expected
        print(f"heard {line.strip()} by {carrier.description}", flush=True)
    port.close()
    udp.close()


asyncio.run(serve() if sys.argv[1] == "serve" else visit(sys.argv[2]))
