"""The slow truth about a trie: a dictionary, a copy of it for each version, a list of changes.

Orders by hash are nobody's business but the trie's, so listings are sets here; what order="key"
promises is the order of the keys' UTF-8 bytes.
"""

from __future__ import annotations

State = dict[str, tuple[bytes, int]]
"""Key to value, and the version that wrote it."""


class TrieModel:
    def __init__(self) -> None:
        self.state: State = {}
        self.versions: dict[int, State] = {0: {}}
        self.changes: list[tuple[str, str, bytes | None, int]] = []

    def write(self, kind: str, key: str, value: bytes | None, version: int) -> None:
        """Note one block: a put or a delete that made the feed `version` blocks long."""
        if value is None:
            del self.state[key]
        else:
            self.state[key] = (value, version)
        self.changes.append((kind, key, value, version))

    def commit(self, version: int) -> None:
        """Note that a write ended."""
        self.versions[version] = dict(self.state)

    @property
    def items(self) -> dict[str, bytes]:
        return values(self.state)


def values(state: State) -> dict[str, bytes]:
    return {key: value for key, (value, _) in state.items()}


def under(state: State, prefix: str) -> State:
    return {key: entry for key, entry in state.items() if selected(key, prefix)}


def selected(key: str, prefix: str) -> bool:
    if not prefix or prefix.endswith("/"):
        return key.startswith(prefix)
    return key == prefix or key.startswith(prefix + "/")


def one_level(state: State, prefix: str) -> set[tuple[str, bytes | None]]:
    found: set[tuple[str, bytes | None]] = set()
    for key, (value, _) in under(state, prefix).items():
        end = key.find("/", len(prefix))
        found.add((key, value) if end < 0 else (key[: end + 1], None))
    return found


def in_key_order(keys: list[str]) -> list[str]:
    return sorted(keys, key=str.encode)


def difference(
    left: State, right: State, prefix: str
) -> dict[str, tuple[tuple[bytes, int] | None, tuple[bytes, int] | None]]:
    one, other = under(left, prefix), under(right, prefix)
    return {
        key: (one.get(key), other.get(key))
        for key in one.keys() | other.keys()
        if one.get(key) != other.get(key)
    }
