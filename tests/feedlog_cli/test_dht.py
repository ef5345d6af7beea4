from __future__ import annotations

import re
import shlex
import signal
import socket
import urllib.request
from pathlib import Path

from feedlog_cli.children import Children
from tests.reference.command_line import Network, Run

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "operator.md"

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
    result = process("dht", "--host", "nowhere")
    assert (result.code, "--host takes an IP address" in result.complaint) == (2, True)


def test_a_bootstrap_that_does_not_answer(process: Run, free_port: int) -> None:
    complaint = process(
        "dht", "--host", "127.0.0.1", "--port", "0", "-b", f"127.0.0.1:{free_port}"
    ).complaint
    assert complaint == f"no bootstrap node answered: 127.0.0.1:{free_port}"


def until_it_knows(count: int, metrics: str) -> None:
    """Wait until a node has so many others in its table."""
    while f"feedlog_dht_contacts {count}\n" not in page(metrics):
        pass


def page(metrics: str) -> str:
    with urllib.request.urlopen(f"http://{metrics}/metrics") as answer:
        text: str = answer.read().decode()
    return text


def test_a_restart_joins_without_the_bootstrap_node(
    children: Children, tmp_path: Path, free_port: int
) -> None:
    metrics = f"127.0.0.1:{free_port}"
    first, ready = children.serve((*WORDS, "--metrics", metrics), {})
    bootstrap = ("--bootstrap", ready["address"])
    children.serve((*WORDS, *bootstrap), {})
    until_it_knows(1, metrics)
    words = (*WORDS, *bootstrap, "--contacts", str(tmp_path / "contacts"))
    others = f"127.0.0.2:{free_port}"
    third, _ = children.serve((*words, "--metrics", others), {})
    until_it_knows(2, others)
    for process in (third, first):
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    children.serve(words, {})  # ends at once with an error if nobody answers


def test_metrics_where_none_can_be(process: Run) -> None:
    result = process(*WORDS, "--metrics", "nowhere")
    assert (result.code, "an address is host:port" in result.complaint) == (2, True)
    assert (
        "no metrics on 203.0.113.254:1" in process(*WORDS, "--metrics", "203.0.113.254:1").complaint
    )


def test_a_node_that_relays(children: Children, free_port: int) -> None:
    """Its TCP port answers, and it counts what it passes on."""
    words = (*WORDS, "--relay", "--metrics", f"127.0.0.1:{free_port}")
    process, ready = children.serve(words, {})
    host, _, port = ready["address"].rpartition(":")
    socket.create_connection((host, int(port))).close()
    text = page(ready["metrics"])
    assert "feedlog_relay_reservations 0" in text
    assert "feedlog_relay_circuits 0" in text
    assert "feedlog_relay_bytes_total 0" in text
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0


def test_the_service_of_the_operators_guide(
    children: Children, tmp_path: Path, free_port: int
) -> None:
    """What the unit runs is run, in a place and on ports of the test's own."""
    [line] = re.findall(r"^ExecStart=(.+)$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    line = line.replace("${STATE_DIRECTORY}", str(tmp_path)).replace("9464", str(free_port))
    program, *words = shlex.split(line)
    assert Path(program).name == "feedlog"
    _, ready = children.serve((*words, "--port", "0"), {})
    text = page(ready["metrics"])
    for name in set(re.findall(r"^# TYPE (\w+)", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)):
        assert f"# TYPE {name} " in text
    assert re.search(r"^process_resident_memory_bytes [1-9]\d{6}", text, re.MULTILINE)
