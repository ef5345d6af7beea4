"""Listening sockets of this machine, and what becomes of them when the system takes them away.

Needs root and `ss`, as the test bed of real routers does.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
import struct
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from net.carriers import TcpListener, connect_tcp, listen_tcp
from net.carriers.tcp import TcpCarrier
from net.errors import ConnectError, ListenError

HERE = "127.0.0.1"


class Door:
    """A listener, and those who have come."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[TcpCarrier] = asyncio.Queue()
        self.listener: TcpListener | None = None

    async def open(self, *hosts: str) -> int:
        self.listener = await listen_tcp(self.came.put_nowait, hosts or HERE)
        return self.listener.addresses[0][1]

    async def lets_in(self, host: str, port: int) -> None:
        carrier = await connect_tcp(host, port)
        carrier.abort()
        (await self.came.get()).abort()


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    made = Door()
    yield made
    assert made.listener is not None
    made.listener.close()
    made.listener.close()


def kill(port: int) -> None:
    """Take the listening sockets of a port away, as a network manager does."""
    killed = subprocess.run(
        ("ss", "--kill", "-ltn", "sport", "=", f":{port}"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert f":{port} " in killed.stdout


def highest_file() -> int:
    return max(int(file.name) for file in Path("/dev/fd").iterdir())


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


async def until_said(caplog: pytest.LogCaptureFixture, words: str) -> None:
    while not any(words in line for line in said(caplog)):  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.01)


async def test_a_port_in_use_is_named(door: Door) -> None:
    port = await door.open()
    with pytest.raises(ListenError, match=rf"tcp 127\.0\.0\.1:{port}: .*in use"):
        await listen_tcp(door.came.put_nowait, HERE, port)


async def test_all_hosts_or_none(door: Door) -> None:
    await door.open(HERE, "::1")
    assert door.listener is not None
    for host, port in door.listener.addresses:
        await door.lets_in(host, port)
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        port = probe.getsockname()[1]
    with pytest.raises(ListenError, match="cannot listen on tcp"):
        await listen_tcp(door.came.put_nowait, [HERE, "203.0.113.254"], port)
    with pytest.raises(ConnectError):
        await connect_tcp(HERE, port)


async def test_a_socket_that_was_killed_is_opened_anew_on_its_port(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    faults: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
    port = await door.open(HERE, "::1")
    caplog.set_level(logging.WARNING)
    began = time.process_time()
    kill(port)
    with pytest.raises(ConnectError):
        await connect_tcp(HERE, port)
    await until_said(caplog, "listens again")
    assert time.process_time() - began < 0.5, "it has not been looked at all the time"
    await door.lets_in(HERE, port)
    assert said(caplog) == [
        f"tcp 127.0.0.1:{port} is opened anew: it has failed: [Errno 22] Invalid argument",
        f"tcp 127.0.0.1:{port} listens again",
    ]
    assert faults == []


async def test_a_port_that_somebody_else_has_meanwhile_is_waited_for(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    port = await door.open()
    caplog.set_level(logging.WARNING)
    kill(port)
    await until_said(caplog, "opened anew")
    with socket.socket() as other:
        other.bind((HERE, port))
        await until_said(caplog, f"tcp 127.0.0.1:{port} cannot be opened anew: [Errno 98]")
    await until_said(caplog, "listens again")
    await door.lets_in(HERE, port)


async def test_without_room_for_more_files_those_who_wait_are_let_in_later(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    port = await door.open()
    caplog.set_level(logging.WARNING)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held: list[int] = []
    with socket.create_connection((HERE, port)):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest_file(), hard))
            while True:
                try:
                    held.append(os.dup(0))
                except OSError:
                    break
            await until_said(caplog, "accepts nobody for a moment")
        finally:
            for number in held:
                os.close(number)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        (await door.came.get()).abort()
    await door.lets_in(HERE, port)


async def test_connections_that_are_gone_before_they_are_accepted(door: Door) -> None:
    port = await door.open()
    for _ in range(100):
        with socket.create_connection((HERE, port)) as hasty:
            hasty.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    for _ in range(100):
        (await door.came.get()).abort()
    await door.lets_in(HERE, port)


async def test_a_listener_that_is_closed_is_not_opened_anew(door: Door) -> None:
    port = await door.open()
    assert door.listener is not None
    kill(port)
    await asyncio.sleep(0)
    door.listener.close()
    await asyncio.sleep(0)
    assert door.listener.addresses == [(HERE, port)]
    with pytest.raises(ConnectError):
        await connect_tcp(HERE, port)
