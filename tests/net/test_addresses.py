"""Text and bytes of addresses."""

from __future__ import annotations

import contextlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog.errors import DecodeError
from net.addresses import (
    area,
    canonical,
    family,
    format_address,
    is_numeric,
    pack_address,
    parse_address,
    reach,
    subnet,
    unpack_address,
)

ports = st.integers(1, 65535)
hosts = st.ip_addresses().map(lambda ip: str(getattr(ip, "ipv4_mapped", None) or ip))


@given(hosts, ports)
def test_text_and_bytes_round_trip(host: str, port: int) -> None:
    assert parse_address(format_address((host, port))) == (host, port)
    assert unpack_address(pack_address((host, port))) == (host, port)
    assert len(pack_address((host, port))) == {4: 6, 6: 18}[family((host, port))]


@given(st.binary(max_size=24))
def test_unpacking_raises_nothing_but_decode_errors(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        assert pack_address(unpack_address(data)) == data


@pytest.mark.parametrize(
    "text", ["", "host", "host:", ":1", "host:0", "host:65536", "host:x", "::1:80", "h:-1", "h:٣"]
)
def test_what_is_no_address_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"host|port") as error:
        parse_address(text)
    assert repr(text) in str(error.value)


def test_names_are_kept_and_do_not_pack() -> None:
    assert parse_address("example.org:80") == ("example.org", 80)
    assert not is_numeric("example.org")
    with pytest.raises(ValueError, match="example"):
        pack_address(("example.org", 80))
    with pytest.raises(ValueError, match="253"):
        parse_address("a" * 254 + ":80")


def test_one_host_has_one_form() -> None:
    assert canonical(("::ffff:1.2.3.4", 5, 0, 0)) == ("1.2.3.4", 5)
    assert canonical(("0:0::1", 5)) == ("::1", 5)
    with pytest.raises(ValueError, match="one link"):
        canonical(("fe80::1%eth0", 5, 0, 2))
    with pytest.raises(DecodeError):
        unpack_address(ipaddress.ip_address("::ffff:1.2.3.4").packed + b"\x00\x05")


@pytest.mark.parametrize(
    ("host", "far"),
    [
        ("127.0.0.9", 0),
        ("::1", 0),
        ("192.168.1.2", 1),
        ("100.64.0.1", 1),
        ("fe80::1", 1),
        ("fd00::1", 1),
        ("8.8.8.8", 2),
        ("2a00::1", 2),
        ("224.0.0.1", -1),
        ("ff02::1", -1),
        ("0.0.0.0", -1),
        ("255.255.255.255", -1),
    ],
)
def test_reach(host: str, far: int) -> None:
    assert reach(host) == far


def test_areas_and_subnets() -> None:
    assert subnet("8.8.8.8") == subnet("8.8.8.9") != subnet("8.8.9.8")
    assert subnet("2a00::1") == subnet("2a00:0:0:ffff::1") != subnet("2a00:0:1::1")
    assert area(("8.8.8.8", 1)) == area(("8.8.8.9", 2))
    assert area(("10.0.0.1", 1)) != area(("10.0.0.2", 1))
    assert area(("127.0.0.1", 1)) is None
