"""`feedlog dht`: a node that helps others to find each other, and stores no feed."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import typer

from feedlog import KeyPair
from feedlog_cli.metrics import Metric, MetricsServer
from feedlog_cli.network import EVERYWHERE
from feedlog_cli.options import Bootstrap, Json
from feedlog_cli.output import note, say, say_json_line
from feedlog_cli.places import check_addresses, check_hosts
from feedlog_cli.running import serve_until_stopped
from net.addresses import Address, parse_address
from net.carriers.ports import Ports
from net.carriers.udp import UdpSocket
from net.dht.node import DhtNode
from net.finding.contacts import KeptContacts
from net.reaching.relay_host import RelayHost
from net.relay.service import RelayService

PORT = 49737


def dht(
    host: Annotated[
        list[str] | None,
        typer.Option("--host", metavar="IP", show_default=EVERYWHERE, help="Where to listen."),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", "-p", metavar="PORT", min=0, max=65535, help="0 takes any.")
    ] = PORT,
    bootstrap: Bootstrap = None,
    contacts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Keep the nodes that answer here, and join through them next time."
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Serve figures for Prometheus: /metrics over HTTP."),
    ] = None,
    relay: Annotated[
        bool,
        typer.Option(help="Also pass on what peers cannot send each other, over TCP and UDP."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Run a node of the DHT, through which peers find each other, until Ctrl-C.

    Prints the address that others give as --bootstrap. Without --bootstrap of its own it
    starts a network; with it, it joins one. Listening on IPv4 and IPv6 takes two --host.
    """
    where = [parse_address(text) for text in check_addresses([metrics] if metrics else None)]
    kept = None if contacts is None else KeptContacts(contacts)
    hosts, known = check_hosts(host) or [EVERYWHERE], check_addresses(bootstrap)
    serve_until_stopped(serve(hosts, port, known, kept, where, relay=relay, as_json=as_json))


async def serve(
    hosts: list[str],
    port: int,
    bootstrap: list[str],
    kept: KeptContacts | None,
    metrics: list[Address],
    *,
    relay: bool,
    as_json: bool,
) -> None:
    """Run the node until the process is told to stop."""
    key_pair = KeyPair.generate()
    known = [] if kept is None else kept.load()
    async with contextlib.AsyncExitStack() as stack:
        place = RelayHost(key_pair) if relay else None
        udp = await open_ports(hosts, port, place, stack)
        node = DhtNode(key_pair, udp, bootstrap=bootstrap, known=known, public=True)
        await stack.enter_async_context(node)
        if place is not None:
            addresses = [(here, udp.addresses[0][1]) for here in node.hosts()]
            await place.begin(node, addresses)
        told = {"address": node.address}
        for address in metrics:
            server = MetricsServer(address, lambda: figures(node, place))
            told["metrics"] = (await stack.enter_async_context(server)).address
        if kept is not None:
            await stack.enter_async_context(keeping(kept, node))
        if as_json:
            say_json_line(told)
        else:
            say(node.address, flush=True)
            note(f"others join with --bootstrap {node.address}; Ctrl-C ends this node")
        await asyncio.Event().wait()


async def open_ports(
    hosts: list[str], port: int, place: RelayHost | None, stack: contextlib.AsyncExitStack
) -> UdpSocket:
    """Open the UDP port, and for a relay the TCP port of the same number; `stack` closes them."""
    if place is None:
        udp = await UdpSocket.open(*hosts, port=port)
        stack.callback(udp.close)
        return udp
    ports = await Ports.open(hosts, port, place.arrived)
    stack.callback(ports.close)
    stack.push_async_callback(place.close)
    return ports.udp


@contextlib.asynccontextmanager
async def keeping(kept: KeptContacts, node: DhtNode) -> AsyncIterator[None]:
    """Keep a node's contacts, for the last time at the end."""
    task = asyncio.create_task(kept.run(lambda: node.contacts))
    try:
        await asyncio.sleep(0)  # a task that has not begun would not save when it is cancelled
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def figures(node: DhtNode, place: RelayHost | None = None) -> list[Metric]:
    """Return what an operator wants to see of a node, and of the relay at its side."""
    counters = dict(node.counters)
    held = counters.pop("records held")
    usage = time.process_time()
    relay = [] if place is None or place.service is None else relayed(place.service)
    return [
        *relay,
        Metric("feedlog_dht_contacts", "Nodes in the routing table.", "gauge", len(node.contacts)),
        Metric("feedlog_dht_records", "Announcements held for others.", "gauge", held),
        Metric(
            "feedlog_dht_events_total",
            "Datagrams, requests and calls by what became of them.",
            "counter",
            counters,
            "event",
        ),
        Metric("process_cpu_seconds_total", "CPU time spent, in seconds.", "counter", usage),
        Metric("process_resident_memory_bytes", "Memory in use, in bytes.", "gauge", resident()),
    ]


def relayed(service: RelayService) -> list[Metric]:
    """Return the figures of a relay."""
    waiting, standing = service.reservations, service.circuits
    return [
        Metric("feedlog_relay_reservations", "Peers that wait for circuits.", "gauge", waiting),
        Metric("feedlog_relay_circuits", "Circuits that stand.", "gauge", standing),
        Metric(
            "feedlog_relay_bytes_total",
            "Bytes passed on, both directions.",
            "counter",
            service.passed_on,
        ),
    ]


def resident() -> int:
    """Return the bytes of memory that the process occupies; the most it ever did off Linux."""
    with contextlib.suppress(OSError):
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * resource.getpagesize()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
