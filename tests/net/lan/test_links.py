"""Multicast sockets of this machine: on loopback, so that nobody else hears them."""

from __future__ import annotations

import os
import select
import socket
import subprocess

import pytest

from net.errors import ListenError
from net.lan.hashing import groups, network_key
from net.lan.links import MulticastSocket, open_sockets
from tests.reference.files import no_file_left
from tests.reference.interfaces import Interface


def receive(sock: MulticastSocket) -> list[bytes]:
    select.select([sock.socket], [], [], 5)
    return [data for data, _ in sock.receive(64)]


def test_processes_share_the_port() -> None:
    group, _ = groups(network_key(os.urandom(8)))
    one, two = MulticastSocket("127.0.0.1", group), MulticastSocket("127.0.0.1", group)
    try:
        one.send([b"a", b"b"])
        assert receive(two) == [b"a", b"b"]
        assert receive(one) == [b"a", b"b"]
        assert one.interfaces == ["127.0.0.1"]
        assert not one.refresh()
    finally:
        one.close()
        two.close()


def test_who_cannot_ask_for_the_interfaces_keeps_those_he_has() -> None:
    sock = MulticastSocket("0.0.0.0", groups(network_key(os.urandom(8)))[0])
    before = sock.interfaces
    with no_file_left():
        assert not sock.refresh()
    assert sock.interfaces == before
    sock.close()


def test_all_interfaces_include_loopback() -> None:
    group, _ = groups(network_key(os.urandom(8)))
    sock = MulticastSocket("0.0.0.0", group)
    try:
        assert "lo" in sock.interfaces
        sock.send([b"a"])
        assert b"a" in receive(sock)
    finally:
        sock.close()


def test_what_was_sent_to_us_alone_does_not_arrive() -> None:
    group, _ = groups(network_key(os.urandom(8)))
    sock = MulticastSocket("0.0.0.0", group)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        try:
            stranger.sendto(b"unicast", ("127.0.0.1", 49738))
            sock.send([b"mark"])
            assert set(receive(sock)) == {b"mark"}
        finally:
            sock.close()


def test_a_host_that_is_not_here_is_an_error() -> None:
    group, v6 = groups(network_key(b""))
    with pytest.raises(ListenError, match="no multicast to 239"):
        MulticastSocket("203.0.113.254", group)
    with pytest.raises(ValueError, match="all interfaces"):
        MulticastSocket("::1", v6)


def test_one_family_may_fail() -> None:
    sockets, failures = open_sockets(["203.0.113.254", "127.0.0.1"], groups(network_key(b"x")))
    assert len(sockets) == len(failures) == 1
    sockets[0].close()


def test_a_host_that_comes_back_on_another_interface_strands_its_socket() -> None:
    group, _ = groups(network_key(os.urandom(8)))
    with Interface() as interface:
        sock = MulticastSocket(interface.host, group)
        try:
            assert not sock.is_stranded()
            interface.pull_out()
            assert not sock.is_stranded(), "there is none to open now"
            interface.plug_in()
            assert sock.is_stranded()
        finally:
            sock.close()


def test_interfaces_that_come_and_go() -> None:
    """Needs root, as the test bed of real routers does."""
    group, _ = groups(network_key(os.urandom(8)))
    name = f"fl{os.getpid()}"
    sock = MulticastSocket("0.0.0.0", group)
    try:
        link = ("ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}p")
        subprocess.run(link, check=True)
        assert sock.refresh()
        assert {name, f"{name}p"} <= set(sock.interfaces)
        subprocess.run(("ip", "link", "del", name), check=True)
        sock.refresh()
        assert name not in sock.interfaces
    finally:
        sock.close()
