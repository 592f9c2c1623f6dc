"""The checks. Each takes a Job and returns a sentence, or a sentence and figures for the JSON file; it raises Failed or NotRun."""
import array
import concurrent.futures
import contextlib
import csv
import json
import math
import re
import statistics
import threading

from kit import NotRun, Peer, close, expect_sentence, require


def steps_for(job, gpu, cpu):
    return gpu if job.device == "cuda" else cpu


def starts(job):
    version = job.succeed("--version").out.strip()
    run = job.train("run", "mnist_vae", steps=20)
    return f"{version}: 20 steps in {run.result.seconds:.1f} s from start to end", {"seconds": run.result.seconds}


def variant(config, job):
    """Trained twice with deterministic kernels, to the same bits."""
    steps = steps_for(job, 20, 3)
    runs = [job.train(name, config, steps=steps) for name in ("first", "second")]
    require(runs[0].fingerprint == runs[1].fingerprint, f"{steps} steps end in {runs[0].fingerprint[:12]}… and in "
                                                        f"{runs[1].fingerprint[:12]}…, expected one fingerprint")
    runs[0].loss(last=1)
    return f"{steps} steps, twice {runs[0].fingerprint[:12]}", {
        "fingerprint": runs[0].fingerprint, "seconds": [round(run.result.seconds, 2) for run in runs],
        "device_mib": runs[0].device_mib()}


def ranks(config, job):
    """Two ranks on one device, through host memory: by choice, and because NCCL cannot serve them."""
    steps = steps_for(job, 20, 3)
    one = job.train("one", config, steps=steps)
    for communication in ("mpi", "auto"):
        two = job.train(communication, config, f"--train.communication={communication}", steps=steps, ranks=2)
        require(one.fingerprint == two.fingerprint, f"1 rank ends in {one.fingerprint[:12]}…, 2 ranks with train.communication="
                                                    f"{communication} in {two.fingerprint[:12]}…, expected one fingerprint")
    return f"1 and 2 ranks, {steps} steps: {one.fingerprint[:12]}"


def nccl_refuses_one_device(job):
    result = job.elbo("train", "configs/mnist_vae.ini", f"--run.directory={job.folder / 'run'}", "--train.device=cuda",
                      "--train.communication=nccl", "--train.steps=2", "--run.timeout=20", ranks=2, CUDA_VISIBLE_DEVICES="0")
    return expect_sentence(result, 2, "nccl", "train.communication=mpi")


def nccl_refuses_cpus(job):
    result = job.elbo("train", "configs/mnist_vae.ini", f"--run.directory={job.folder / 'run'}", "--train.device=cpu",
                      "--train.communication=nccl", "--train.steps=2", ranks=2)
    return expect_sentence(result, 2, "train.communication=nccl")


def nccl_alone(job):
    plain = job.train("plain", "mnist_vae", steps=20)
    nccl = job.train("nccl", "mnist_vae", "--train.communication=nccl", steps=20, NCCL_DEBUG="VERSION")
    require("NCCL version" in nccl.result.out + nccl.result.err, "NCCL was not started")
    require(plain.fingerprint == nccl.fingerprint, f"{nccl.fingerprint[:12]}… by NCCL, {plain.fingerprint[:12]}… without")
    return re.search(r"NCCL version \S+", nccl.result.out + nccl.result.err)[0]


def resume(first, then, job):
    """Half a run on one device, the other half on the other: it ends where the run on CPUs does, but for rounding and noise."""
    whole = job.train("whole", "mnist_vae", device="cpu", steps=80)
    job.train("mixed", "mnist_vae", device=first, steps=40)
    mixed = job.train("mixed", "mnist_vae", "--resume", device=then, steps=80)
    require(mixed.step == 80 and len(mixed.steps) == 80, f"ended at step {mixed.step} with {len(mixed.steps)} lines of metrics")
    a, b = whole.loss(last=20), mixed.loss(last=20)
    require(close(a, b, 0.01), f"loss {b:.3f} after 80 steps, {a:.3f} on CPUs alone: more than 1 % apart")
    return f"loss {b:.3f} after 40 steps on {first} and 40 on {then}, {a:.3f} on CPUs alone"


