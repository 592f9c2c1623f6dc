#!/usr/bin/env python3
"""Unpacks libraries from PyPI's wheels into deps/, with the layout of site-packages. No Python environment is created.

    launch/wheels.py [--torch=VERSION] [--into=FOLDER] PART…

--torch  the version of LibTorch, one of NCCL_OF
--into   the folder to use instead of deps/

cpu      LibTorch without CUDA, and the two small CUDA libraries that libtorch_cpu is linked to
headers  the headers of CUDA and NCCL, and the compiler NVRTC
cuda     LibTorch with CUDA, and every NVIDIA library that it loads
lint     clang-format and clang-tidy, in the versions that the checks are written for
fields   the newest h5py, with its HDF5, and the plugins of hdf5plugin, in FOLDER/python: tests write files with them; and
         ONNX Runtime, with which tests run exported networks
arrow    pyarrow, in FOLDER/python: elbo convert csv reads Parquet and Feather with its C++ library
cmake    a recent CMake, for systems with an old one

FOLDER/.installed lists the installed wheels, one per line. pip only downloads the files.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent

# LibTorch → the NCCL that its wheel requires. The first one is the default.
NCCL_OF = {"2.14.1": "2.30.7", "2.11.0": "2.28.9"}
# (requirement, size of the download)
RUNTIME = [("nvidia-cuda-runtime==13.0.96", "2 MB"), ("nvidia-cuda-cupti==13.0.85", "11 MB")]
HEADERS = [("nvidia-cuda-crt==13.0.88", "0.1 MB"), ("nvidia-cuda-cccl==13.0.85", "3 MB")]
# Compiles the kernels for GPUs, at run time and in a test.
NVRTC = ("nvidia-cuda-nvrtc==13.0.88", "90 MB")
# Versions of clang-format format differently; clang-tidy skips LibTorch's headers only since version 21.
LINT = [("clang-format==14.0.6", "1 MB"), ("clang-tidy==23.1.4", "46 MB")]
FIELDS = [("h5py==3.16.0", "5 MB"), ("hdf5plugin==7.1.0", "46 MB")]
# It works with NumPy 1.24, too.
ONNX = ("onnxruntime==1.20.1", "13 MB")
# The first with the functions that convert/arrow calls, and the last that works with NumPy 1.
ARROW = ("pyarrow==21.0.0", "43 MB")
CMAKE = ("cmake==3.31.6", "28 MB")
PARTS = ("cpu", "headers", "cuda", "lint", "fields", "arrow", "cmake")


def arguments():
    parser = argparse.ArgumentParser(usage="launch/wheels.py [--torch=VERSION] [--into=FOLDER] PART…")
    parser.add_argument("--torch", choices=NCCL_OF, default=next(iter(NCCL_OF)))
    parser.add_argument("--into", type=pathlib.Path, default=ROOT / "deps")
    parser.add_argument("parts", nargs="*")
    given = parser.parse_args()
    for part in given.parts:
        if part not in PARTS:
            parser.error(f"{part}: unknown part; expected one of {', '.join(PARTS)}")
    return given


GIVEN = arguments()
TORCH = (f"torch=={GIVEN.torch}", "555 MB")
HEADERS.append((f"nvidia-nccl-cu13=={NCCL_OF[GIVEN.torch]}", "216 MB"))
DEPS = GIVEN.into.resolve()
STAMP = DEPS / ".installed"
LOG = DEPS / "setup.log"

# A C++ program that links to shared libraries needs no Python files, static libraries and device code.
UNWANTED = re.compile(r"\.(pyi?|a|bc)$|^torch/(?!include/|lib/|share/)|^(torchgen|functorch)/|/libtorch_python")
# Large plugins that no test uses.
OTHER_PLUGINS = re.compile(r"/libh5(bzip2|fcidecomp|htj2k|sperr|sz|sz3)\.so$")
OTHER_ONNX = re.compile(r"^onnxruntime/(tools|transformers|quantization|datasets)/")
# Parts that neither elbo nor a test uses.
OTHER_ARROW = re.compile(r"libarrow(_python)?_flight|libarrow_s3|_(flight|s3fs)\.|/tests/")
# NVRTC with another memory allocator.
OTHER_NVRTC = re.compile(r"/libnvrtc[\w-]*\.alt\.so")
CUDA_HALF = re.compile(r"^torch/lib/libtorch_(cuda|nvshmem)")


def installed():
    return STAMP.read_text(encoding="utf-8").split("\n") if STAMP.exists() else []


def name_of(requirement):
    return re.split("[=<>]", requirement)[0]


def fetch(requirement, folder):
    """The one wheel that satisfies the requirement, downloaded into the folder."""
    # Wheels for all versions of Python have the same C++ libraries; with one fixed version, all machines get the same files.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--python-version=3.11",
               f"--dest={folder}", requirement]
    with open(LOG, "a", encoding="utf-8") as log:
        log.write(f"\n$ {' '.join(command)}\n")
        log.flush()
        subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=True)
    return next(folder.glob("*.whl"))


def unpack(wheel, leave_out, folder, into):
    """Extracts into the folder, then moves file by file, so that files in deps/ are always complete."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            if entry.is_dir() or any(pattern.search(entry.filename) for pattern in leave_out):
                continue
            source = pathlib.Path(archive.extract(entry, folder))
            source.chmod(entry.external_attr >> 16 & 0o777 or 0o644)
            stamp = time.mktime(entry.date_time + (0, 0, -1))  # ninja does not recompile for an older header
            os.utime(source, (stamp, stamp))
            target = into / entry.filename
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)


