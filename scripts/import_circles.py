#!/usr/bin/env python3
"""Fails where a file of a crate imports a file that imports it, directly or through others.

A module and its own submodules may know each other. Comments and test modules do not count.
"""

import re
import sys
from pathlib import Path

USE = re.compile(r"\buse ((?:crate|super|self)::[^;]+);|\b(crate(?:::[a-z_0-9]+)+)::")


def expand(tree):
    """The paths of a `use` tree."""
    head, brace, rest = tree.partition("{")
    if not brace:
        return [re.sub(r"\s+as\s.*", "", tree).strip()]
    depth, parts = 0, [""]
    for c in rest[: rest.rindex("}")]:
        depth += (c == "{") - (c == "}")
        parts = parts + [""] if c == "," and not depth else parts[:-1] + [parts[-1] + c]
    return [path for part in parts for path in expand(head.strip() + part.strip())]


def module(path, within, modules, items):
    """The module that a path names from within another one: the longest known prefix, or where a re-exported item lives."""
    parts, at = path.split("::"), list(within)
    if parts[0] == "crate":
        at = []
    for part in parts:
        at = at[:-1] if part == "super" else at if part in ("crate", "self") else at + [part]
    known = [tuple(at[:end]) for end in range(len(at), 0, -1) if tuple(at[:end]) in modules]
    return known[0] if known else items.get(at[0]) if at else None


circles = []
for source in sorted(Path(__file__).parent.parent.glob("crates/*/src")):
    modules = {}
    for path in source.rglob("*.rs"):
        if path.stem not in ("main", "tests"):
            code = re.split(r"#\[cfg\(test\)\]\s*mod \w+ \{", re.sub(r"(?m)^\s*//.*$", "", path.read_text()))[0]
            modules[path.relative_to(source).with_suffix("").parts] = code
    root, items = modules.pop(("lib",), ""), {}
    for tree in re.findall(r"\bpub use ([^;]+);", root):
        items |= {path.split("::")[-1]: module("crate::" + path, (), modules, {}) for path in expand(tree)}
    imports = {}
    for name, code in modules.items():
        paths = [path for found in USE.finditer(code) for path in expand(found[1] or found[2])]
        targets = {module(path, name, modules, items) for path in paths} - {None}
        imports[name] = {to for to in targets if to[: len(name)] != name and name[: len(to)] != to}
    reach = {name: set(targets) for name, targets in imports.items()}
    for middle in reach:
        for name in reach:
            reach[name] |= reach[middle] if middle in reach[name] else set()
    circles += [f"{source}: {'::'.join(name)}" for name in sorted(reach) if name in reach[name]]
sys.exit("files that import each other in a circle:\n" + "\n".join(circles) if circles else 0)
