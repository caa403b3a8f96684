"""Stand-ins for NVIDIA's libraries, so that a CUDA build of PyTorch can be imported where only its CPU side is used.

`cuda_stand_ins.py TORCH_FOLDER [COMPILER]`. The build on PyPI is linked with a dozen of NVIDIA's libraries (three gigabytes of
them) and wants every symbol at import. This compiles libraries of those names into TORCH_FOLDER/lib, in which every function
that PyTorch's own libraries ask for answers "no device" (100): enough to be loaded, and for `torch.cuda.is_available()` to say no.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

# What belongs to the C library, the compiler's runtime and OpenMP.
SYSTEM = re.compile(r"^(GLIBC|GLIBCXX|GCC|CXXABI|OMP|GOMP|GOACC|GFORTRAN|QUADMATH)")
NVIDIA = re.compile(r"lib(cu|nv|nccl)\w*\.so")


def lines(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def wanted(libraries):
    """The missing libraries with the versions that are asked of each, and the symbols that nobody defines."""
    present = {library.name for library in libraries}
    missing, defined, undefined = {}, set(), set()
    for library in libraries:
        for line in lines("readelf", "--dynamic", "--wide", str(library)):
            found = re.search(r"\(NEEDED\).*\[(.+)\]", line)
            if found and NVIDIA.match(found[1]) and found[1] not in present:
                missing.setdefault(found[1], set())
        owner = None
        for line in lines("readelf", "--version-info", "--wide", str(library)):
            file = re.search(r"File: (\S+)", line)
            name = re.search(r"Name: (\S+)\s+Flags", line)
            if file:
                owner = file[1]
            elif name and owner in missing:
                missing[owner].add(name[1])
        for line in lines("nm", "--dynamic", str(library)):
            kind, symbol = line.split()[-2:]
            symbol, _, version = symbol.partition("@")
            if kind != "U":
                defined.add(symbol)
            elif not SYSTEM.match(version.lstrip("@")):
                undefined.add((symbol, version.lstrip("@")))
    # What the C library and its like have, PyTorch asks for with a version; C++ names are PyTorch's own or libstdc++'s.
    undefined = {(s, v) for s, v in undefined if s not in defined and not s.startswith(("_Z", "Py", "_Py", "_ITM", "__gmon"))}
    return missing, undefined


def source(symbols):
    text = ["#define ANSWER(name) int name(void) { return 100; }"]
    for symbol in sorted(symbols):
        if re.search(r"Get(Error|Result)?(String|Name)$|GetErrorString$|GetLastErrorMessage$", symbol):
            text.append(f'const char *{symbol}(void) {{ return "no CUDA here"; }}')
        elif re.fullmatch(r"[A-Za-z_]\w*", symbol):
            text.append(f"ANSWER({symbol})")
    return "\n".join(text) + "\n"


def main():
    folder = pathlib.Path(sys.argv[1]) / "lib"
    compiler = sys.argv[2] if len(sys.argv) > 2 else "cc"
    missing, undefined = wanted(sorted(folder.glob("*.so")))
    if not missing:
        return
    by_version = {version: name for name, versions in missing.items() for version in versions}
    first = sorted(missing)[0]
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        for name, versions in missing.items():
            symbols = {symbol for symbol, version in undefined if by_version.get(version, first) == name}
            (scratch / "stand_in.c").write_text(source(symbols))
            script = [f"{version} {{ global: *; }};" for version in versions] or ["{ global: *; };"]
            (scratch / "versions").write_text("\n".join(script) + "\n")
            subprocess.run(
                [compiler, "-shared", "-fPIC", "-nostdlib", "-fno-builtin", "-w", f"-Wl,-soname,{name}",
                 f"-Wl,--version-script={scratch / 'versions'}", str(scratch / "stand_in.c"), "-o", str(folder / name)],
                check=True)
    print(f"{len(missing)} stand-ins for NVIDIA's libraries, {len(undefined)} functions", file=sys.stderr)


main()