def same_loss(config, job):
    cpu, gpu = [job.train(device, config, device=device, steps=200).loss(last=20) for device in ("cpu", "cuda")]
    require(close(cpu, gpu, 0.01), f"loss {gpu:.3f} on the GPU, {cpu:.3f} on CPUs: more than 1 % apart")
    return f"loss after 200 steps {gpu:.3f} on the GPU, {cpu:.3f} on CPUs", {"gpu": gpu, "cpu": cpu}


def same_bits(config, job):
    """The portable kernels: the chains of the CPU on the GPU."""
    cpu, gpu = [job.train(device, config, "--train.kernels=portable", device=device, steps=20) for device in ("cpu", "cuda")]
    apart = next((a["step"] for a, b in zip(cpu.steps, gpu.steps) if (a["loss"], a["terms"]) != (b["loss"], b["terms"])), None)
    require(cpu.fingerprint == gpu.fingerprint, f"20 steps end in {cpu.fingerprint[:12]}… on CPUs and in {gpu.fingerprint[:12]}… on the "
                                                f"GPU, expected one fingerprint; the first step with other losses: {apart}")
    checked = job.succeed("train", f"configs/{config}.ini", "--check", "--train.kernels=portable", "--train.device=cuda",
                          f"--run.directory={job.folder / 'check'}")
    require("bits depend" not in checked.err, next((line for line in checked.err.splitlines() if "bits depend" in line), ""))
    return f"20 steps on CPUs and on the GPU: {cpu.fingerprint[:12]}", {
        "fingerprint": cpu.fingerprint, "portable_step_ms": gpu.milliseconds()}


def products(job):
    """The portable kernels' products beside PyTorch's in float32."""
    figures = {}
    for batch, inside, outside in ((128, 784, 400), (1024, 1024, 1024), (4096, 4096, 4096)):
        printed = job.succeed("bench", "kernels", f"--device={job.device}", f"--batch={batch}", f"--in={inside}", f"--out={outside}").out
        of_size, rates = figures.setdefault(f"{batch}×{inside}×{outside}", {}), {}
        for line in printed.splitlines()[1:]:  # a product, then a line for each method: its name, the median, the best
            if line.startswith("  "):
                method, median, _ = line.rsplit(None, 2)
                rates[method.strip()] = float(median)
            else:
                rates = of_size.setdefault(line, {})
    shares = [rates["elbo"] / rates["LibTorch"] for rates in figures["4096×4096×4096"].values()]
    require(min(shares) >= 0.7, f"4096³: {min(shares):.2f} of PyTorch's rate in float32, expected 0.7")
    return f"4096³: {min(shares):.2f} to {max(shares):.2f} of PyTorch's rate in float32", {"gflops": figures}


def bfloat16(config, job):
    steps = steps_for(job, 100, 10)
    single = job.train("float32", config, steps=steps)
    half = [job.train(name, config, "--train.precision=bfloat16", steps=steps) for name in ("first", "second")]
    require(half[0].fingerprint == half[1].fingerprint, "two runs end in two fingerprints")
    require(half[0].fingerprint != single.fingerprint, "it ends in the bits of float32")
    a, b = single.loss(last=5), half[0].loss(last=5)
    require(close(a, b, 0.05), f"loss {b:.3f}, {a:.3f} in float32: more than 5 % apart")
    return f"loss {b:.3f} after {steps} steps, {a:.3f} in float32; twice {half[0].fingerprint[:12]}"


def no_device(job):
    """CUDA_VISIBLE_DEVICES is empty, as a scheduler leaves it for a job without GPUs."""
    sentence = expect_sentence(job.elbo("train", "configs/mnist_vae.ini", f"--run.directory={job.folder / 'cuda'}",
                                        "--train.device=cuda", "--train.steps=2", CUDA_VISIBLE_DEVICES=""), 2, "train.device=cuda")
    job.train("auto", "mnist_vae", device="auto", steps=2, CUDA_VISIBLE_DEVICES="")
    return f"{sentence} — and train.device=auto takes the CPU"


