"""Listening for TCP connections, also after the system has taken a listening socket away.

Network managers kill the sockets of a network that goes (Android, `ss --kill`). A listening
socket that was killed says so at every turn of the event loop, and accepts nothing again:
asyncio's own server would spin on it. Here it is closed and opened anew on the same port, which
others have been told, at growing intervals while that is not to be had.

Invariant: a socket that fails costs `REOPEN_FIRST` seconds at least before it is looked at again.
Must not know what is said over a connection. `OSError` becomes `ListenError` here.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Sequence

from net.addresses import Address
from net.carriers.tcp import TcpCarrier, bound_socket, format_address
from net.errors import ListenError

BACKLOG = 512
"""Connections that the kernel holds for us until we accept them."""

MAX_ACCEPTED = 64
"""Connections that are accepted in one turn of the loop, before other work gets its own."""

REOPEN_FIRST = 1.0
REOPEN_LAST = 30.0
"""Seconds before a listening socket is opened anew: doubling while that fails."""

OUT_OF_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""This process or machine has no room for the connection now; the socket is as good as before."""

OF_ONE_CONNECTION = {
    errno.ECONNABORTED, errno.EPROTO, errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.EPERM,
    errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ETIMEDOUT,
}  # fmt: skip
"""What became of a connection before it was accepted, which Linux reports in its place."""

log = logging.getLogger(__name__)


class TcpListener:
    """Listening sockets; each connection goes to the callback that `listen_tcp` was given."""

    def __init__(
        self, sockets: Sequence[socket.socket], accepted: Callable[[TcpCarrier], None]
    ) -> None:
        self._accepted = accepted
        self._loop = asyncio.get_running_loop()
        self._sockets: dict[Address, socket.socket | None] = {}
        """None for an address that is not listened on at the moment."""
        self._timers: dict[Address, asyncio.TimerHandle] = {}
        self._welcoming: set[asyncio.Task[None]] = set()
        for sock in sockets:
            self._serve(sock.getsockname()[:2], sock)

    @property
    def addresses(self) -> list[Address]:
        """Host and port of each socket."""
        return list(self._sockets)

    def close(self) -> None:
        """Accept no more; connections that exist go on. Closing twice is harmless."""
        for timer in self._timers.values():
            timer.cancel()
        for sock in self._sockets.values():
            if sock is not None:
                self._loop.remove_reader(sock.fileno())
                sock.close()
        self._sockets = dict.fromkeys(self._sockets)

    def _serve(self, address: Address, sock: socket.socket) -> None:
        self._sockets[address] = sock
        self._loop.add_reader(sock.fileno(), self._acceptable, address, sock)

    def _acceptable(self, address: Address, sock: socket.socket) -> None:
        for _ in range(MAX_ACCEPTED):
            try:
                connection, _ = sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno not in OF_ONE_CONNECTION:
                    self._failed(address, sock, error)
                    return
            else:
                connection.setblocking(False)
                task = self._loop.create_task(self._welcome(connection))
                self._welcoming.add(task)
                task.add_done_callback(self._welcoming.discard)

    async def _welcome(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._carrier, connection)
        except OSError as error:
            log.debug("< a connection was gone at once: %s", error)
            connection.close()

    def _carrier(self) -> TcpCarrier:
        return TcpCarrier(self._accepted)

    def _failed(self, address: Address, sock: socket.socket, error: OSError) -> None:
        self._loop.remove_reader(sock.fileno())
        if error.errno in OUT_OF_ROOM:
            log.warning("tcp %s accepts nobody for a moment: %s", format_address(address), error)
            again = self._loop.call_later(REOPEN_FIRST, self._serve, address, sock)
        else:
            log.warning("tcp %s is opened anew: it has failed: %s", format_address(address), error)
            sock.close()
            self._sockets[address] = None
            again = self._loop.call_later(REOPEN_FIRST, self._reopen, address, REOPEN_FIRST)
        self._timers[address] = again

    def _reopen(self, address: Address, waited: float) -> None:
        try:
            sock = _listening(address)
        except OSError as error:
            pause = min(2 * waited, REOPEN_LAST)
            where = format_address(address)
            log.warning("tcp %s cannot be opened anew: %s; again in %g s", where, error, pause)
            self._timers[address] = self._loop.call_later(pause, self._reopen, address, pause)
        else:
            log.warning("tcp %s listens again", format_address(address))
            self._serve(address, sock)


async def listen_tcp(
    accepted: Callable[[TcpCarrier], None], hosts: str | Sequence[str], port: int = 0
) -> TcpListener:
    """Listen on hosts, which are numbers, and a port; 0 takes any. Raises `ListenError`."""
    wanted = [hosts] if isinstance(hosts, str) else hosts
    with contextlib.ExitStack() as stack:
        try:
            sockets = [stack.enter_context(_listening((host, port))) for host in wanted]
        except OSError as error:
            where = ", ".join(format_address((host, port)) for host in wanted)
            raise ListenError(f"cannot listen on tcp {where}: {error.strerror}") from error
        stack.pop_all()
    return TcpListener(sockets, accepted)


def _listening(address: Address) -> socket.socket:
    sock = bound_socket(address)
    try:
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock
