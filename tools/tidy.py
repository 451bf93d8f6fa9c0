#!/usr/bin/env python3
"""The style that no compiler checks. Each finding has file:line and the remedy.

tidy.py [ROOT]        checks the tree
tidy.py --self-test   plants one violation of each kind and expects it to be found
"""
import pathlib
import re
import sys
import tempfile

LINE_MOST, FILE_MOST, FUNCTION_MOST = 100, 600, 70
CODE = {".h", ".cc"}
BANNED_FOLDERS = {"common", "util", "utils", "core", "misc", "helpers"}
# Only platform/ and programs/ touch the machine; tests of real processes may too.
BANNED_CALLS = re.compile(
    r"(?<!\w)::(open|openat|socket|read|write|ioctl|mount)\s*\(|"
    r"(?<![\w:.>])(clock_gettime|gettimeofday|rand|srand|getenv|usleep|nanosleep|pthread_create|"
    r"fork)\s*\(|std::(thread|mutex|random_device|getenv)\b|std::chrono::\w+::now")
MARKS = re.compile(r"\b(TODO|FIXME|XXX|HACK|nocommit)\b")
RULER = re.compile(r"//\s*[-=*#]{5,}")
FUNCTION_START = re.compile(r"^[A-Za-z_].*\)\s*(const\s*)?(noexcept\s*)?(override\s*)?\{$|^[A-Za-z_].*\{$")


def findings_of_line(path: str, line: str) -> list[str]:
    found = []
    if len(line) > LINE_MOST:
        found.append(f"line of {len(line)} columns; at most {LINE_MOST}")
    if "\t" in line:
        found.append("tab; use spaces")
    if line != line.rstrip():
        found.append("blanks at the end of the line; remove them")
    if not line.isascii():
        found.append("character outside ASCII; spell it")
    if MARKS.search(line):
        found.append("unfinished mark; finish it, or say in the docs what is not there")
    if RULER.search(line):
        found.append("ruler comment; let the code's order speak")
    if "using namespace std" in line:
        found.append("using namespace std; name what is used")
    if needs_interfaces(path) and BANNED_CALLS.search(line.split("//")[0]):
        found.append("calls the machine above platform/; take an interface instead")
    return found


def needs_interfaces(path: str) -> bool:
    return (path.startswith("src/") and not path.startswith(("src/platform/", "src/programs/"))
            and not path.endswith("_test.cc"))


def long_functions(lines: list[str]) -> list[tuple[int, int]]:
    found, start = [], None
    for number, line in enumerate(lines, 1):
        if start is None and FUNCTION_START.match(line) and not re.match(
                r"(namespace|struct|class|enum|union|extern|constexpr|const |static const|inline const)", line):
            start = number
        elif line.startswith("}") and start is not None:
            if number - start + 1 > FUNCTION_MOST:
                found.append((start, number - start + 1))
            start = None
    return found


def check_file(root: pathlib.Path, file: pathlib.Path) -> list[str]:
    path = file.relative_to(root).as_posix()
    lines = file.read_text(errors="replace").splitlines()
    found = [f"{path}:{n}: {what}" for n, line in enumerate(lines, 1)
             for what in findings_of_line(path, line)]
    if len(lines) > FILE_MOST:
        found.append(f"{path}:1: {len(lines)} lines; at most {FILE_MOST}: split it by duty")
    found += [f"{path}:{n}: function of {size} lines; at most {FUNCTION_MOST}"
              for n, size in long_functions(lines)]
    if file.suffix == ".h" and "#pragma once" not in lines[:1]:
        found.append(f"{path}:1: no #pragma once in the first line")
    return found


def check(root: pathlib.Path) -> list[str]:
    found = []
    for top in ("src", "sim", "tests", "fuzz", "bench"):
        for file in sorted((root / top).rglob("*")):
            if file.is_dir() and file.name in BANNED_FOLDERS:
                found.append(f"{file.relative_to(root)}: a folder needs a name that says what is in it")
            if file.suffix in CODE:
                found += check_file(root, file)
    formats = root / "docs" / "formats"
    tests = "\n".join(f.read_text() for f in root.glob("src/**/*_test.cc"))
    for page in sorted(formats.glob("*.md")) if formats.is_dir() else []:
        if f"docs/formats/{page.name}" not in tests:
            found.append(f"docs/formats/{page.name}: no golden test names this page")
    return found


PLANTED = {
    "line of": "// " + "x" * 120, "tab;": "int a;\t// tab", "blanks at": "int a; ",
    "outside ASCII": "// caf\u00e9", "unfinished mark": "// TO" + "DO: later",
    "ruler comment": "// ----------", "using namespace std": "using namespace std;",
    "calls the machine": "int f() { return rand(); }",
    "function of": "int g() {\n" + "    h();\n" * 80 + "}", "lines; at most 600": "\n" * 700,
}


def self_test() -> list[str]:
    missed = []
    for expected, text in PLANTED.items():
        with tempfile.TemporaryDirectory() as folder:
            planted = pathlib.Path(folder) / "src" / "engines" / "planted.cc"
            planted.parent.mkdir(parents=True)
            planted.write_text(text + "\n")
            if not any(expected in line for line in check(pathlib.Path(folder))):
                missed.append(f"self-test: a planted violation was not found: {expected}")
    return missed


if __name__ == "__main__":
    if "--self-test" in sys.argv:
        result = self_test()
    else:
        result = check(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    print("\n".join(result) or "tidy: ok")
    sys.exit(bool(result))
