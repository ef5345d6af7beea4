"""The rules that hold the code together, read from the source itself.

Each rule is a function from the modules to the faults that it finds, with the reason it exists
and a small offence that it must catch: a rule that never fires would look like a rule that holds.
Only the syntax tree is read; nothing of the project is imported, except to look at `__all__`.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LAYERS: dict[str, set[str]] = {
    "feedlog": set(),
    "trie": {"feedlog"},
    "net": {"feedlog"},
    "feedlog_cli": {"feedlog", "trie", "net"},
    "benchmarks": {"feedlog", "trie", "net", "feedlog_cli"},
    "examples": {"feedlog", "trie", "net", "feedlog_cli"},
}
"""Who may import whom, besides itself."""

PACKAGES = ("feedlog", "trie", "net", "feedlog_cli")
"""What is shipped; `benchmarks` and `examples` are scripts."""

SHELL = (
    "net/assembly.py",
    "net/discovery.py",
    "net/lifetime.py",
    "net/node.py",
    "net/parts.py",
    "net/carriers/*",
    "net/carriers/ports.py",
    "net/dht/bootstrap.py",
    "net/dht/driver.py",
    "net/dht/node.py",
    "net/dht/own_hosts.py",
    "net/finding/announcer.py",
    "net/finding/combined.py",
    "net/finding/contacts.py",
    "net/finding/network.py",
    "net/finding/values.py",
    "net/lan/discovery.py",
    "net/lan/links.py",
    "net/mainline/discovery.py",
    "net/mainline/session.py",
    "net/reaching/crossing.py",
    "net/reaching/dial.py",
    "net/reaching/reach.py",
    "net/reaching/reception.py",
    "net/reaching/relay_host.py",
    "net/reaching/relaying.py",
    "net/reaching/rendezvous.py",
    "net/reaching/streams.py",
    "net/reaching/upgrade.py",
    "net/reaching/whereabouts.py",
    "net/relay/carrier.py",
    "net/relay/circuit.py",
    "net/relay/client.py",
    "net/relay/discovery.py",
    "net/relay/keeper.py",
    "net/relay/link.py",
    "net/relay/questions.py",
    "net/relay/service.py",
    "net/secure/handshake.py",
    "net/secure/lines.py",
    "net/secure/moving.py",
    "net/secure/opening.py",
    "net/secure/reader.py",
    "net/secure/stream.py",
    "net/secure/writer.py",
    "net/sharing/connection.py",
    "net/sharing/download.py",
    "net/sharing/feeds.py",
    "net/sharing/fetcher.py",
    "net/sharing/finder.py",
    "net/sharing/intake.py",
    "net/sharing/live.py",
    "net/sharing/remote.py",
    "net/sharing/remote_bytes.py",
    "net/sharing/remote_file.py",
    "net/sharing/swarm.py",
    "net/sharing/waiting.py",
)
"""Where the event loop, sockets and clocks live; everything else takes bytes and `now`."""

IMPURE = {"asyncio", "selectors", "socket", "ssl", "time", "datetime"}

BYTE_FORMATS = {
    "codec", "format", "hashing", "layout", "messages", "node", "packet", "records",
}  # fmt: skip
"""Words in the names of the files that may lay out bytes with `struct`."""

FOREIGN_FORMATS = {"feedlog/lmdb_file.py", "feedlog/lmdb_walk.py"}
"""Files that read a format which is not ours: the pages that LMDB itself writes."""

PRIMITIVES = {"nacl", "cryptography", "blake3", "hashlib", "hmac", "noise"}

MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 60
MAX_ERROR_CLASSES = 12

CATCH_ALLS = {"common", "helper", "helpers", "misc", "util", "utils"}


@dataclass(frozen=True)
class Module:
    """One source file: `path` is relative to the repository, `name` is what one imports."""

    path: str
    source: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source, self.path)

    @property
    def name(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def stem(self) -> str:
        return Path(self.path).stem

    @property
    def room(self) -> str:
        return self.path.split("/")[0]

    @property
    def directory(self) -> str:
        return str(Path(self.path).parent)

    @property
    def is_shell(self) -> bool:
        return any(fnmatch(self.path, pattern) for pattern in SHELL)

    def fault(self, line: int, what: str) -> str:
        return f"{self.path}:{line}: {what}"


@dataclass(frozen=True)
class Import:
    """`module` for a plain import; `module` and `names` for `from module import names`."""

    line: int
    module: str
    names: tuple[str, ...]
    in_function: bool


def imports(module: Module) -> list[Import]:
    """Every import that runs; those under `if TYPE_CHECKING` only name types."""
    found: list[Import] = []

    def visit(node: ast.AST, in_function: bool) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for statement in node.orelse:
                visit(statement, in_function)
            return
        if isinstance(node, ast.Import):
            found.extend(Import(node.lineno, a.name, (), in_function) for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module.path}:{node.lineno}: relative import (ruff TID252)"
            names = tuple(alias.name for alias in node.names)
            found.append(Import(node.lineno, node.module or "", names, in_function))
        inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(module.tree, in_function=False)
    return found


def functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def shipped(modules: Iterable[Module]) -> Iterator[Module]:
    return (module for module in modules if module.room in PACKAGES)


# --- the rules ---------------------------------------------------------------------------------


def layers(modules: Sequence[Module]) -> Iterator[str]:
    for module in modules:
        for imported in imports(module):
            room = imported.module.split(".")[0]
            if room in LAYERS and room != module.room and room not in LAYERS[module.room]:
                yield module.fault(imported.line, f"{module.room} must not import {room}")


def imported_modules(module: Module, names: set[str]) -> set[str]:
    """The modules of ours, out of `names`, that a module imports."""
    found: set[str] = set()
    for imported in imports(module):
        inside = {f"{imported.module}.{name}" for name in imported.names} & names
        if len(inside) < max(1, len(imported.names)):
            inside |= {imported.module} & names
        found |= inside
    return found - {module.name}


def cycles(edges: dict[str, set[str]]) -> Iterator[str]:
    finished: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> Iterator[str]:
        if name in path:
            yield " -> ".join((*path[path.index(name) :], name))
        elif name not in finished:
            for following in sorted(edges[name]):
                yield from walk(following, (*path, name))
            finished.add(name)

    for name in sorted(edges):
        yield from walk(name, ())


def no_cycles(modules: Sequence[Module]) -> Iterator[str]:
    names = {module.name for module in modules}
    yield from cycles({module.name: imported_modules(module, names) for module in modules})


def no_cycles_of_folders(modules: Sequence[Module]) -> Iterator[str]:
    folders = {module.name: ".".join(module.name.split(".")[:2]) for module in modules}
    edges: dict[str, set[str]] = {folder: set() for folder in folders.values()}
    for module in modules:
        folder = folders[module.name]
        edges[folder] |= {folders[name] for name in imported_modules(module, set(folders))}
        edges[folder].discard(folder)
    yield from cycles(edges)


def imports_at_the_top(modules: Sequence[Module]) -> Iterator[str]:
    for module in modules:
        for imported in imports(module):
            if imported.in_function:
                yield module.fault(imported.line, f"imports {imported.module} inside a function")


def pure_outside_the_shell(modules: Sequence[Module]) -> Iterator[str]:
    for module in shipped(modules):
        if module.is_shell or module.room == "feedlog_cli":
            continue
        for imported in imports(module):
            if imported.module.split(".")[0] in IMPURE:
                yield module.fault(imported.line, f"imports {imported.module} outside the shell")
        for function in functions(module):
            if isinstance(function, ast.AsyncFunctionDef):
                yield module.fault(function.lineno, f"{function.name} is async outside the shell")


def file_size(modules: Sequence[Module]) -> Iterator[str]:
    for module in modules:
        lines = module.source.count("\n")
        if lines > MAX_FILE_LINES:
            yield module.fault(1, f"{lines} lines, the gate is {MAX_FILE_LINES}")


def function_size(modules: Sequence[Module]) -> Iterator[str]:
    for module in modules:
        for function in functions(module):
            lines = (function.end_lineno or function.lineno) - function.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                what = f"{function.name} has {lines} lines, the gate is {MAX_FUNCTION_LINES}"
                yield module.fault(function.lineno, what)


def bytes_in_format_files(modules: Sequence[Module]) -> Iterator[str]:
    for module in shipped(modules):
        if BYTE_FORMATS & set(module.stem.split("_")) or module.path in FOREIGN_FORMATS:
            continue
        for imported in imports(module):
            if imported.module == "struct":
                yield module.fault(
                    imported.line, "lays out bytes with struct outside a format file"
                )


def primitives(module: Module) -> dict[str, int]:
    """The cryptographic primitives that a module touches, and where.

    `nacl.bindings` is one import for many primitives, so there the family of the function
    counts: `crypto_sign` and `crypto_sign_open` are one, `crypto_aead_...` is another.
    """
    found: dict[str, int] = {}
    for imported in imports(module):
        if imported.module.split(".")[0] not in PRIMITIVES or "exceptions" in imported.module:
            continue
        for name in imported.names or (imported.module,):
            found.setdefault(name, imported.line)
    if "bindings" in found:
        del found["bindings"]
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and node.attr.startswith("crypto_"):
                found.setdefault("_".join(node.attr.split("_")[:2]), node.lineno)
    return found


def one_module_a_primitive(modules: Sequence[Module]) -> Iterator[str]:
    first: dict[tuple[str, str], str] = {}
    for module in shipped(modules):
        for primitive, line in primitives(module).items():
            home = first.setdefault((module.directory, primitive), module.path)
            if home != module.path:
                yield module.fault(line, f"calls {primitive}, which {home} calls already")


def errors_in_one_file(modules: Sequence[Module]) -> Iterator[str]:
    for module in shipped(modules):
        classes = [node for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)]
        if module.path == f"{module.room}/errors.py":
            if len(classes) > MAX_ERROR_CLASSES:
                yield module.fault(1, f"{len(classes)} errors, the gate is {MAX_ERROR_CLASSES}")
            continue
        for node in classes:
            if node.name.startswith("_"):
                continue  # caught where it is raised: a caller never sees it
            if any(re.search(r"(Error|Exception)$", ast.unparse(base)) for base in node.bases):
                yield module.fault(node.lineno, f"{node.name} belongs in {module.room}/errors.py")


def no_catch_alls(modules: Sequence[Module]) -> Iterator[str]:
    for module in modules:
        if CATCH_ALLS & {module.stem, Path(module.directory).name}:
            yield module.fault(1, "is named after nothing")


def every_module_says_what_it_is(modules: Sequence[Module]) -> Iterator[str]:
    for module in modules:
        if not (ast.get_docstring(module.tree) or "").strip():
            yield module.fault(1, "has no docstring")


def no_residue(modules: Sequence[Module]) -> Iterator[str]:
    for module in modules:
        for number, line in enumerate(module.source.splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
                yield module.fault(number, "leaves work for later")


def suppressions_say_why(modules: Sequence[Module]) -> Iterator[str]:
    for module in modules:
        for number, line in enumerate(module.source.splitlines(), 1):
            match = re.search(r"#\s*(?:noqa|type:\s*ignore)\b(?P<rest>.*)$", line)
            if match is None:
                continue
            coded = re.match(
                r":\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*|\[[a-z-]+(?:,\s*[a-z-]+)*\]", match["rest"]
            )
            reason = match["rest"][coded.end() :].strip(" #-:") if coded else ""
            if coded is None or len(reason) < 4:
                yield module.fault(number, "silences a checker without a rule's name and a reason")


def exports_are_declared(modules: Sequence[Module]) -> Iterator[str]:
    for module in shipped(modules):
        if module.stem != "__init__":
            continue
        listed = [
            node
            for node in module.tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        ]
        bound = {name for imported in imports(module) for name in imported.names}
        bound |= {n.name for n in module.tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef)}
        for node in listed:
            names: list[str] = ast.literal_eval(node.value)
            for name in names:
                if name not in bound:
                    yield module.fault(node.lineno, f"exports {name}, which does not exist")
            for name in sorted(bound - set(names) - {"annotations"}):
                yield module.fault(node.lineno, f"imports {name} and does not export it")
        if module.path == f"{module.room}/__init__.py" and bound and not listed:
            yield module.fault(1, "declares no __all__")


def only_declares(module: Module) -> bool:
    """Whether a module holds nothing to run: constants, plain dataclasses, protocols."""
    return all(
        isinstance(statement, ast.Pass)
        or isinstance(getattr(statement, "value", None), ast.Constant)
        for function in functions(module)
        for statement in function.body
    )


def mirrored_by_a_test(modules: Sequence[Module]) -> Iterator[str]:
    present = {module.path for module in modules if module.room == "tests"}
    for module in shipped(modules):
        if only_declares(module):
            continue
        mirror = f"tests/{module.directory}/test_{module.stem.strip('_')}.py"
        if module.stem not in {"__init__", "__main__", "errors"} and mirror not in present:
            yield module.fault(1, f"has no {mirror}")


def source(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


def offence(path: str, *lines: str) -> Module:
    return Module(path, source(*lines))


@dataclass(frozen=True)
class Rule:
    check: Callable[[Sequence[Module]], Iterator[str]]
    reason: str
    offences: tuple[Module, ...]


RULES = (
    Rule(
        layers,
        "imports run downwards, so that a log can be read without a network in the house",
        (offence("trie/get.py", "from net import Node"),),
    ),
    Rule(
        no_cycles,
        "modules in a cycle are one module that is hard to read",
        (
            offence("feedlog/a.py", "from feedlog.b import x"),
            offence("feedlog/b.py", "from feedlog import c"),
            offence("feedlog/c.py", "import feedlog.a"),
        ),
    ),
    Rule(
        no_cycles_of_folders,
        "folders that need each other are one folder, and the tree no picture of the architecture",
        (
            offence("net/dht/node.py", "from net.sharing.feeds import Feeds"),
            offence("net/sharing/feeds.py", "from net.dht import hashing"),
            offence("net/dht/hashing.py", "x = 1"),
        ),
    ),
    Rule(
        imports_at_the_top,
        "an import inside a function hides a cycle or a dependency",
        (offence("net/x.py", "def f():", "    import lmdb"),),
    ),
    Rule(
        pure_outside_the_shell,
        "what takes bytes and `now` is tested from a seed; what waits or asks the clock is not",
        (
            offence("net/dht/core.py", "from time import monotonic"),
            offence("feedlog/feed.py", "async def get(): ..."),
        ),
    ),
    Rule(
        file_size,
        "a file holds one concept",
        (Module("feedlog/a.py", "x = 1\n" * (MAX_FILE_LINES + 1)),),
    ),
    Rule(
        function_size,
        "a function that does not fit the screen is not read",
        (offence("net/x.py", "def f():", *["    x = 1"] * MAX_FUNCTION_LINES),),
    ),
    Rule(
        bytes_in_format_files,
        "a byte format is in one place, beside its picture",
        (offence("net/scheduler.py", "import struct"),),
    ),
    Rule(
        one_module_a_primitive,
        "what is hashed, signed or sealed is reviewed in one file",
        (
            offence("feedlog/keys.py", "from nacl import bindings", "bindings.crypto_sign(b'')"),
            offence("feedlog/x.py", "from nacl import bindings", "bindings.crypto_sign_open(b'')"),
        ),
    ),
    Rule(
        errors_in_one_file,
        "a caller reads one file to know what can be raised",
        (offence("net/x.py", "class Odd(ValueError): ..."),),
    ),
    Rule(
        no_catch_alls,
        "a file named after nothing attracts everything",
        (offence("net/utils.py"),),
    ),
    Rule(
        every_module_says_what_it_is,
        "the first lines of a file say what it is and what it must not know",
        (offence("net/x.py", "x = 1"),),
    ),
    Rule(
        no_residue,
        "what is not built does not exist, not even as a note",
        (offence("net/x.py", "x = 1  # " + "TO" + "DO: later"),),
    ),
    Rule(
        suppressions_say_why,
        "a silenced checker is a claim that needs its argument",
        (
            offence("net/x.py", "x = f()  # no" + "qa: S101"),
            offence("net/y.py", "x = f()  # type: ig" + "nore  # the library has no types"),
        ),
    ),
    Rule(
        exports_are_declared,
        "the public names are those in `__all__`, and no others",
        (offence("trie/__init__.py", "from trie.a import A", "__all__ = ['B']"),),
    ),
    Rule(
        mirrored_by_a_test,
        "one finds a module's tests without searching",
        (offence("trie/get.py", "def get() -> int:", "    return 1 + 1"),),
    ),
)


@pytest.fixture(scope="module")
def modules() -> list[Module]:
    return [
        Module(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
        for room in (*LAYERS, "tests")
        for path in sorted((ROOT / room).rglob("*.py"))
        if "node_modules" not in path.parts
    ]


def concerned(rule: Rule, modules: Sequence[Module]) -> list[Module]:
    """Tests obey the rules of hygiene; layers, sizes and names are for the code they test."""
    if rule.check in {suppressions_say_why, file_size, mirrored_by_a_test}:
        return list(modules)
    return [module for module in modules if module.room != "tests"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.check.__name__)
def test_the_rule_holds(rule: Rule, modules: list[Module]) -> None:
    faults = list(rule.check(concerned(rule, modules)))
    assert not faults, "\n".join([f"{rule.reason}:", *faults])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.check.__name__)
def test_the_rule_catches_its_offence(rule: Rule) -> None:
    faults = list(rule.check(rule.offences))
    assert faults
    assert all(
        any(
            fault.startswith(m.path) or m.name in fault or m.name.rpartition(".")[0] in fault
            for m in rule.offences
        )
        for fault in faults
    )


def test_imports_for_types_only_make_no_cycle() -> None:
    left = offence(
        "feedlog/a.py", "if TYPE_CHECKING:", "    from feedlog.b import B", "import feedlog.c"
    )
    right = offence("feedlog/b.py", "from feedlog.a import A")
    assert not list(no_cycles([left, right]))


@pytest.mark.parametrize("package", PACKAGES)
def test_exported_names_have_docstrings(package: str) -> None:
    exported = importlib.import_module(package)
    for name in getattr(exported, "__all__", ()):
        value = getattr(exported, name)
        if callable(value):
            assert (value.__doc__ or "").strip(), f"{package}.{name} has no docstring"


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_are_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").exists()
