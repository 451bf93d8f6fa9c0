#!/usr/bin/env python3
"""Check that folders under src/ include only what src/layers.toml allows.

Fails on: an include not allowed; a folder not listed or without a line in [about]; a
permission no file uses; a cycle in the allowed graph; an include of another folder's
*_internal.h; a third-party header outside its one wrapper folder.
"""
import pathlib
import re
import sys
import tomllib

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
SYSTEM_INCLUDE = re.compile(r"^\s*#\s*include\s+<([^>]+)>", re.MULTILINE)
WRAPPED = {"liburing": "platform/uring", "isa-l": "platform/isal", "nlohmann": "control/json",
           "CLI/": "control/cli", "linux/fuse": "roles/frontend"}


def folder_of(path: pathlib.PurePath, folders: set[str]) -> str | None:
    return next((str(p) for p in path.parents if str(p) in folders), None)


def find_cycle(allow: dict[str, list[str]]) -> list[str] | None:
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> list[str] | None:
        if name in trail:
            return trail[trail.index(name):] + [name]
        if name in done:
            return None
        for target in allow.get(name, []):
            if cycle := visit(target, trail + [name]):
                return cycle
        done.add(name)
        return None

    return next((c for n in allow if (c := visit(n, []))), None)


def check_file(file, src, allow, everywhere, used) -> list[str]:
    folders = set(allow)
    here = folder_of(file.relative_to(src), folders)
    if here is None:
        return [f"{file}: folder is not listed in layers.toml"]
    errors, text = [], file.read_text()
    extra = everywhere if file.name.endswith(("_test.cc", "_testing_internal.h")) else []
    for name in INCLUDE.findall(text):
        there = folder_of(pathlib.PurePath(name), folders)
        if there is None or there == here:
            continue
        if there in allow[here]:
            used.add((here, there))
        elif there not in extra:
            errors.append(f"{file}: {here} may not include {there} ({name})")
        if name.endswith("_internal.h"):
            errors.append(f"{file}: {name} is internal to {there}")
    for name in SYSTEM_INCLUDE.findall(text):
        for library, wrapper in WRAPPED.items():
            if name.startswith(library) and here != wrapper:
                errors.append(f"{file}: <{name}> belongs to {wrapper} alone")
    return errors


def check(src: pathlib.Path) -> list[str]:
    layers = tomllib.loads((src / "layers.toml").read_text())
    allow, about = layers["allow"], layers.get("about", {})
    everywhere = layers.get("tests", {}).get("everywhere", [])
    used: set[tuple[str, str]] = set()
    errors = []
    if cycle := find_cycle(allow):
        errors.append("layers.toml: cycle: " + " -> ".join(cycle))
    for file in sorted(f for f in src.rglob("*") if f.suffix in {".h", ".cc"}):
        errors += check_file(file, src, allow, everywhere, used)
    errors += [f"layers.toml: {here} -> {there} is allowed but unused"
               for here, targets in allow.items() for there in targets if (here, there) not in used]
    errors += [f"layers.toml: {name} is in one of [about] and [allow] only"
               for name in set(about) ^ set(allow)]
    return errors


if __name__ == "__main__":
    found = check(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "src"))
    print("\n".join(found) or "layers: ok")
    sys.exit(bool(found))
