"""TCP from a port that is known beforehand; tests/natbed/test_crossing.py has two such ends."""

from __future__ import annotations

import asyncio
import socket

import pytest

from net.addresses import Address
from net.carriers import Carrier, listen_tcp
from net.carriers import simultaneous as module
from net.carriers.simultaneous import MAX_ATTEMPTS, SimultaneousOpen
from net.carriers.tcp import bound_socket
from net.errors import ConnectError, ListenError
from tests.reference.receivers import Recording


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MIN_PAUSE", 0.0)


def silent_port() -> socket.socket:
    """Return a socket that has a port and does not listen, so that a SYN is refused."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


async def test_syns_that_cross_make_a_connection() -> None:
    """A port that connects to itself sends a SYN and gets one: a simultaneous open by the book."""
    opening = SimultaneousOpen.reserve("127.0.0.1")
    carrier = await opening.connect(opening.address)
    opening.close()
    assert carrier.description == f"punched tcp 127.0.0.1:{opening.port}"
    seen = Recording()
    carrier.start(seen)
    carrier.write(b"to myself")
    await seen.size(9)
    assert seen.received == b"to myself"
    carrier.close()
    await seen.call("lost")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_the_connection_comes_from_the_port_that_was_told(host: str) -> None:
    accepted: asyncio.Future[Carrier] = asyncio.get_running_loop().create_future()
    listener = await listen_tcp(accepted.set_result, host)
    opening = SimultaneousOpen.reserve(host)
    near = await opening.connect(listener.addresses[0])
    opening.close()
    far = await accepted
    assert far.address == (host, opening.port)
    listener.close()
    near.abort()
    far.abort()


async def test_who_is_refused_tries_again() -> None:
    with silent_port() as far:
        opening = SimultaneousOpen.reserve("127.0.0.1")
        connecting = asyncio.ensure_future(opening.connect(far.getsockname()))
        while opening._socket.fileno() != -1:  # noqa: ASYNC110 - closed when it was refused
            await asyncio.sleep(0)
        far.listen()
        carrier = await connecting
        opening.close()
        visitor, address = far.accept()
        visitor.close()
    assert address == ("127.0.0.1", opening.port)
    carrier.abort()


async def test_so_many_attempts_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Address] = []
    bind = bound_socket

    def bound(address: Address) -> socket.socket:
        made.append(address)
        return bind(address)

    monkeypatch.setattr(module, "bound_socket", bound)
    with silent_port() as far:
        opening = SimultaneousOpen.reserve("127.0.0.1")
        port = far.getsockname()[1]
        with pytest.raises(ConnectError, match=f"punched tcp 127.0.0.1:{port}: .*failed"):
            await opening.connect(far.getsockname())
    assert made == [("127.0.0.1", 0)] + MAX_ATTEMPTS * [opening.address]
    opening.close()


async def test_the_window_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WINDOW", 0.0)
    opening = SimultaneousOpen.reserve("127.0.0.1")
    with silent_port() as far, pytest.raises(ConnectError, match="no answer in time"):
        await opening.connect(far.getsockname())
    opening.close()


async def test_a_host_that_is_not_ours_is_named() -> None:
    with pytest.raises(ListenError, match=r"192\.0\.2\.1"):
        SimultaneousOpen.reserve("192.0.2.1")
