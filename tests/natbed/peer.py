"""One end of punches: for each line of standard input, a new port, and a report.

    python peer.py NAME OWN-HOST SERVER...       in: port other initiator(0 or 1)   out: JSON

The offers travel in a Noise handshake through the rendezvous process, which cannot read them.
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
from net.carriers.punching import Punch, PunchPort
from net.carriers.udp import UdpSocket
from net.errors import PunchError
from net.noise.handshake import Handshake
from net.punch.classify import NatClass, classify
from net.punch.hashing import punch_keys
from net.punch.messages import Offer, decode_offer, encode_offer
from net.punch.puncher import Puncher
from tests.natbed.rendezvous import ASK, PORT

HELLO = 0x3E
"""First byte of the datagrams that show that a way carries what it is for."""


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

    async def exchange(self, other: str, initiator: bool, mine: Offer) -> tuple[Handshake, Offer]:
        handshake = Handshake(
            key_pair(self.name),
            initiator=initiator,
            remote_key=key_pair(other).public_key if initiator else None,
            protocol="feedlog/punch/1" if initiator else "",
            extra=encode_offer(mine) if initiator else b"",
        )
        if initiator:
            self.say(other, handshake)
        handshake.receive_data(bytes.fromhex((await self.reader.readline()).decode()))
        if not initiator:
            handshake.accept(encode_offer(mine))
            self.say(other, handshake)
        assert handshake.peer is not None
        return handshake, decode_offer(handshake.peer.extra)

    def say(self, other: str, handshake: Handshake) -> None:
        self.writer.write(f"{other} {handshake.data_to_send().hex()}\n".encode())

    async def punch(self, number: int, other: str, initiator: bool) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        udp = await UdpSocket.open("0.0.0.0", port=number)
        port = PunchPort(udp)
        own = (self.host, number)
        report = classify(await observe(udp, self.servers), [own])
        mine = Offer(report.kind, report.public, (own,))
        handshake, theirs = await self.exchange(other, initiator, mine)
        began = loop.time()
        assert handshake.result is not None
        result = handshake.result
        keys = punch_keys(result.send_key, result.receive_key, result.handshake_hash)
        puncher = Puncher(
            keys,
            mine,
            theirs,
            initiator=initiator,
            rng=SystemRandom(),
            secret=secrets.token_bytes(32),
            now=loop.time(),
        )
        punch = port.start(keys, puncher)
        found: dict[str, Any] = {"nat": NatClass(mine.nat).name}
        try:
            way = await punch.punched()
            found["ms"] = round(1e3 * (loop.time() - began))
            found["address"], found["local"] = way.address, way.local
            found["carried"] = await self.hello(punch)
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

    async def hello(self, punch: Punch) -> bool:
        """Send datagrams of another protocol over the way until one of the peer's arrives."""
        arrived = asyncio.Event()
        way = punch.way
        way.udp.attach([HELLO], lambda _: arrived.set())
        for _ in range(50):
            way.udp.send(bytes([HELLO]), way.address)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await arrived.wait()
                    break
        way.udp.send(bytes([HELLO]), way.address)
        return arrived.is_set()


if __name__ == "__main__":
    asyncio.run(Peer(sys.argv[1], sys.argv[2], sys.argv[3:]).run())
