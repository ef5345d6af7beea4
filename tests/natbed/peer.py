"""One end of punches: for each line of standard input, a new port, and a report.

    python peer.py NAME OWN-HOST SERVER...       in: port other initiator(0 or 1)   out: JSON

The offers travel in a Noise handshake through the rendezvous process, which cannot read them. What
is found is shown to be good by a Noise stream over QUIC that carries 100 kB there and back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import sys
from collections.abc import Sequence
from random import SystemRandom
from typing import Any

from feedlog.keys import KeyPair
from net.addresses import Address, unpack_address
from net.carriers import Carrier
from net.carriers.punching import PunchPort, Way
from net.carriers.quic import QuicPort
from net.carriers.udp import UdpSocket
from net.errors import ClosedError, PunchError
from net.punch.classify import classify
from net.punch.introduction import Introduction
from net.punch.messages import Offer
from net.stream import accept_stream, open_stream
from tests.natbed.rendezvous import ASK, PORT

MESSAGE = bytes(100_000)


def key_pair(name: str) -> KeyPair:
    return KeyPair.from_seed(name.encode().ljust(32, b"."))


async def observe(udp: UdpSocket, servers: Sequence[str]) -> dict[Address, Address]:
    reports: dict[Address, Address] = {}
    complete = asyncio.Event()

    def received(datagrams: Sequence[tuple[bytes, Address]]) -> None:
        for data, address in datagrams:
            reports[address] = unpack_address(data[1:])
        if len(reports) == len(servers):
            complete.set()

    udp.attach([ASK], received)
    for _ in range(4):
        for host in servers:
            udp.send(bytes([ASK]), (host, PORT))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await complete.wait()
                break
    return reports


class Peer:
    def __init__(self, name: str, host: str, servers: Sequence[str]) -> None:
        self.name = name
        self.host = host
        self.servers = servers

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self.reader, self.writer = await asyncio.open_connection(self.servers[0], PORT)
        self.writer.write(f"{self.name}\n".encode())
        print("READY", flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            port, other, initiator = line.split()
            print(json.dumps(await self.punch(int(port), other, initiator == "1")), flush=True)

    async def introduce(self, other: str, initiator: bool, mine: Offer) -> Introduction:
        if initiator:
            made = Introduction.ask(key_pair(self.name), key_pair(other).public_key, mine)
            self.say(other, made)
            made.finish(bytes.fromhex((await self.reader.readline()).decode()))
        else:
            message = bytes.fromhex((await self.reader.readline()).decode())
            made = Introduction.asked(key_pair(self.name), message)
            made.answer(mine)
            self.say(other, made)
        assert made.remote_key == key_pair(other).public_key
        return made

    def say(self, other: str, introduction: Introduction) -> None:
        self.writer.write(f"{other} {introduction.message.hex()}\n".encode())

    async def punch(self, number: int, other: str, initiator: bool) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        udp = await UdpSocket.open("0.0.0.0", port=number)
        port = PunchPort(udp)
        own = (self.host, number)
        report = classify(await observe(udp, self.servers), [own])
        introduction = await self.introduce(
            other, initiator, Offer(report.kind, report.public, (own,))
        )
        began = loop.time()
        puncher = introduction.puncher(
            rng=SystemRandom(), secret=secrets.token_bytes(32), now=began
        )
        punch = port.start(introduction.keys, puncher)
        found: dict[str, Any] = {"nat": report.kind.name}
        try:
            way = await punch.punched()
            found["ms"] = round(1e3 * (loop.time() - began))
            found["address"], found["local"] = way.address, way.local
            found["carried"] = await self.stream(way, other, initiator)
        except PunchError as error:
            found["reason"] = error.reason
        found["tried"] = list(puncher.tried)
        # The other end may still want an answer: it says when it is done, through the server.
        self.writer.write(f"{other} done\n".encode())
        assert await self.reader.readline() == b"done\n"
        punch.close()
        port.close()
        udp.close()
        return found

    async def stream(self, way: Way, other: str, initiator: bool) -> bool:
        """Run a Noise stream over QUIC over the way, and see a message come back."""
        accepted: asyncio.Future[Carrier] = asyncio.get_running_loop().create_future()
        quic = QuicPort(way.udp, accepted.set_result)
        try:
            if initiator:
                carrier = await quic.connect(way.address)
                stream = await open_stream(
                    carrier, key_pair(self.name), key_pair(other).public_key, protocol="test"
                )
                stream.write(MESSAGE)
                return await stream.readexactly(len(MESSAGE)) == MESSAGE
            stream = await accept_stream(await accepted, key_pair(self.name))
            stream.write(await stream.readexactly(len(MESSAGE)))
            return await stream.read() == b""  # until the initiator has had it and closed
        except ClosedError:
            return not initiator
        finally:
            quic.close()


if __name__ == "__main__":
    asyncio.run(Peer(sys.argv[1], sys.argv[2], sys.argv[3:]).run())
