#!/usr/bin/env python3
"""What has to be known of elbo on a GPU, each with a verdict: started by check.sh, in a kit that pack.sh made.

Needs Python alone; PyTorch is where LibTorch is found, and the rival in the speed checks. Checks run in the order of their
importance, several at once where nothing is timed; each has a time limit and cannot stop the others. After each the results are in
OUT/gpu.json. A check that needs a GPU where there is none is "not run", never passed.
"""
import argparse
import concurrent.futures
import functools
import json
import os
import pathlib
import platform
import re
import shutil
import sys
import tempfile
import threading
import time

import checks
from kit import Failed, HERE, Job, Kit, NotRun, count_gpus, nvidia_smi, torch_folder


class Check:
    def __init__(self, name, function, *given, limit=90, gpu=False):
        self.name, self.function, self.limit, self.gpu = name, functools.partial(function, *given), limit, gpu


def plan(kit):
    """Stages one after the other: how many checks run at once, and the checks."""
    at_once = max(1, min(6, (os.cpu_count() or 1) // 2)) if kit.device == "cuda" else os.cpu_count() or 1
    configs = sorted(path.stem for path in (kit.folder / "configs").glob("*.ini"))
    return [
        (1, [Check("starts", checks.starts, limit=120)]),
        (at_once, [Check(f"variant {config}", checks.variant, config, limit=150) for config in configs]),
        (at_once, [Check(f"1 and 2 ranks, {config}", checks.ranks, config) for config in ("mnist_vae", "mnist_conv", "mnist_factor_vae")] + [
            Check("NCCL refuses two ranks on one device", checks.nccl_refuses_one_device, gpu=True),
            Check("NCCL refuses ranks on CPUs", checks.nccl_refuses_cpus),
            Check("NCCL with a world of one", checks.nccl_alone, gpu=True),
            Check("CUDA_VISIBLE_DEVICES is empty", checks.no_device),
            Check("resume, CPU to GPU", checks.resume, "cpu", "cuda", gpu=True),
            Check("resume, GPU to CPU", checks.resume, "cuda", "cpu", gpu=True),
            Check("loss beside the CPU's, mnist_vae", checks.same_loss, "mnist_vae", gpu=True),
            Check("loss beside the CPU's, mnist_conv", checks.same_loss, "mnist_conv", gpu=True),
            *[Check(f"the CPU's bits, {config}", checks.same_bits, config, gpu=True, limit=150)
              for config in ("mnist_vae", "mnist_conv", "bach_chorales_vrnn")],
            Check("bfloat16, mnist_vae", checks.bfloat16, "mnist_vae"),
            Check("bfloat16, mnist_conv", checks.bfloat16, "mnist_conv"),
            Check("evaluate", checks.evaluate), Check("encode", checks.encode), Check("score", checks.score),
            Check("sample", checks.drawing_command, "sample", "mnist_vae", ("--n=16",)),
            Check("reconstruct", checks.command_without_draws, "reconstruct", "mnist_vae"),
            Check("interpolate", checks.command_without_draws, "interpolate", "mnist_vae"),
            Check("traverse", checks.command_without_draws, "traverse", "mnist_vae"),
            Check("predict", checks.drawing_command, "predict", "bach_chorales_vrnn", ("--n=4", "--from=64")),
            Check("a command without a GPU", checks.command_without_gpu)]),
        (1, [Check("memory runs out", checks.memory_runs_out, gpu=True), Check("the GPU is taken", checks.gpu_is_taken, gpu=True)]),
        (1, [Check("products of the portable kernels", checks.products, gpu=True)]),
        (1, [Check("PyTorch is prepared", checks.prepare_peers, limit=150)]),
        (1, [Check(f"speed, {checks.SPEED[name][0]}", checks.speed, name, limit=180) for name in checks.SPEED]),
    ]


class Report:
    """The results so far: a line each on stdout, all of them in one JSON file that is always whole."""

    def __init__(self, path, machine):
        self.path, self.lock = path, threading.Lock()
        self.content = {"machine": machine, "checks": []}
        self.save()

    def save(self):
        temporary = self.path.with_suffix(".new")
        temporary.write_text(json.dumps(self.content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        temporary.replace(self.path)

    def add(self, name, verdict, seconds, detail, figures):
        with self.lock:
            self.content["checks"].append({"name": name, "verdict": verdict, "seconds": round(seconds, 1), "detail": detail,
                                           "figures": figures})
            self.save()
            print(f"{verdict:<8} {seconds:6.1f} s  {name:<38} {detail}", flush=True)

    def count(self, verdict):
        return sum(check["verdict"] == verdict for check in self.content["checks"])


def run_check(kit, check, report, end):
    begin = time.monotonic()
    figures = {}
    try:
        if check.gpu and kit.device != "cuda":
            raise NotRun("no GPU")
        if end - begin < 5:
            raise NotRun("the time was over")
        outcome = check.function(Job(kit, check.name, min(check.limit, end - begin)))
        detail, figures = outcome if isinstance(outcome, tuple) else (outcome, {})
        verdict = "passed"
    except NotRun as reason:
        verdict, detail = "not run", str(reason)
    except Failed as reason:
        verdict, detail = "FAILED", str(reason)
    except Exception as error:  # a fault of the check itself, or a file that is missing: a verdict all the same
        verdict, detail = "FAILED", f"{type(error).__name__}: {error}"
    report.add(check.name, verdict, time.monotonic() - begin, " ".join(detail.split()), figures)


def print_speed(report):
    figures = [check["figures"] for check in report.content["checks"] if "step_ms" in check["figures"]]
    if not figures:
        return
    print("\n| samples/s | " + " | ".join(("elbo, microbatch 64", "elbo, microbatch = batch", "elbo, bfloat16", "PyTorch eager",
                                           "PyTorch compile", "PyTorch CUDA graphs", "peak MiB on the device")) + " |")
    print("|---" * 8 + "|")
    for entry in figures:
        ways = [list(entry["elbo"].values())[i:i + 1] or [""] for i in range(3)]
        peers = [entry["pytorch"].get(way, "") for way in ("eager", "compile", "graphs")]
        peak = [memory["peak"] for memory in entry["device_mib"].values() if memory]
        cells = [way[0] for way in ways] + peers + [max(peak, default="")]
        print(f"| {entry['what']} | " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells) + " |")
    parts = ("compute", "exchange", "update", "publish", "data")
    print("\n| ms of a step | " + " | ".join(parts) + " |\n" + "|---" * (len(parts) + 1) + "|")
    for entry in figures:
        for way, spent in entry["step_ms"].items():
            print(f"| {entry['what']}, {way} | " + " | ".join(f"{spent[part]:.2f}" for part in parts) + " |")


def machine_of(kit, torch):
    commit = kit.folder / "commit"
    version = torch / "torch/version.py"
    found = re.search(r"__version__ = '(.*?)'", version.read_text()) if version.exists() else None
    wheel = next(torch.glob("torch-*.dist-info"), None)
    return {"commit": commit.read_text().strip() if commit.exists() else "", "device": kit.device, "gpus": nvidia_smi(),
            "cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version(),
            "torch": found[1] if found else wheel.name[6:-10] if wheel else "unknown", "time": time.strftime("%Y-%m-%d %H:%M:%S")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kit", type=pathlib.Path, default=HERE, help="the folder that pack.sh made")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="auto: a GPU where there is one")
    parser.add_argument("--torch", help="folder that holds torch/ and nvidia/; by default that of this Python")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("."), help="folder of gpu.json")
    parser.add_argument("--minutes", type=float, default=8, help="what is not begun by then is not run")
    parser.add_argument("--only", default="", help="a regular expression: only checks whose name it is found in")
    given = parser.parse_args()
    end = time.monotonic() + 60 * given.minutes
    gpus = count_gpus()
    if given.device == "cuda" and gpus == 0:
        sys.exit("error: --device=cuda: the driver answers with no GPU, or there is no driver; expected --device=cpu here")
    device = "cuda" if gpus and given.device != "cpu" else "cpu"
    given.out.mkdir(parents=True, exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="elbo_gpu_"))
    try:
        torch = torch_folder(given.torch)
        kit = Kit(given.kit, torch, device, work)
        kit.check_folder()
        report = Report(given.out / "gpu.json", machine_of(kit, torch))
        print(json.dumps(report.content["machine"], ensure_ascii=False), flush=True)
        for at_once, stage in plan(kit):
            with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
                for check in stage:
                    if re.search(given.only, check.name):
                        pool.submit(run_check, kit, check, report, end)
        print_speed(report)
        print()
        passed, failed, not_run = map(report.count, ("passed", "FAILED", "not run"))
        for check in report.content["checks"]:
            if check["verdict"] == "FAILED":
                print(f"failed: {check['name']}: {check['detail']}")
        print(f"{passed} passed, {failed} failed, {not_run} skipped")
        return 1 if failed or not passed else 0
    finally:
        for peer in checks.PEERS.values():
            peer.close()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
