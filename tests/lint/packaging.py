#!/usr/bin/env python3
"""Compares version and file lists in recipes, change log and example with CMakeLists.txt and the sources."""
import ast
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECIPE = "packaging/spack/spack_repo/elbo/packages/elbo/package.py"


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def first(pattern, name):
    found = re.search(pattern, text(name), re.MULTILINE)
    return found[1] if found else "nothing"


def violations():
    version = first(r"^project\(elbo VERSION ([\d.]+)", "CMakeLists.txt")
    ast.parse(text(RECIPE))
    for name, pattern, expected in [
            (RECIPE, r'^    version\("(.*?)"\)', version),
            ("CHANGELOG.md", r"^## ([\d.]+)", version),
            ("docs/own_variant/CMakeLists.txt", r"^find_package\(elbo (\S+) REQUIRED\)", version.rpartition(".")[0])]:
        found = first(pattern, name)
        if found != expected:
            yield f"{name}: names version {found}, CMakeLists.txt says {expected}"

    # Each recipe must have every library that CMake finds, under its own name for it.
    spack = {"nlohmann_json": "nlohmann-json", "PNG": "libpng", "ZLIB": "zlib-api", "TurboJPEG": "libjpeg-turbo",
             "SndFile": "libsndfile", "blosc": "c-blosc"}
    named = set(re.findall(r'depends_on\("([\w-]+)', text(RECIPE)))
    for package in re.findall(r"^ *elbo_needs\((\w+)", text("cmake/Dependencies.cmake"), re.MULTILINE):
        name = spack.get(package, package.lower())
        if package != "Threads" and name not in named:
            yield f"{RECIPE}: does not depend on {name}, which cmake/Dependencies.cmake needs"

    # The definition must copy all files that CMake reads; the Dockerfile copies the checkout.
    copied = set(re.findall(r"^    (\S+) /source/", text("packaging/containers/elbo.def"), re.MULTILINE))
    for needed in ["CMakeLists.txt", "CMakePresets.json", *re.findall(r"\b(LICENSE|README\.md|CHANGELOG\.md)\b",
                                                                     text("cmake/Install.cmake"))]:
        if needed not in copied:
            yield f"packaging/containers/elbo.def: does not copy {needed}"
    for name in copied:
        if not (ROOT / name).exists():
            yield f"packaging/containers/elbo.def: copies {name}, which is not there"


messages = list(violations())
print("\n".join(messages), end="\n" if messages else "")
sys.exit(1 if messages else 0)
