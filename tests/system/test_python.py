#!/usr/bin/env python3
"""Networks outside of the program, in the Python package and as graphs of ONNX, compute what `elbo encode` and `elbo decode`
write. The package reads runs."""
import importlib.util
import json
import shutil
import subprocess
import sys
import unittest

import h5py
import numpy

from program import ELBO, ENVIRONMENT, ROOT, ProgramTest
from program import run as program_run

sys.path.insert(0, str(ROOT / "python"))
import elbo  # noqa: E402

sys.path.append(str(ROOT / "deps/python"))
try:
    import onnxruntime
except ImportError:
    onnxruntime = None
HAS_TORCH = importlib.util.find_spec("torch") is not None
STEPS = "--train.steps=3", "--train.batch=16", "--train.microbatch=8", "--evaluate.every=never", "--network.hidden=12"
RNG = numpy.random.default_rng(0)
ROWS = 40


def images(*sides):
    return RNG.integers(0, 256, (ROWS, *sides), "u1")


def table(columns=6):
    return (RNG.normal(size=(ROWS, columns)) * RNG.uniform(1, 30, columns) + 100).astype("f4")


def mixed_table():
    """Two real columns, a bit, a count, and one of three categories."""
    return numpy.column_stack([table(2), RNG.integers(0, 2, ROWS), RNG.poisson(4, ROWS), numpy.eye(3)[RNG.integers(0, 3, ROWS)]]).astype("f4")


def table_with_gaps():
    values = table()
    values[RNG.random(values.shape) < 0.2] = numpy.nan
    return values


CLASSES = RNG.integers(0, 3, ROWS)
# name: (rows, labels, kind, settings)
CASES = {
    "vae_conv": (images(1, 17, 22), None, "image", ("--model.name=vae", "--network.kind=conv", "--network.channels=4,5",
                                                   "--network.activation=gelu", "--model.likelihood=bernoulli")),
    "beta_vae_volume": (images(2, 8, 9, 8), None, "volume", ("--model.name=beta_vae", "--network.kind=conv", "--network.channels=3,4",
                                                             "--model.likelihood=discretized_logistic", "--network.activation=silu")),
    "cvae_conv": (images(3, 16, 16), CLASSES, "image", ("--model.name=cvae", "--network.kind=conv", "--network.channels=4",
                                                       "--model.likelihood=categorical", "--model.likelihood_levels=5",
                                                       "--network.activation=leaky_relu")),
    "cvae_attributes": (table(), RNG.normal(size=(ROWS, 2)).astype("f4"), "tabular", ("--model.name=cvae", "--network.activation=elu")),
    "vae_standardized": (table(), None, "tabular", ("--model.name=vae", "--model.likelihood_variance=learned",
                                                   "--data.normalize=standardize", "--network.activation=tanh")),
    "miwae_gaps": (table_with_gaps(), None, "tabular", ("--model.name=miwae", "--data.missing=mask", "--data.normalize=robust")),
    "vamp_vae_counts": (RNG.poisson(5, (ROWS, 7)).astype("i4"), None, "counts",
                        ("--model.name=vamp_vae", "--model.components=4", "--model.likelihood=zero_inflated_negative_binomial",
                         "--model.library=observed", "--model.dispersion=gene-cell")),
    "iwae_poisson": (RNG.poisson(5, (ROWS, 7)).astype("i4"), None, "counts", ("--model.name=iwae", "--model.likelihood=poisson")),
    "dip_vae_l2": (RNG.integers(0, 2, (ROWS, 9)).astype("u1"), None, "interactions",
                   ("--model.name=dip_vae", "--model.likelihood=multinomial", "--network.input=l2")),
    "vae_mixed": (mixed_table(), None, "tabular", ("--model.name=vae", "--model.likelihood=mixed", "--network.activation=softplus",
                                                  "--model.likelihood_columns=gaussian:2,bernoulli,count,categorical:3")),
    "aae_log": (table(), None, "tabular", ("--model.name=aae", "--data.normalize=log1p")),
    "gan_sequence": (RNG.normal(size=(ROWS, 5, 2)).astype("f4"), None, "sequence", ("--model.name=gan", "--network.hidden=", "--model.likelihood_variance=fixed")),
}
# Models whose networks the package does not have, but ONNX has: name → (…, the networks that are written)
OTHERS = {
    "iaf": (table(), None, "tabular", ("--model.name=iaf_vae", "--model.latent=3")),
    "ladder": (table(), None, "tabular", ("--model.name=hierarchical_vae", "--model.latents=3,2")),
    "vq_vae": (images(1, 16, 16), None, "image", ("--model.name=vq_vae",)),
    "vrnn": (RNG.normal(size=(ROWS, 6, 3)).astype("f4"), None, "sequence", ("--model.name=vrnn", "--model.latent=3",
                                                                                  "--train.kernels=portable")),
}


