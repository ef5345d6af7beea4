"""The keys, groups and seals of local networks, as docs/spec/lan.md prints them."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path

from net.lan.hashing import groups, network_key, seal

SPEC = Path(__file__).parents[3] / "docs" / "spec" / "lan.md"


def test_the_specified_values() -> None:
    table = dict(re.findall(r"^\| (.+?) \| `(.+?)` \|$", SPEC.read_text(), re.MULTILINE))
    for name, secret in (("open network", b""), ("secret `secret`", b"secret")):
        key = network_key(secret)
        v4, v6 = groups(key)
        assert table[f"key of the {name}"] == key.hex()
        assert table[f"groups of the {name}"] == f"{ip_address(v4)}, {ip_address(v6)}"
    assert table["seal of `body` there"] == seal(network_key(b"secret"), b"body").hex()


def test_networks_are_apart() -> None:
    keys = [network_key(secret) for secret in (b"", b"a", b"b")]
    assert len(set(keys)) == 3
    assert len({groups(key) for key in keys}) == 3
    assert all(ip_address(group).is_multicast for key in keys for group in groups(key))
    assert seal(keys[0], b"x") != seal(keys[1], b"x")
