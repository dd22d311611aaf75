#!/usr/bin/env python3
"""Packs executor.py with all that it runs on, for an image: the interpreter, its libraries, the standard library's modules
that it loads, pymesos.

usage: PYTHONPATH=DIRECTORY/packages bundle.py >ARCHIVE.tar

Files have the paths that they have on this machine, and the executor is /executor.pyc, to be run with the interpreter's
path, which is the target of /python. Modules are packed compiled, so the archive is some 40 MB at most, most of
it the interpreter, and always the same for the same files.
"""

import importlib
import io
import os
import py_compile
import sys
import sysconfig
import tarfile
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
# Packages of which more is loaded while they work than when they are imported.
WHOLE = ["encodings", "email", "http", "json", "logging", "pymesos", "addict", "http_parser"]
LARGEST = 60 * 1024 * 1024


def loaded_files():
    """The files of the modules and libraries that the executor has loaded."""
    sys.path.insert(0, HERE)
    for name in ["executor", "encodings.idna", "unicodedata", "zlib"]:
        importlib.import_module(name)
    files = {os.path.realpath(sys.executable)}
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if path and os.path.dirname(path) != HERE:
            files.add(path)
    for name in WHOLE:
        directory = os.path.dirname(sys.modules[name].__file__)
        files |= {os.path.join(directory, entry) for entry in os.listdir(directory) if entry.endswith(".py")}
    with open("/proc/self/maps", encoding="utf-8") as maps:
        mapped = {line.split(None, 5)[5].strip() for line in maps if line.count("/") > 1 and ".so" in line}
    files |= mapped
    # Where the interpreter looks for its library.
    files.add(os.path.join(sysconfig.get_path("stdlib"), "os.py"))
    return files


def links_to(path):
    """The links beside a library that are other names of it, as programs ask for it."""
    directory = os.path.dirname(path)
    for entry in sorted(os.listdir(directory)):
        link = os.path.join(directory, entry)
        if os.path.islink(link) and os.path.realpath(link) == path:
            yield link


def compiled(path):
    with tempfile.NamedTemporaryFile(suffix=".pyc") as file:
        unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(path, cfile=file.name, dfile=path, doraise=True, invalidation_mode=unchecked)
        with open(file.name, "rb") as result:
            return result.read()


def loader():
    """The dynamic loader under the name that programs have in them."""
    for name in ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"]:
        if os.path.exists(name):
            return [name]
    return []


def main():
    files, links = {}, {"/python": os.path.realpath(sys.executable)}
    for path in sorted(loaded_files() | set(loader())):
        if path.endswith(".py"):
            files[path + "c"] = compiled(path)
            continue
        with open(path, "rb") as file:
            files[path] = file.read()
        if ".so" in path:
            links |= {link: path for link in links_to(path) if link not in files}
    files["/executor.pyc"] = compiled(os.path.join(HERE, "executor.py"))
    size = sum(map(len, files.values()))
    if size > LARGEST:
        sys.exit(f"bundle.py: {size} bytes are more than the {LARGEST} that a test image may have")
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.GNU_FORMAT) as archive:
        for path, data in files.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
        for path, target in links.items():
            if path in files:
                continue
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)


if __name__ == "__main__":
    main()
