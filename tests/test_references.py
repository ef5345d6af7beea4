"""What documents and docstrings name is there: files, modules, links, sections, records.

Prose is not compiled, so what it points at moves away unnoticed. The history of changes is left
out, for it speaks of its own time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("feedlog", "trie", "net", "feedlog_cli", "tests", "benchmarks", "examples")
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

FILE = re.compile(
    rf"(?<![\w./-])((?:{'|'.join(PACKAGES)}|docs)/[\w./-]+?\.(?:py|md|json|svg|js))\b"
)
MODULE = re.compile(rf"`((?:{'|'.join(PACKAGES)})(?:\.[a-z_0-9]+)+)")
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
SECTION = re.compile(r"(?:docs/spec/)?\b(\w+\.md)\)?, sections? ([0-9]+(?:\.[0-9]+)*)")
RECORD = re.compile(r"\b(?:ADR |docs/adr/)(\d+)\b")
HEADING = re.compile(r"^#+ ([0-9]+(?:\.[0-9]+)*)\.? ", re.MULTILINE)


def files(text: str, page: Path) -> Iterator[str]:
    """Yield the files that are named and not there."""
    for name in FILE.findall(text):
        if not (ROOT / name).exists():
            yield f"{page.relative_to(ROOT)} names {name}"


def modules(text: str, page: Path) -> Iterator[str]:
    """Yield the modules that are named and not there; behind a module may stand names in it."""
    for name in MODULE.findall(text):
        parts = name.split(".")
        path = ROOT / "/".join(parts)
        inside = path.parent.with_suffix(".py"), path.parent / "__init__.py"
        if not (path.is_dir() or path.with_suffix(".py").exists() or any(map(Path.exists, inside))):
            yield f"{page.relative_to(ROOT)} names {name}"


def links(text: str, page: Path) -> Iterator[str]:
    """Yield the relative links that lead nowhere, or to no heading of the page."""
    for target, anchor in LINK.findall(text):
        aim = (page.parent / target).resolve() if target else page
        if not aim.exists():
            yield f"{page.relative_to(ROOT)} links to {target}"
        elif anchor and anchor not in {slug(line) for line in aim.read_text().splitlines()}:
            yield f"{page.relative_to(ROOT)} links to {target}#{anchor}"


def sections(text: str, page: Path) -> Iterator[str]:
    """Yield the sections of the specification that are named and not there."""
    for name, number in SECTION.findall(" ".join(text.split())):
        aim = ROOT / "docs" / "spec" / name
        if aim.exists() and number not in HEADING.findall(aim.read_text(encoding="utf-8")):
            yield f"{page.relative_to(ROOT)} names section {number} of {name}"


def records(text: str, page: Path) -> Iterator[str]:
    """Yield the records of decisions that are named and not there."""
    for number in RECORD.findall(" ".join(text.split())):
        if not list((ROOT / "docs" / "adr").glob(f"{int(number):04}-*.md")):
            yield f"{page.relative_to(ROOT)} names decision {number}"


def slug(line: str) -> str:
    """Return the anchor that a heading gets."""
    words = re.sub(r"[^\w\s-]", "", line.lstrip("#").strip().lower())
    return words.replace(" ", "-") if line.startswith("#") else ""


Check = Callable[[str, Path], Iterator[str]]

EVERYWHERE: tuple[Check, ...] = (files, modules, sections, records)


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_document_names_what_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert [fault for check in (*EVERYWHERE, links) for fault in check(text, page)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_sources_name_what_is_there(package: str) -> None:
    pages = [path for path in SOURCES if path.is_relative_to(ROOT / package)]
    pages = [path for path in pages if path not in (Path(__file__), ROOT / RULES)]
    texts = {page: page.read_text(encoding="utf-8") for page in pages}
    assert [
        f for page, text in texts.items() for check in EVERYWHERE for f in check(text, page)
    ] == []


RULES = "tests/test_architecture.py"
"""It makes up files that break its rules."""


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (files, "see net/nowhere.py"),
        (modules, "see `net.nowhere.at_all`"),
        (links, "see [it](nowhere.md)"),
        (links, "see [it](README.md#nowhere)"),
        (sections, "specified in docs/spec/stream.md, section 99"),
        (sections, "specified in docs/spec/stream.md,\nsection 2.99"),
        (records, "see ADR 999"),
    ],
)
def test_what_is_not_there_is_found(check: Check, text: str) -> None:
    assert len(list(check(text, ROOT / "README.md"))) == 1
