"""Figures over HTTP: in the format that Prometheus reads, and at no great cost to whom it asks."""

from __future__ import annotations

import asyncio

import pytest

from feedlog_cli.errors import CommandError
from feedlog_cli.metrics import MAX_CLIENTS, MAX_REQUEST, Metric, MetricsServer, render
from net.addresses import parse_address

SOME = [
    Metric("a_total", "Things.", "counter", {"two": 2, 'o"n\\e\n': 1.5}, "kind"),
    Metric("b", "Others.", "gauge", 7),
]
TEXT = r"""# HELP a_total Things.
# TYPE a_total counter
a_total{kind="o\"n\\e\n"} 1.5
a_total{kind="two"} 2
# HELP b Others.
# TYPE b gauge
b 7
"""


async def ask(server: MetricsServer, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*parse_address(server.address))
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()


def serving() -> MetricsServer:
    return MetricsServer(("127.0.0.1", 0), lambda: SOME)


def test_the_text() -> None:
    assert render(SOME) == TEXT


async def test_a_page() -> None:
    async with serving() as server:
        answer = await ask(server, b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Content-Length: %d\r\n" % len(body) in head
        assert body.decode() == TEXT
        assert (await ask(server, b"HEAD /metrics?x HTTP/1.1\r\n\r\n")).startswith(head)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
        (b"\r\n\r\n", b"405"),
    ],
)
async def test_nothing_else_is_served(request_: bytes, status: bytes) -> None:
    async with serving() as server:
        assert (await ask(server, request_)).split()[1] == status


async def test_too_much_is_cut_off() -> None:
    async with serving() as server:
        assert await ask(server, b"GET /" + bytes(2 * MAX_REQUEST)) == b""


async def test_those_who_say_nothing_keep_nobody_else_out_for_long() -> None:
    async with serving() as server:
        address = parse_address(server.address)
        silent = [await asyncio.open_connection(*address) for _ in range(MAX_CLIENTS)]
        assert await asked(server) == b""
        for _, writer in silent:
            writer.close()
        while not (await asked(server)).startswith(b"HTTP/1.1 200"):
            pass


async def asked(server: MetricsServer) -> bytes:
    try:
        return await ask(server, b"GET /metrics HTTP/1.1\r\n\r\n")
    except ConnectionError:
        return b""


async def test_an_address_in_use() -> None:
    async with serving() as server:
        with pytest.raises(CommandError, match="no metrics on"):
            await MetricsServer(parse_address(server.address), list).start()