@contextlib.contextmanager
def held_memory(job, leave_mib):
    """All of the GPU's memory but this much is another process's."""
    peer = Peer(job, "hold", f"--leave={leave_mib}")
    try:
        yield
    finally:
        peer.close()


def memory_runs_out(job):
    with held_memory(job, leave_mib=1500):
        result = job.elbo("train", "configs/mnist_vae.ini", f"--run.directory={job.folder / 'run'}", "--train.device=cuda",
                          "--network.hidden=12288,12288", "--train.steps=2")
    return expect_sentence(result, 1, "memory")


def gpu_is_taken(job):
    """All of its memory is another process's, so not even a context can be made."""
    with held_memory(job, leave_mib=16):
        result = job.elbo("train", "configs/mnist_vae.ini", f"--run.directory={job.folder / 'run'}", "--train.device=cuda",
                          "--train.steps=2")
    return expect_sentence(result, 1, "memory")


class TrainedRuns:
    """Runs that several checks use, each trained once, by the first that asks."""

    def __init__(self):
        self.lock, self.runs = threading.Lock(), {}

    def get(self, job, config):
        with self.lock:
            if config not in self.runs:
                self.runs[config] = job.train("trained", config, steps=steps_for(job, 200, 20)).folder
            return self.runs[config]


TRAINED = TrainedRuns()


