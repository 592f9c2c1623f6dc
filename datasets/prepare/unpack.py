#!/usr/bin/env python3
"""Extracts files from a package of PyPI (.whl) or Debian (.deb) without installing it.

    unpack.py PACKAGE FOLDER PATTERN…

A pattern matches whole paths inside of the package, `*` also across folders; with ! in front it excludes. Only plain files
are taken, never links. Ends with a sentence and status 1 if the package is damaged or nothing matches.
"""
import fnmatch
import io
import lzma
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile


def fail(sentence):
    sys.exit(f"error: {sentence}")


def is_wanted(path, patterns):
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    unwanted = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in wanted) and not any(
        fnmatch.fnmatchcase(path, pattern) for pattern in unwanted)


def data_of_deb(package):
    """The tar archive in a .deb, which is an ar archive of three members (deb(5))."""
    with open(package, "rb") as file:
        if file.read(8) != b"!<arch>\n":
            raise ValueError("it is no Debian package")
        while header := file.read(60):
            name, size = header[:16].decode().strip().rstrip("/"), int(header[48:58])
            if name == "data.tar.zst":  # Ubuntu's, which has dpkg-deb
                unpacked = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], check=True, capture_output=True)
                return io.BytesIO(unpacked.stdout)
            if name.startswith("data.tar"):
                content = file.read(size)
                if len(content) != size:
                    raise ValueError("it is cut short")
                return io.BytesIO(content)
            file.seek(size + size % 2, io.SEEK_CUR)
    raise ValueError("it holds no data")


def members(package):
    """Path and opened file of each plain file in the package."""
    if package.endswith(".whl"):
        with zipfile.ZipFile(package) as archive:
            for entry in archive.infolist():
                if not entry.is_dir():
                    yield entry.filename, lambda entry=entry: archive.open(entry)
    else:
        with tarfile.open(fileobj=data_of_deb(package)) as archive:
            for entry in archive:
                if entry.isfile():
                    yield entry.name.removeprefix("./"), lambda entry=entry: archive.extractfile(entry)


def unpack(package, folder, patterns):
    count = 0
    for path, opened in members(package):
        if not is_wanted(path, patterns):
            continue
        target = folder / path
        if folder not in target.resolve().parents:
            raise ValueError(f"its file {path} lies outside")
        target.parent.mkdir(parents=True, exist_ok=True)
        with opened() as source, open(target, "wb") as out:
            shutil.copyfileobj(source, out)
        count += 1
    return count


def main():
    package, folder, *patterns = sys.argv[1:]
    try:
        count = unpack(package, pathlib.Path(folder).resolve(), patterns)
    except (OSError, ValueError, EOFError, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile,
            subprocess.SubprocessError) as reason:
        fail(f"{package} cannot be unpacked ({reason}); delete it and start again to download it")
    if count == 0:
        fail(f"{package} holds no {' or '.join(patterns)}; use the version in datasets/README.md")


if __name__ == "__main__":
    main()