def install(requirement, size="", leave_out=None, for_python=False):
    """Downloads and unpacks the wheel without the files that leave_out matches, unless deps/ already has them. for_python: with
    its Python files, into deps/python."""
    line = requirement if leave_out is None else f"{requirement} less {leave_out.pattern}"
    if not {requirement, line}.isdisjoint(installed()):
        return
    print(f"==> Wheel: fetching {requirement}{size and f' ({size})'} into {os.path.relpath(DEPS)}/", flush=True)
    new = DEPS / ".new"
    shutil.rmtree(new, ignore_errors=True)
    try:
        new.mkdir(parents=True)
        unwanted = [*([] if for_python else [UNWANTED]), *([leave_out] if leave_out else [])]
        unpack(fetch(requirement, new), unwanted, new / "tree", DEPS / "python" if for_python else DEPS)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    others = [there for there in installed() if there and name_of(there) != name_of(requirement)]
    STAMP.write_text("\n".join(others + [line]) + "\n", encoding="utf-8")


def nvidia_requirements(package, extras=()):
    """The NVIDIA libraries that the METADATA of an unpacked wheel requires: pairs of requirement and extras."""
    metadata = next(DEPS.glob(package.replace("-", "_") + "-*.dist-info/METADATA"))
    line = re.compile(r"Requires-Dist: ((?:nvidia-|cuda-toolkit)[\w-]*)(?:\[(.*?)\])?([^;]*)(?:.*extra == '(\w+)')?")
    for name, inner, version, extra in line.findall(metadata.read_text(encoding="utf-8")):
        if extra in extras if extra else not extras:
            yield name + version.strip(), tuple(filter(None, inner.split(",")))


def install_cuda_libraries():
    if not any(name_of(there) == "cuda-toolkit" for there in installed()):
        print("==> CUDA: fetching NVIDIA's libraries for LibTorch, 2 GB to download, 5 GB on disk", flush=True)
    pinned = {name_of(pin) for pin, _ in RUNTIME + HEADERS + [NVRTC]}
    for requirement, extras in nvidia_requirements("torch"):
        # cuda-toolkit is an empty package whose extras name the libraries.
        install(requirement)
        libraries = [library for library, _ in nvidia_requirements(name_of(requirement), extras)] if extras else []
        for library in libraries:
            if name_of(library) not in pinned:
                install(library)


def main(parts):
    DEPS.mkdir(parents=True, exist_ok=True)
    for pin in LINT if "lint" in parts else []:
        install(*pin)
    for pin in FIELDS if "fields" in parts else []:
        install(*pin, leave_out=OTHER_PLUGINS, for_python=True)
    if "fields" in parts:
        install(*ONNX, leave_out=OTHER_ONNX, for_python=True)
    if "arrow" in parts:
        install(*ARROW, leave_out=OTHER_ARROW, for_python=True)
    if "cmake" in parts:
        install(*CMAKE)
    if "cpu" in parts or "cuda" in parts:
        install(*TORCH, leave_out=None if "cuda" in parts else CUDA_HALF)
        for pin in RUNTIME:
            install(*pin)
    for pin in HEADERS if "headers" in parts else []:
        install(*pin)
    if "headers" in parts or "cuda" in parts:
        install(*NVRTC, leave_out=OTHER_NVRTC)
    if "cuda" in parts:
        install_cuda_libraries()


try:
    main(GIVEN.parts)
except subprocess.CalledProcessError:
    sys.exit(f"error: pip could not fetch it (see {os.path.relpath(LOG)}); check the network and pip's index, and start "
             "again, or set LibTorch_ROOT to an existing LibTorch")
except OSError as error:
    sys.exit(f"error: {error}; {os.path.relpath(DEPS)}/ needs free space and write access; then start again")