class Networks(ProgramTest):

    def make(self, name):
        """Trains the case. Returns its data set and its run."""
        rows, label, kind, settings = {**CASES, **OTHERS}[name]
        data, run = self.folder / f"{name}.h5", self.folder / name
        with h5py.File(data, "w") as file:
            file.attrs["kind"] = kind
            for split in ("train", "test"):
                file[f"{split}/x"] = rows
                if label is not None:
                    file[f"{split}/label"] = label
        latent = () if name in OTHERS else ("--model.latent=3",)
        self.succeed(0, "train", data, f"--run.directory={run}", *STEPS, *latent, *settings)
        return data, run

    def results(self, name):
        """The run, its rows and labels, and the numbers that the program writes for them."""
        data, run = self.make(name)
        codes, rows = self.folder / f"{name}.codes.h5", self.folder / f"{name}.rows.h5"
        self.succeed(0, "encode", run, data, "--split=test", f"--out={codes}")
        self.succeed(0, "decode", run, codes, f"--out={rows}")
        with h5py.File(rows) as file:
            decoded = file["x"][()]
        x, label = {**CASES, **OTHERS}[name][:2]
        return run, x, label, elbo.read_codes(codes), decoded

    def near(self, found, expected, what):
        """To 1e-5 of numbers near 1, and relative to larger ones."""
        numpy.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5, err_msg=what)

    def check(self, name, networks, x, label, codes, decoded, array=numpy.asarray):
        mean, logvar = networks.encode(x, label)
        self.near(array(mean), codes.z, f"{name}: z")
        self.assertEqual(logvar is None, codes.logvar is None)
        if logvar is not None:
            self.near(array(logvar), codes.logvar, f"{name}: logvar")
        self.near(array(networks.decode(codes.z, label)), decoded, f"{name}: x")

    def test_networks_compute_what_the_program_does(self):
        for name in CASES:
            with self.subTest(name):
                run, x, label, codes, decoded = self.results(name)
                self.check(name, elbo.open_run(run).networks(), x, label, codes, decoded)
                out = self.folder / f"{name}.safetensors"
                self.succeed(0, "export", run, f"--out={out}")
                self.check(name, elbo.load_networks(out), x, label, codes, decoded)
                if HAS_TORCH:
                    module = elbo.load_module(out)
                    self.check(name, module, x, label, codes, decoded, lambda tensor: tensor.detach().numpy())
                    checkpoint = elbo.open_run(run).checkpoint()
                    self.assertEqual(set(module.state_dict()), {*checkpoint.parameters, *checkpoint.buffers})
                self.check_graphs(run, x, label, codes, decoded)

    @unittest.skipUnless(onnxruntime, "this Python has no onnxruntime (launch/setup.sh --tests)")
    def test_graphs_of_other_models_compute_what_the_program_does(self):
        for name in OTHERS:
            with self.subTest(name):
                run, x, label, codes, decoded = self.results(name)
                self.check_graphs(run, x, label, codes, decoded, encoder=name != "vrnn")
                if name == "vrnn":
                    self.refuse_export(run, "--network=encoder", "reads each row up to its length")

    def refuse_export(self, run, option, *words):
        result = program_run(0, "export", run, "--format=onnx", option, f"--out={self.folder}/no.onnx")
        self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)
        self.assertFalse((self.folder / "no.onnx").exists())

    def check_graphs(self, run, x, label, codes, decoded, encoder=True):
        """Both networks, for all rows at once and for a single one."""
        if onnxruntime is None:
            return
        networks = {"decoder": ({"z": codes.z}, {"x": decoded})}
        if encoder:
            outputs = {"z": codes.z} if codes.logvar is None else {"z": codes.z, "logvar": codes.logvar}
            networks["encoder"] = ({"x": x.astype("f4")}, outputs)
        for network, (inputs, outputs) in networks.items():
            out = self.folder / f"{run.name}.{network}.onnx"
            self.succeed(0, "export", run, "--format=onnx", f"--network={network}", f"--out={out}")
            session = onnxruntime.InferenceSession(out.read_bytes())
            if "label" in [port.name for port in session.get_inputs()]:
                inputs = {**inputs, "label": label}
            self.assertEqual([port.name for port in session.get_outputs()], list(outputs))
            self.assertEqual(session.get_outputs()[0].shape, ["N", *next(iter(outputs.values())).shape[1:]])
            self.assertEqual(session.get_modelmeta().custom_metadata_map["step"], "3")
            for rows in (slice(None), slice(1)):
                found = session.run(None, {name: values[rows] for name, values in inputs.items()})
                for name, values in zip(outputs, found):
                    self.near(values, outputs[name][rows], f"{run.name}: {network}: {name}")

    @unittest.skipUnless(HAS_TORCH, "this Python has no torch")
    def test_modules_have_gradients_and_learn(self):
        import torch

        data, run = self.make("vae_standardized")
        module = elbo.open_run(run).module()
        x = torch.as_tensor(CASES["vae_standardized"][0])
        optimizer = torch.optim.Adam(module.parameters(), 0.01)

        def loss():
            return ((module(x) - x) / module.input_scale).square().mean()

        before = loss()
        for _ in range(50):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()
        self.assertLess(loss().item(), 0.9 * before.item())
        self.assertNotIn("input_scale", dict(module.named_parameters()))

    def test_a_run_is_read(self):
        data, directory = self.make("cvae_conv")
        self.succeed(0, "evaluate", directory)
        run = elbo.open_run(directory)
        self.assertEqual(run.configuration["model"]["name"], "cvae")
        self.assertEqual(run.classes, ["0", "1", "2"])
        self.assertEqual(run.columns, [])
        self.assertEqual(run.evaluation["rows"], ROWS)
        self.assertEqual([checkpoint.step for checkpoint in run.checkpoints], [3])
        checkpoint = run.checkpoint(3)
        self.assertEqual(checkpoint.parameters["encoder.conv0.weight"].shape, (4, 3, 4, 4))
        self.assertEqual(checkpoint.attributes["step"], 3)
        with self.assertRaisesRegex(FileNotFoundError, "no checkpoint 2; expected newest, best or one of the steps: 3"):
            run.checkpoint(2)
        with self.assertRaisesRegex(FileNotFoundError, "expected the folder that elbo train made"):
            elbo.open_run(self.folder)
        with self.assertRaisesRegex(ValueError, r"x has the shape \(2, 3, 4\); expected \('n', 3, 16, 16\)"):
            run.networks().encode(numpy.zeros((2, 3, 4)))
        with self.assertRaisesRegex(ValueError, "expected a label for each of 2 rows"):
            run.networks().decode(numpy.zeros((2, 3)))
        lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
        metrics = run.metrics("train")
        self.assertEqual(list(metrics["step"]), [1, 2, 3])
        self.assertEqual(list(metrics["terms.kl"]), [line["terms"]["kl"] for line in lines if line["split"] == "train"])

    def test_metrics_without_pandas_are_dicts(self):
        data, directory = self.make("vae_standardized")
        script = f"""
import sys
sys.modules["pandas"] = None
import elbo
lines = elbo.open_run({str(directory)!r}).metrics()
assert isinstance(lines, list) and lines[-1]["step"] == 3 and "terms.kl" in lines[-1], lines
"""
        subprocess.run([sys.executable, "-c", script], cwd=ROOT / "python", check=True)

    def test_codes_have_names_and_classes(self):
        lines = [f"p{i},{i * 0.5 + (i % 3)},{i % 7},{['red', 'blue'][i % 2]}" for i in range(30)]
        path = self.folder / "people.csv"
        path.write_text("\n".join(["who,a,b,color", *lines]) + "\n")
        data, run, out = self.folder / "people.h5", self.folder / "run", self.folder / "codes.h5"
        self.succeed(0, "convert", "csv", path, "--id=who", "--label=color", f"--out={data}")
        self.succeed(0, "train", data, f"--run.directory={run}", *STEPS, "--data.validation_fraction=0.2")
        self.succeed(0, "encode", run, data, f"--out={out}")
        codes = elbo.read_codes(out)
        self.assertEqual(len(codes), 30)
        by_name = dict(zip(codes.name, codes.class_of_row))
        self.assertEqual(by_name, {f"p{i}": ["red", "blue"][i % 2] for i in range(30)})
        frame = codes.frame()
        self.assertEqual(frame.loc["p4", "class"], "red")
        self.assertEqual(frame.loc["p4", "z_0"], codes.z[codes.name.index("p4"), 0])
        self.assertEqual(elbo.open_run(run).columns, ["a", "b"])
        self.assertEqual(sorted(elbo.open_run(run).classes), ["blue", "red"])
        with self.assertRaisesRegex(ValueError, "has no dataset /z"):
            elbo.read_codes(data)

    def test_other_models_are_refused_with_a_sentence(self):
        data, run = self.make("vae_standardized")
        other = self.folder / "iaf"
        self.succeed(0, "train", data, f"--run.directory={other}", *STEPS, "--model.name=iaf_vae")
        with self.assertRaisesRegex(NotImplementedError, "model.name=iaf_vae: its networks are not available in Python; use elbo encode"):
            elbo.open_run(other).networks()

    def test_notebooks_run_and_are_saved_with_their_outputs(self):
        data, run = ROOT / "datasets/mnist.h5", self.folder / "run"
        self.train(0, "run", "--train.steps=40", "--evaluate.every=20")
        self.succeed(0, "encode", run, data, "--split=test", f"--out={run}/codes.h5")
        environment = {**ENVIRONMENT, "ELBO": ELBO, "RUN": str(run), "PYTHONPATH": str(ROOT / "python")}
        for saved in sorted((ROOT / "python/notebooks").glob("*.ipynb")):
            with self.subTest(saved.name):
                here = self.folder / saved.name
                shutil.copy(saved, here)
                subprocess.run([sys.executable, ROOT / "python/notebooks/execute.py", here], check=True, env=environment)
                expected, found = (json.loads(path.read_text())["cells"] for path in (saved, here))
                for cell, again in zip(expected, found):  # numbers depend on the run and the processor
                    self.assertEqual(cell["source"], again["source"])
                    self.assertEqual(*([sorted(output.get("data", ["text"])) for output in each.get("outputs", ())]
                                       for each in (cell, again)))

    def test_pip_installs_the_package_without_a_network(self):
        source, into = self.folder / "source", self.folder / "site"
        shutil.copytree(ROOT / "python", source, ignore=shutil.ignore_patterns("__pycache__"))
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-build-isolation", "--no-deps", "--target",
                        into, source], check=True, capture_output=True)
        script = "import elbo, importlib.metadata; print(elbo.__file__, importlib.metadata.version('elbo'))"
        found = subprocess.run([sys.executable, "-c", script], cwd=self.folder, env={"PYTHONPATH": str(into)}, check=True,
                               capture_output=True, text=True).stdout.split()
        self.assertEqual(found[0], str(into / "elbo/__init__.py"))
        version = (ROOT / "CMakeLists.txt").read_text().split("project(elbo VERSION ")[1].split()[0]
        self.assertEqual(found[1], version)
        self.assertTrue((into / "elbo/py.typed").exists())


if __name__ == "__main__":
    unittest.main()