def numbers(path):
    """All numbers of a CSV file, row by row; the first line has names."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = [[float(value) for value in row] for row in list(csv.reader(file))[1:]]
    require(rows, f"{path} has no rows")
    require(all(math.isfinite(value) for row in rows for value in row), f"{path} has numbers that are not finite")
    return rows


def h5_numbers(job, path, name):
    """All numbers of a float32 dataset in an HDF5 file."""
    values = path.with_suffix(f".{name}")
    done = job.run([str(job.kit.folder / "bin/h5dump"), "-d", f"/{name}", "-b", "LE", "-o", str(values), str(path)],
                   job.kit.environment)
    require(done.code == 0, f"h5dump cannot read /{name} of {path}: {done.error()}")
    numbers = array.array("f", values.read_bytes())
    require(numbers and all(map(math.isfinite, numbers)), f"/{name} of {path} is empty, or has numbers that are not finite")
    return numbers


def furthest(first, second):
    require([len(row) for row in first] == [len(row) for row in second], "the two files have not the same shape")
    return max(abs(a - b) for one, other in zip(first, second) for a, b in zip(one, other))


def on_both(job, config, command, *words, out):
    """The files that a command writes on the device and on CPUs."""
    run, files = TRAINED.get(job, config), []
    for device in (job.device, "cpu"):
        files.append(job.folder / f"{device}_{len(files)}{out}")
        job.succeed(command, run, *words, f"--device={device}", f"--out={files[-1]}")
    return files


def command_without_draws(command, config, job):
    """What it writes follows from the parameters alone: both devices agree but for rounding."""
    files = on_both(job, config, command, out=".csv")
    apart = furthest(*map(numbers, files))
    require(apart < 1e-3, f"{command}: the devices' results differ by up to {apart:.2g}, expected rounding alone")
    return f"differs from CPUs by up to {apart:.2g}"


def encode(job):
    files = on_both(job, "mnist_vae", "encode", "datasets/mnist.h5", "--split=test", out=".h5")
    codes = [h5_numbers(job, file, "z") for file in files]
    require(len(codes[0]) == len(codes[1]), "the two files have not the same shape")
    apart = max(abs(a - b) for a, b in zip(*codes))
    require(apart < 1e-3, f"the devices' codes differ by up to {apart:.2g}, expected rounding alone")
    return f"500 codes differ from those of CPUs by up to {apart:.2g}"


def score(job):
    files = on_both(job, "mnist_vae", "score", "datasets/mnist.h5", "--split=test", "--importance_samples=50", out=".h5")
    means = [statistics.fmean(h5_numbers(job, file, "score")) for file in files]
    require(close(*means, 0.01), f"mean score {means[0]:.3f}, {means[1]:.3f} on CPUs: more than 1 % apart")
    return f"-log p(x) {means[0]:.3f}, {means[1]:.3f} on CPUs"


def evaluate(job):
    files = on_both(job, "mnist_vae", "evaluate", "--importance_samples=50", out=".json")
    device, cpu = [json.loads(file.read_text()) for file in files]
    for name in ("loss", "nll", "mse"):
        require(close(device[name], cpu[name], 0.01), f"{name} {device[name]:.4f}, {cpu[name]:.4f} on CPUs: more than 1 % apart")
    return f"loss {device['loss']:.3f}, {cpu['loss']:.3f} on CPUs"


def drawing_command(command, config, words, job):
    """Draws follow from the seed: twice the same file, every number of it finite."""
    run, texts = TRAINED.get(job, config), []
    for name in ("first", "second"):
        file = job.folder / f"{name}.csv"
        job.succeed(command, run, *words, f"--device={job.device}", f"--out={file}")
        texts.append(file.read_text())
        rows = numbers(file)
    require(texts[0] == texts[1], "two calls with one seed write two files")
    return f"{len(rows)} rows, twice the same"


def command_without_gpu(job):
    run = TRAINED.get(job, "mnist_vae")
    result = job.elbo("evaluate", run, "--device=cuda", f"--out={job.folder}/none.json", CUDA_VISIBLE_DEVICES="")
    return expect_sentence(result, 2, "device=cuda")


# name → (what it is, configuration, settings, batch, steps on a GPU and on a CPU); the networks are those of peers.py
SPEED = {
    "mlp": ("784-400-z20, batch 128", "mnist_vae", (), 128, 400, 20),
    "conv": ("mnist_conv, batch 128", "mnist_conv", (), 128, 300, 10),
    "wide": ("4096-2048-z128, batch 512", "mnist_vae",
             ("--data.path=datasets/wide.h5", "--network.hidden=2048", "--model.latent=128", "--train.batch=512"), 512, 150, 4),
    "colour": ("convolutions on 3×64×64, batch 256", "mnist_conv",
               ("--data.path=datasets/colour.h5", "--network.channels=32,64,128,256", "--model.latent=128", "--train.batch=256"),
               256, 150, 4),
}


PEERS = {}  # name of the model → the process that waits to be measured


def prepare_peers(job):
    """Side by side, as torch.compile takes its time; before anything is measured, as it takes the cores."""
    def prepare(name):
        gpu, cpu = SPEED[name][-2:]
        PEERS[name] = Peer(job, "speed", name, f"--device={job.device}", f"--steps={steps_for(job, gpu, cpu)}")

    with concurrent.futures.ThreadPoolExecutor(len(SPEED)) as pool:
        for done in [pool.submit(prepare, name) for name in SPEED]:
            done.result()
    return f"{', '.join(PEERS)} are ready"


def pytorch_rates(name, job):
    """samples/s by way of computing; a sentence in place of a number where a way cannot be had."""
    if name not in PEERS:
        return {"not run": "PyTorch is not prepared"}
    try:
        return {way: round(rate) if isinstance(rate, float) else rate for way, rate in PEERS[name].measure(job).items()}
    except NotRun as reason:
        return {"not run": str(reason)}


def speed(name, job):
    what, config, settings, batch, on_gpu, on_cpu = SPEED[name]
    steps = steps_for(job, on_gpu, on_cpu)
    figures = {"what": what, "elbo": {}, "step_ms": {}, "device_mib": {}}
    ways = {"microbatch 64": (), f"microbatch {batch}": (f"--train.microbatch={batch}",)}
    if job.device == "cuda":
        ways["bfloat16"] = (f"--train.microbatch={batch}", "--train.precision=bfloat16")
    for way, more in ways.items():
        run = job.train(way.replace(" ", "_"), config, *settings, *more, steps=steps)
        figures["elbo"][way] = round(run.samples_per_s(batch))
        figures["step_ms"][way] = run.milliseconds()
        figures["device_mib"][way] = run.device_mib()
        figures["host_mib"] = round(run.result.peak_mib)
    figures["pytorch"] = pytorch_rates(name, job)
    best = max(figures["elbo"].values())
    rates = [f"{way} {rate}" for way, rate in figures["pytorch"].items()]
    return f"{what}: elbo {best} samples/s at best; PyTorch {', '.join(rates)}", figures


