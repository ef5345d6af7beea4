from __future__ import annotations

import asyncio
import socket

import pytest

from net.carriers import Carrier, connect_tcp, listen_tcp
from net.carriers.tcp import (
    IDLE,
    PROBE_EVERY,
    PROBES,
    READ_BUFFER,
    SMALL_READ_BUFFER,
    TcpCarrier,
    format_address,
)
from net.errors import ConnectError
from tests.reference.receivers import Recording


def nobody(carrier: TcpCarrier) -> None:
    raise AssertionError(f"{carrier.description} came")


def test_addresses_for_people() -> None:
    assert format_address(("192.0.2.1", 80)) == "192.0.2.1:80"
    assert format_address(("2001:db8::1", 80, 0, 0)) == "[2001:db8::1]:80"
    assert format_address(None) == "unknown"


async def test_a_port_without_listener_is_named() -> None:
    listener = await listen_tcp(nobody, "127.0.0.1")
    port = listener.addresses[0][1]
    listener.close()
    with pytest.raises(ConnectError, match=f"tcp 127.0.0.1:{port}") as caught:
        await connect_tcp("127.0.0.1", port)
    assert caught.value.tried == (f"tcp 127.0.0.1:{port}",)


async def test_both_ends_ask_whether_the_other_is_there() -> None:
    accepted: asyncio.Future[TcpCarrier] = asyncio.get_running_loop().create_future()
    listener = await listen_tcp(accepted.set_result, "127.0.0.1")
    left = await connect_tcp(*listener.addresses[0])
    assert left.description == f"tcp 127.0.0.1:{listener.addresses[0][1]}"
    for carrier in (left, await accepted):
        assert carrier._transport is not None
        sock = carrier._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == IDLE
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == PROBE_EVERY
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == PROBES
        carrier.abort()
    listener.close()


async def test_an_idle_connection_holds_a_small_buffer_and_a_busy_one_a_large() -> None:
    accepted: asyncio.Future[TcpCarrier] = asyncio.get_running_loop().create_future()
    listener = await listen_tcp(accepted.set_result, "127.0.0.1")
    left = await connect_tcp(*listener.addresses[0])
    right = await accepted
    listener.close()
    seen = Recording()
    left.start(Recording())
    right.start(seen)
    assert len(right._buffer) == SMALL_READ_BUFFER
    left.write(bytes(10 * SMALL_READ_BUFFER))
    await seen.size(10 * SMALL_READ_BUFFER)
    assert len(right._buffer) == READ_BUFFER
    left.close()
    await seen.call("ended")
    right.close()
    await seen.call("lost")


async def test_a_connection_lost_before_start_is_told_at_start() -> None:
    accepted: asyncio.Future[Carrier] = asyncio.get_running_loop().create_future()
    listener = await listen_tcp(accepted.set_result, "127.0.0.1")
    left = await connect_tcp(*listener.addresses[0])
    right = await accepted
    listener.close()
    right.abort()
    await asyncio.sleep(0)
    seen = Recording()
    right.start(seen)
    await seen.call("lost")
    left.abort()
