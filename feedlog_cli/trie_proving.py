"""`feedlog trie prove` and `feedlog trie verify`: what a trie holds, in a file that proves it.

A proof is about one key or, with --listing, about everything under a prefix. Who verifies
says what he wants to know, key or prefix; the file's own word for it is not believed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from feedlog_cli.errors import UsageError
from feedlog_cli.options import FeedKey, FeedName, Json, StorePath
from feedlog_cli.output import note, plural, printable, say, say_json, write_bytes
from feedlog_cli.places import find_feed, open_store, parse_key
from feedlog_cli.proving import STDIN, preview
from feedlog_cli.tries import MISSING, for_json, show_key, to_bytes, to_key
from trie import Header, Trie, TrieProof, check_trie_proof, check_trie_range

Asked = Annotated[
    str,
    typer.Argument(metavar="KEY", show_default=False, help="The key, or a prefix: users/"),
]

IsListing = Annotated[
    bool, typer.Option("--listing", "-l", help="KEY is a prefix: all keys under it.")
]


def prove(
    name: FeedName,
    key: Asked,
    listing: IsListing = False,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write the proof."),
    ] = STDIN,
    version: Annotated[
        int | None,
        typer.Option("--at", metavar="VERSION", show_default="the latest", help="An old version."),
    ] = None,
    store: StorePath = None,
) -> None:
    """Write a proof of what a trie has for a key, or that it has nothing for it.

    With --listing it shows all keys under a prefix, and that there are no others. Anybody
    can check it with `feedlog trie verify` and the feed's key, without a store.
    """
    if output == STDIN and sys.stdout.isatty():
        raise UsageError("a proof is binary; name a file with --output, or redirect stdout")
    with open_store(store, read_only=True) as opened:
        trie = Trie(find_feed(opened, name))
        view = trie if version is None else trie.at(version)
        proof = view.prove_range(key) if listing else view.prove(to_key(trie.header.keys.name, key))
    data = proof.to_bytes()
    if output == STDIN:
        write_bytes([data])
    else:
        output.write_bytes(data)
        note(f"{output}: {plural(len(data), 'byte')} of proof about version {proof.version}")


def verify(
    feed_key: FeedKey,
    key: Asked,
    proof_file: Annotated[
        Path,
        typer.Argument(metavar="FILE", show_default=False, help="The proof; - for stdin."),
    ],
    listing: IsListing = False,
    as_json: Json = False,
) -> None:
    """Check a trie's proof with nothing but the feed's key, and print the value that it shows.

    Exits with 0 only where the proof holds: also where it shows that the key has no value,
    which stderr and --json tell from an empty one.
    """
    data = sys.stdin.buffer.read() if proof_file == STDIN else proof_file.read_bytes()
    public, proof = parse_key(feed_key), TrieProof.from_bytes(data)
    about = {"feed": feed_key, "version": proof.version, "fork": proof.proof.fork}
    if listing:
        show_listing(check_trie_range(public, key, proof), key, about, as_json=as_json)
    else:
        value = check_trie_proof(public, typed_key(proof, key), proof, default=MISSING)
        show_value(value, key, about, as_json=as_json)


def typed_key(proof: TrieProof, text: str) -> Any:
    """Return a key as the trie of a proof has it, whose header is not verified yet."""
    header = proof.proof.blocks.get(0)
    return text if header is None else to_key(Header.from_bytes(header).keys.name, text)


def show_value(value: Any, key: str, about: dict[str, Any], *, as_json: bool) -> None:
    """Print what a proof shows of a key."""
    present = value is not MISSING
    if as_json:
        shown = {"value": for_json(value)} if present else {}
        say_json({**about, "key": key, "present": present, **shown})
        return
    has = "has the value below for" if present else "has no"
    note(f"valid: version {about['version']} of the trie {has} key {key!r}")
    if present:
        content = to_bytes(value)
        write_bytes([content, b"\n"] if sys.stdout.isatty() else [content])


def show_listing(
    items: list[tuple[Any, Any]], prefix: str, about: dict[str, Any], *, as_json: bool
) -> None:
    """Print what a proof shows of the keys under a prefix."""
    if as_json:
        shown = {show_key(key): for_json(value) for key, value in items}
        say_json({**about, "prefix": prefix, "items": shown})
        return
    note(
        f"valid: version {about['version']} of the trie has "
        f"{plural(len(items), 'key')} under {prefix!r}, and no others"
    )
    for key, value in items:
        say(f"{printable(show_key(key))}\t{preview(to_bytes(value))}")
