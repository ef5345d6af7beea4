"""How many bytes a second do QUIC connections carry over a link with delay and loss?

Where only UDP gets through there is no TCP to choose. qh3's congestion controller is of Reno's
kind, which takes each loss for a full queue: so the rate falls with loss, and rises with the number
of connections that are used side by side. Counting begins after `SETTLE` seconds.

    python -m benchmarks.delayed_quic
"""

from __future__ import annotations

import asyncio
import json
import sys
from functools import partial
from time import perf_counter

from benchmarks.link import FAR_ADDRESS, NEAR_ADDRESS, Link, why_not
from net.carriers.base import HIGH_WATER
from net.carriers.quic import QuicCarrier, QuicPort
from net.carriers.udp import UdpSocket

ROUND_TRIP = 40.0
SETTLE = 4.0
MEASURE = 8.0
PORT = 4900
CHUNK = bytes(64 << 10)
COMMAND = [sys.executable, "-m", "benchmarks.delayed_quic"]
LOSSES = (0.0, 0.1, 1.0)
CONNECTIONS = (1, 4, 8, 16)


class Source:
    """Fills a carrier whenever it has room."""

    def __init__(self, carrier: QuicCarrier) -> None:
        self._carrier = carrier

    def fill(self) -> None:
        for _ in range(HIGH_WATER // len(CHUNK) + 1):
            self._carrier.write(CHUNK)

    def data_received(self, _data: bytes | bytearray | memoryview) -> None:
        """Begin: the other end has asked for it."""
        self.fill()

    def carrier_ended(self) -> None:
        """Nothing more is asked."""

    def carrier_lost(self, _error: Exception | None) -> None:
        """Nobody reads any more."""

    def pause_writing(self) -> None:
        """What is written waits."""

    def resume_writing(self) -> None:
        self.fill()


class Sink(Source):
    """Counts what arrives."""

    def __init__(self, carrier: QuicCarrier) -> None:
        super().__init__(carrier)
        self.received = 0

    def data_received(self, _data: bytes | bytearray | memoryview) -> None:
        self.received += len(_data)

    def resume_writing(self) -> None:
        """Nothing is written."""


async def send() -> None:
    """Send to whoever connects until killed."""
    udp = await UdpSocket.open(FAR_ADDRESS, port=PORT)
    QuicPort(udp, lambda carrier: carrier.start(Source(carrier)))
    print(json.dumps({"key": "ready"}), flush=True)
    await asyncio.Event().wait()


async def receive(count: int) -> float:
    """Return the MB/s that so many connections together bring."""
    udp = await UdpSocket.open(NEAR_ADDRESS)
    port = QuicPort(udp)
    sinks = []
    for _ in range(count):
        carrier = await port.connect((FAR_ADDRESS, PORT))
        sinks.append(Sink(carrier))
        carrier.start(sinks[-1])
        carrier.write(b"go")
    await asyncio.sleep(SETTLE)
    before, start = sum(sink.received for sink in sinks), perf_counter()
    await asyncio.sleep(MEASURE)
    after = sum(sink.received for sink in sinks)
    rate = (after - before) / (perf_counter() - start) / 1e6
    port.close()
    udp.close()
    return rate


def command_to_receive(count: int, _ready: str) -> list[str]:
    """Return the command line of the end that reads."""
    return [*COMMAND, "receive", str(count)]


def ask() -> None:
    """Print a line for each loss: the rates by number of connections."""
    if (reason := why_not()) is not None:
        sys.exit(f"delayed_quic: not asked: {reason}")
    print("loss %", *(f"{count:>6}" for count in CONNECTIONS), " connections: MB/s", flush=True)
    for loss in LOSSES:
        rates = []
        for count in CONNECTIONS:
            with Link(delay_ms=ROUND_TRIP / 2, loss_percent=loss) as link:
                receiving = partial(command_to_receive, count)
                rates.append(link.ask([*COMMAND, "send"], receiving)["rate"])
        print(f"{loss:6g}", *(f"{rate:6.1f}" for rate in rates), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["send"]:
        asyncio.run(send())
    elif sys.argv[1:2] == ["receive"]:
        print(json.dumps({"rate": asyncio.run(receive(int(sys.argv[2])))}))
    else:
        ask()
