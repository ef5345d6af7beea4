"""A node of the Mainline DHT: libtorrent with all but its DHT turned off.

libtorrent runs threads and a UDP port of its own. It tells that something has happened by a
byte on a socket, so that everything else is done in the event loop.

Invariant: whoever waits here has a deadline. Must not know what is in an item.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from typing import TypeVar

import libtorrent as lt

from feedlog.keys import KeyPair
from net.addresses import Address, is_numeric, parse_address, reach
from net.errors import ClosedError, DeadlineError
from net.mainline.hashing import expanded_secret

PUBLIC = (
    "dht.libtorrent.org:25401",
    "router.bittorrent.com:6881",
    "dht.transmissionbt.com:6881",
)
"""Nodes that strangers run for everybody to begin with."""

EVERYWHERE = ("0.0.0.0:0", "[::]:0")
LOOPBACK = ("127.0.0.1:0",)
"""Where to listen for a network on this machine: libtorrent's sockets for everywhere leave
loopback out."""

JOIN_TIMEOUT = 5.0
"""Seconds that a first question waits for the network: before it, libtorrent would drop it."""
ASK_FOR = (6.0, 9.0)
"""Seconds for an item, and for it again: a walk through the public network takes one to five."""
PUT_TIMEOUT = 30.0

UPLOAD_LIMIT = 64_000
"""Bytes a second: a lookup sends some hundred packets. libtorrent's 8,000 would spread them out."""

Place = tuple[bytes, bytes]
"""A public key and a salt: where an item is."""

T = TypeVar("T")

_END = object()
"""Stands behind the last value of an item."""


class MainlineSession:
    """libtorrent's DHT, for items. `private` allows networks on one machine or a few addresses."""

    def __init__(
        self, bootstrap: Sequence[str], interfaces: Sequence[str], *, private: bool
    ) -> None:
        for name in bootstrap:
            parse_address(name)
        self.external: str | None = None
        """Our address as the nodes see it."""
        self._loop = asyncio.get_running_loop()
        self._gets: defaultdict[Place, list[asyncio.Queue[object]]] = defaultdict(list)
        self._puts: defaultdict[Place, list[asyncio.Future[int]]] = defaultdict(list)
        self._joined = asyncio.Event()
        if not bootstrap:
            self._joined.set()
        self._ours, theirs = socket.socketpair()
        self._theirs = theirs
        for sock in (self._ours, theirs):
            sock.setblocking(False)
        self._session: lt.session | None = lt.session(_settings(bootstrap, interfaces, private))
        self._loop.add_reader(self._ours.fileno(), self._alerted)
        self._session.set_alert_fd(theirs.fileno())

    @property
    def port(self) -> int:
        """The UDP port that libtorrent has bound."""
        return self._running().listen_port()

    def add_node(self, address: Address) -> None:
        """Name a node that may be asked."""
        self._running().add_dht_node(address)

    async def values(self, place: Place) -> AsyncGenerator[object]:
        """Yield the values of an item, each newer than the one before; ends with the newest."""
        queue: asyncio.Queue[object] = asyncio.Queue()  # a walk has a bounded number of answers
        self._gets[place].append(queue)
        try:
            for deadline in ASK_FOR:
                (await self._ready()).dht_get_mutable_item(*place)
                until = self._loop.time() + deadline
                while (value := await _next(queue, until)) is not None:
                    if value is _END:
                        return
                    yield value
        finally:
            _remove(self._gets, place, queue)

    async def put(self, key_pair: KeyPair, salt: bytes, value: bytes) -> int:
        """Replace an item; returns how many nodes hold the new value. Raises `DeadlineError`."""
        place = key_pair.public_key, salt
        stored: asyncio.Future[int] = self._loop.create_future()
        self._puts[place].append(stored)
        secret = expanded_secret(key_pair.seed)
        try:
            session = await self._ready()
            session.dht_put_mutable_item(secret, key_pair.public_key, value, salt)
            async with asyncio.timeout(PUT_TIMEOUT):
                return await stored
        except TimeoutError:
            raise DeadlineError(f"no Mainline node took an item in {PUT_TIMEOUT:g} s") from None
        finally:
            _remove(self._puts, place, stored)

    async def close(self) -> None:
        """Stop libtorrent and wait for its threads. Closing twice is harmless."""
        if self._session is None:
            return
        last, self._session = [self._session], None
        self._loop.remove_reader(self._ours.fileno())
        self._joined.set()
        for queues in self._gets.values():
            for queue in queues:
                queue.put_nowait(_END)
        for futures in self._puts.values():
            for future in futures:
                if not future.done():
                    future.set_exception(ClosedError("the Mainline session was closed"))
        await asyncio.to_thread(last.clear)  # letting go of it waits for its threads
        self._ours.close()
        self._theirs.close()

    async def _ready(self) -> lt.session:
        if not self._joined.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(JOIN_TIMEOUT):
                    await self._joined.wait()
            self._joined.set()
        return self._running()

    def _running(self) -> lt.session:
        if self._session is None:
            raise ClosedError("the Mainline session is not running")
        return self._session

    def _alerted(self) -> None:
        """Take note of what has happened."""
        self._ours.recv(4096)
        if self._session is None:
            return
        for alert in self._session.pop_alerts():
            if isinstance(alert, lt.dht_mutable_item_alert):
                self._got(alert)
            elif isinstance(alert, lt.dht_put_alert):
                for stored in self._puts.get((alert.public_key, alert.salt), ()):
                    if not stored.done():
                        stored.set_result(alert.num_success)
            elif isinstance(alert, lt.dht_bootstrap_alert):
                self._joined.set()
            elif isinstance(alert, lt.external_ip_alert):
                self.external = alert.external_address

    def _got(self, alert: lt.dht_mutable_item_alert) -> None:
        for queue in self._gets.get((alert.key, alert.salt), ()):
            if (
                alert.item is not None and alert.item != b""
            ):  # which is how it says that there is none
                queue.put_nowait(alert.item)
            if alert.authoritative:
                queue.put_nowait(_END)


