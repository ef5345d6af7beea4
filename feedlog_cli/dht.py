"""`feedlog dht`: a node that helps others to find each other, and stores no feed."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from feedlog import KeyPair
from feedlog_cli.network import EVERYWHERE
from feedlog_cli.options import Bootstrap, Json
from feedlog_cli.output import note, say, say_json_line
from feedlog_cli.places import check_addresses
from feedlog_cli.running import serve_until_stopped
from net.carriers.udp import UdpSocket
from net.dht.node import DhtNode

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
    as_json: Json = False,
) -> None:
    """Run a node of the DHT, through which peers find each other, until Ctrl-C.

    Prints the address that others give as --bootstrap. Without --bootstrap of its own it
    starts a network; with it, it joins one. Listening on IPv4 and IPv6 takes two --host.
    """
    serve_until_stopped(serve(host or [EVERYWHERE], port, check_addresses(bootstrap), as_json))


async def serve(hosts: list[str], port: int, bootstrap: list[str], as_json: bool) -> None:
    """Run the node until the process is told to stop."""
    udp = await UdpSocket.open(*hosts, port=port)
    try:
        async with DhtNode(KeyPair.generate(), udp, bootstrap=bootstrap) as node:
            if as_json:
                say_json_line({"address": node.address})
            else:
                say(node.address, flush=True)
                note(f"others join with --bootstrap {node.address}; Ctrl-C ends this node")
            await asyncio.Event().wait()
    finally:
        udp.close()
