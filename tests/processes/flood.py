"""A flood of datagrams, as fast as this machine sends them, until killed.

    python -m tests.processes.flood ADDRESS datagrams|quic|flights

`datagrams` are random bytes; `quic` are random bytes that begin as QUIC's packets do;
`flights` are proper first flights of QUIC. All come from a hundred addresses that answer
nothing, as forged ones would. Says once a second how many it has sent.
"""

from __future__ import annotations

import itertools
import json
import random
import secrets
import socket
import sys
import time

from net.addresses import parse_address
from net.carriers.certificate import make_certificate
from net.carriers.quic_endpoint import QuicEndpoint
from net.carriers.quic_packet import QUIC_BYTES

SENDERS = 100
"""Addresses that the flood comes from."""
KINDS = 500
"""Datagrams that are made beforehand; making one costs more than sending it."""


def first_flights(count: int) -> list[bytes]:
    endpoint = QuicEndpoint(
        make_certificate(),
        secret=secrets.token_bytes(32),
        random=secrets.token_bytes,
        accepting=False,
    )
    for number in range(count):
        endpoint.connect(("192.0.2.1", 1 + number), 0.0)
    return [data for _, group in endpoint.datagrams_to_send(0.0) for data in group]


def made(kind: str) -> list[bytes]:
    if kind == "flights":
        return first_flights(KINDS)
    rng = random.Random(1)
    datagrams = [bytearray(rng.randbytes(rng.choice((1, 21, 200, 1200)))) for _ in range(KINDS)]
    if kind == "quic":
        for data in datagrams:
            data[0] = rng.choice(QUIC_BYTES)
    return [bytes(data) for data in datagrams]


def main(where: str, kind: str) -> None:
    address = parse_address(where)
    datagrams = made(kind)
    sockets = []
    for number in range(SENDERS):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.bind((f"127.{1 + number}.{number}.7", 0))
        sockets.append(sender)
    sent, told = 0, time.monotonic()
    print(0, flush=True)
    for sender, data in zip(itertools.cycle(sockets), itertools.cycle(datagrams), strict=False):
        try:
            sender.sendto(data, address)
        except OSError:
            continue  # the port is gone for a moment
        sent += 1
        if sent % 1000 == 0 and time.monotonic() - told >= 1:
            told = time.monotonic()
            print(json.dumps(sent), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
