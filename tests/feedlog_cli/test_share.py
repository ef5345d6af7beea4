from __future__ import annotations

import signal
from pathlib import Path

from feedlog import Store
from feedlog_cli.children import Children
from feedlog_cli.importing import import_directory
from feedlog_cli.share import CONTACTS, with_contents
from net.addresses import parse_address
from net.finding.contacts import KeptContacts
from tests.reference.command_line import Network, Run


def test_a_directory_is_shared_with_its_contents(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with Store.memory() as store:
        log = store.feed("log")
        result = import_directory(store, tmp_path, "d")
        assert with_contents(store, [result.index]) == [result.index, result.data]
        assert with_contents(store, [log]) == [log]
        assert with_contents(store, [result.data, result.index]) == [result.data, result.index]


def test_a_node_that_shares_can_be_the_bootstrap(
    process: Run, home: Path, children: Children
) -> None:
    key = process("create", "news").out.strip()
    process("append", "news", "hello")
    words = ("share", "news", "--host", "127.0.0.1", "--json")
    sharing, ready = children.serve(words, {"FEEDLOG_STORE": str(home)})
    assert ready["feeds"] == [{"key": key, "length": 1}]
    other = ("--store", home.with_name("other"), "-b", ready["address"])
    assert process("get", key, 0, *other).raw == b"hello"
    process("append", "news", "world")
    tries = (process("get", key, 1, *other) for _ in range(10))  # it is noticed in a moment
    assert next(done.raw for done in tries if done.code == 0) == b"world"
    sharing.send_signal(signal.SIGTERM)
    assert sharing.wait() == 0


def test_nodes_that_answered_are_kept(
    process: Run, network: Network, home: Path, children: Children
) -> None:
    process("create", "news")
    words = ("share", "--host", "127.0.0.1", "--json", "-b", network.bootstrap)
    sharing, _ = children.serve(words, {"FEEDLOG_STORE": str(home)})
    sharing.send_signal(signal.SIGTERM)
    assert sharing.wait() == 0
    assert parse_address(network.bootstrap) in KeptContacts(home / CONTACTS).load()


def test_nothing_to_share(process: Run, home: Path) -> None:
    Store(home).close()
    assert process("share").complaint == "the store has no feeds to share"
    assert "has no feed 'x'" in process("share", "x").complaint


def test_a_port_in_use(process: Run, network: Network) -> None:
    process("create", "news")
    port = network.bootstrap.rpartition(":")[2]
    result = process("share", "--host", "127.0.0.1", "--port", port)
    assert "in use" in result.complaint
    assert port in result.complaint