def interfaces_for(bootstrap: Sequence[str]) -> Sequence[str]:
    """Return where to listen so that the nodes named "host:port" can be reached."""
    hosts = [parse_address(name)[0] for name in bootstrap]
    local = bool(hosts) and all(is_numeric(host) and reach(host) == 0 for host in hosts)
    return LOOPBACK if local else EVERYWHERE


def _settings(
    bootstrap: Sequence[str], interfaces: Sequence[str], private: bool
) -> lt.settings_pack:
    category = lt.alert.category_t
    return {
        "listen_interfaces": ",".join(interfaces),
        "dht_bootstrap_nodes": ",".join(bootstrap),
        "enable_dht": True,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_incoming_tcp": False,
        "enable_outgoing_tcp": False,
        "enable_incoming_utp": False,
        "enable_outgoing_utp": False,
        "dht_restrict_routing_ips": not private,
        "dht_restrict_search_ips": not private,
        "dht_ignore_dark_internet": not private,
        "dht_prefer_verified_node_ids": not private,
        "dht_block_ratelimit": 10_000 if private else 5,  # packets a second of one host
        "dht_upload_rate_limit": UPLOAD_LIMIT,
        "alert_mask": category.dht_notification
        | category.dht_operation_notification
        | category.status_notification,
    }


async def _next(queue: asyncio.Queue[object], until: float) -> object | None:
    """Return what comes next, None when nothing has come by then."""
    try:
        async with asyncio.timeout_at(until):
            return await queue.get()
    except TimeoutError:
        return None


def _remove(waiting: defaultdict[Place, list[T]], place: Place, one: T) -> None:
    waiting[place].remove(one)
    if not waiting[place]:
        del waiting[place]
