"""How commands find peers; through Mainline alone, with real processes and libtorrent's DHT."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from feedlog import KeyPair, Store
from feedlog_cli.children import Children
from feedlog_cli.errors import CommandError, UsageError
from feedlog_cli.finding import NODES, choose
from net.mainline.discovery import MainlineDiscovery
from tests.reference.command_line import Run
from tests.reference.mainline_network import mainline_network, names


async def test_a_feed_is_found_through_mainline_and_by_no_other_way(
    process: Run, home: Path, children: Children
) -> None:
    """The publisher is on loopback, where nobody is asked by multicast, in a DHT of its own."""
    key = process("create", "news").out.strip()
    process("append", "news", "by way of strangers")
    other = ("--store", home.with_name("other"))
    async with mainline_network() as sessions:  # their threads answer while we wait
        nodes = {NODES: " ".join(names(sessions))}
        words = ("share", "news", "--host", "127.0.0.1", "--json", "--mainline")
        children.serve(words, {"FEEDLOG_STORE": str(home), **nodes})

        complaint = process("clone", key, *other, "--timeout", 1).complaint
        assert complaint.startswith(f"nobody announces {key}: asked ")
        assert complaint.endswith("the local network; --bootstrap or --mainline asks further")

        environment = {**os.environ, **nodes}
        done = process("get", key, 0, "--mainline", *other, "--timeout", 50, env=environment)
        assert done.raw == b"by way of strangers", done.err
        environment["FEEDLOG_MAINLINE"] = "1"
        unknown = ("get", Store.memory().feed("x").id, 0, *other, "--timeout", 1)
        complaint = process(*unknown, env=environment).complaint
        assert complaint.endswith("in 1 s, through the Mainline DHT")


def test_what_is_asked_for() -> None:
    local = choose(None, mainline=False)
    assert not local.goes_out
    dht = choose(["192.0.2.1:1", "192.0.2.2:2"], mainline=False)
    assert (dht.goes_out, str(dht)) == (True, "192.0.2.1:1, 192.0.2.2:2")
    both = choose(["192.0.2.1:1"], mainline=True)
    assert (both.mainline, str(both)) == (MainlineDiscovery, "192.0.2.1:1, the Mainline DHT")
    assert choose(None, mainline=True).goes_out


async def test_nothing_is_started_where_nothing_is_asked_for() -> None:
    async with choose(None, mainline=False).more(KeyPair.generate()) as more:
        assert more == []


def test_addresses_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="an address is host:port"):
        choose(["nowhere"], mainline=False)
    monkeypatch.setenv(NODES, "127.0.0.1:1 nowhere")
    with pytest.raises(UsageError, match=f"^{NODES}: an address is host:port"):
        choose(None, mainline=True)
    assert not choose(None, mainline=False).goes_out  # it is not asked for


def test_a_missing_libtorrent_is_named_with_what_brings_it(
    feedlog: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "libtorrent", None)  # as if it were not installed
    for name in ("net.mainline.discovery", "net.mainline.session"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(CommandError, match="needs libtorrent"):
        choose(None, mainline=True)
    complaint = feedlog("get", "news", 0, "--mainline").complaint
    assert complaint.startswith("--mainline needs libtorrent: pip install libtorrent")
    assert not home.exists()


def test_it_is_not_loaded_unless_it_is_asked_for() -> None:
    code = "import sys, feedlog_cli.main; sys.exit('libtorrent' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
