from __future__ import annotations

import signal

from feedlog_cli.children import Children
from tests.reference.command_line import Network, Run

WORDS = ("dht", "--host", "127.0.0.1", "--port", "0", "--json")


def test_a_node_starts_a_network_and_others_join(children: Children) -> None:
    first, ready = children.serve(WORDS, {})
    second, _ = children.serve((*WORDS, "--bootstrap", ready["address"]), {})
    for process, number in ((second, signal.SIGINT), (first, signal.SIGTERM)):
        process.send_signal(number)
        assert process.wait() == 0, "to be told to stop is no failure"


def test_a_port_in_use(process: Run, network: Network) -> None:
    host, _, port = network.bootstrap.rpartition(":")
    complaint = process("dht", "--host", host, "--port", port).complaint
    assert complaint == f"UDP {network.bootstrap} is in use"


def test_an_address_that_is_none(process: Run) -> None:
    result = process("dht", "--bootstrap", "nowhere")
    assert (result.code, result.complaint) == (
        2,
        "an address is host:port or [host]:port, not 'nowhere'",
    )
    assert (
        "'nowhere' does not appear to be an IPv4 or IPv6"
        in process("dht", "--host", "nowhere").complaint
    )


def test_a_bootstrap_that_does_not_answer(process: Run, free_port: int) -> None:
    complaint = process(
        "dht", "--host", "127.0.0.1", "--port", "0", "-b", f"127.0.0.1:{free_port}"
    ).complaint
    assert complaint == f"no bootstrap node answered: 127.0.0.1:{free_port}"
