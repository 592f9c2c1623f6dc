#!/usr/bin/env python3
"""The command that launch/run.sh creates from hosts, ranks and binding, and its errors."""
import os
import shutil
import subprocess
import unittest

from program import ELBO, ROOT, ProgramTest


class Run(ProgramTest):
    def setUp(self):
        super().setUp()
        self.tools = self.folder / "tools"
        self.tools.mkdir()
        self.tool("nvidia-smi", "exit 9")  # hides GPUs of this machine
        self.domains(1, 8)

    def tool(self, name, script):
        """A program that comes before the system's in PATH."""
        file = self.tools / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        return file

    def domains(self, count, cores, usable=None):
        self.tool("nproc", f"echo {usable or cores}")
        lines = [f"{core * count // cores},0,{core}" for core in range(cores)]
        self.tool("lscpu", "printf '%s\\n' '# node,socket,core' " + " ".join(lines))

    def gpus(self, count):
        self.tool("nvidia-smi", f'[ "$1" = -L ] && for i in $(seq {count}); do echo "GPU $i: NVIDIA"; done')

    def call(self, *words, **variables):
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "OMP_", "OMPI_"))}
        environment.update({"PATH": f"{self.tools}:{os.environ['PATH']}", "ELBO": ELBO,
                            "OMPI_MCA_btl_tcp_if_exclude": "lo", **variables})  # also where there are bridges for containers
        return subprocess.run([ROOT / "launch/run.sh", *words], cwd=self.folder, env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300)

    def command(self, *words, **variables):
        """What the dry run prints between mpirun and elbo."""
        result = self.call(*words, "--dry_run", "train", "x.ini", **variables)
        self.assertEqual(result.returncode, 0, result.stderr)
        command = result.stdout.replace("\\", "").split()
        self.assertEqual(command[-3:], [ELBO, "train", "x.ini"])
        return " ".join(word for word in command[1:-3] if word not in ("-x", "LD_LIBRARY_PATH"))

    def test_hosts_may_have_numbers_of_their_own(self):
        for words in (["--hosts=a,b:3"], ["--hostfile=hosts"]):
            (self.folder / "hosts").write_text("# two\na\n\nb slots=3   # three ranks\n")
            self.assertEqual(self.command(*words), "--host a:1,b:3 -n 4 --bind-to none")
        (self.folder / "hosts").write_text("a:2\nb.cluster slots=2\n")
        self.assertEqual(self.command("--hostfile=hosts"), "--host a:2,b.cluster:2 -n 4 --map-by ppr:2:node --bind-to none")

    def test_a_rank_for_each_numa_domain_stays_in_it(self):
        self.domains(4, 64)
        self.assertEqual(self.command("--hosts=a,b"), "--host a:4,b:4 -n 8 --map-by ppr:1:numa --bind-to numa")
        self.assertEqual(self.command(), "--host localhost:4 -n 4 --map-by ppr:1:numa --bind-to numa")
        self.assertEqual(self.command("--ranks_per_node=8"),
                         "--host localhost:8 -n 8 --map-by ppr:2:numa:PE=8 --bind-to core")
        self.assertEqual(self.command("--ranks_per_node=3"), "--host localhost:3 -n 3 --map-by ppr:3:node --bind-to none")
        self.assertEqual(self.command("--bind=none"), "--host localhost:4 -n 4 --map-by ppr:4:node --bind-to none")
        self.assertEqual(self.command("--ranks_per_node=5", "--bind=core"),
                         "--host localhost:5 -n 5 --map-by ppr:5:node:PE=12 --bind-to core")

    def test_a_part_of_a_host_has_no_domains(self):
        self.domains(4, 64, usable=12)
        self.assertEqual(self.command(), "--host localhost:1 -n 1 --map-by ppr:1:node --bind-to none")
        self.assertEqual(self.command("--ranks_per_node=3", "--bind=core"),
                         "--host localhost:3 -n 3 --map-by ppr:3:node:PE=4 --bind-to core")

    def test_a_rank_for_each_gpu(self):
        self.gpus(4)
        self.assertEqual(self.command("--hosts=a,b"), "--host a:4,b:4 -n 8 --map-by ppr:4:node --bind-to none")
        self.assertEqual(self.command("--ranks_per_node=numa"), "--host localhost:1 -n 1 --map-by ppr:1:node --bind-to none")

    def test_an_allocation_of_slurm_is_used_as_it_is(self):
        allocation = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n[1-4]", "SLURM_JOB_NUM_NODES": "4"}
        self.assertEqual(self.command(**allocation, SLURM_NTASKS="8"), "--bind-to none")
        self.gpus(2)
        self.assertEqual(self.command(**allocation), "-n 8 --map-by ppr:2:node:OVERSUBSCRIBE --bind-to none")
        self.assertEqual(self.command("--hosts=n1", **allocation), "--host n1:2 -n 2 --map-by ppr:2:node --bind-to none")

    def test_variables_that_matter_to_ranks_travel(self):
        self.assertEqual(self.command("--env=A=1", "--env=B", B="2", OMP_PROC_BIND="true", OMPI_MCA_btl="tcp,self"),
                         "--host localhost:1 -n 1 --map-by ppr:1:node --bind-to none OMP_PROC_BIND A=1 B")

    def test_hydra_is_given_its_own_options(self):
        hydra = self.tool("hydra", "echo HYDRA build details:")
        self.tool("ldd", "echo 'libmpi.so.12 => /lib/libmpi.so.12'")
        self.assertEqual(self.command(f"--mpirun={hydra}", "--hosts=a,b:1", "--env=A=1"),
                         "-hosts a:1,b:1 -ppn 1 -n 2 -bind-to none -genv A 1")

    def test_the_mpirun_of_another_mpi_is_refused(self):
        hydra = self.tool("hydra", "echo HYDRA build details:")
        self.assert_refused(["--hosts=a", f"--mpirun={hydra}"], f"{hydra} belongs to MPICH or Intel MPI, but {ELBO} is linked to libmpi.so.")
        self.assert_refused([f"--mpirun={self.tool('other', 'echo 1.0')}"], "is neither Open MPI's nor hydra")

    def assert_refused(self, words, sentence, **variables):
        result = self.call(*words, "train", "x.ini", **variables)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        self.assertTrue(result.stderr.startswith("error: "), result.stderr)
        self.assertIn(sentence, result.stderr)

    def test_errors_are_one_clear_line(self):
        for word, sentence in (("--host=a", "unknown option '--host=a'"),
                               ("--hosts", "--hosts: needs a value: --hosts=VALUE"),
                               ("--hosts=a,a", "a is listed twice"),
                               ("--hosts=a:0", "'a:0' is not a host"),
                               ("--hosts=a,,b", "'' is not a host"),
                               ("--hostfile=nowhere", "--hostfile=nowhere: cannot be read"),
                               ("--ranks_per_node=0", "expected a number from 1, auto, numa or gpu"),
                               ("--ranks_per_node=gpu", "shows no GPU"),
                               ("--bind=socket", "expected auto, none, core or numa"),
                               ("--env=1=2", "expected NAME or NAME=VALUE"),
                               ("--env=NOT_SET_HERE", "is not set here"),
                               ("--mpirun=nowhere", "nowhere: there is no such program")):
            with self.subTest(word):
                self.assert_refused([word], sentence)
        self.assert_refused(["--hosts=a", "--hostfile=b"], "exclude each other")
        self.assert_refused(["train", "--dry_run"], "--dry_run: must come before the command: launch/run.sh --dry_run train")
        self.assert_refused(["--hosts=a:1,b:2", "--bind=numa"], "needs the same number of ranks on every host")
        self.assert_refused(["--ranks_per_node=9", "--bind=core"], "9 ranks exceed the 8 cores")
        self.domains(2, 8)
        self.assert_refused(["--ranks_per_node=3", "--bind=numa"], "3 ranks cannot be distributed evenly to 2 NUMA domains")
        self.assert_refused([], "ELBO=nowhere: is not a program", ELBO="nowhere")
        result = self.call("--dry_run")
        self.assertEqual((result.returncode, "no command; expected one" in result.stderr), (2, True))

    def test_elbo_is_found_where_it_is_installed(self):
        environment = {name: value for name, value in os.environ.items() if name != "ELBO"}
        for place in ("launch", "share/elbo/launch"):  # of a folder assembled by hand, and of cmake --install
            with self.subTest(place):
                installed = self.folder / place.replace("/", "_")
                (installed / place).mkdir(parents=True)
                (installed / "bin").mkdir()
                shutil.copy(ROOT / "launch/run.sh", installed / place)
                shutil.copy(ELBO, installed / "bin/elbo")
                result = subprocess.run([installed / place / "run.sh", "--dry_run", "train"], env=environment, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
                self.assertIn(str(installed / "bin/elbo"), result.stdout, result.stderr)

    def test_here_alone_it_ends_as_elbo_does(self):
        settings = ("--network.hidden=32", "--train.steps=3", "--evaluate.every=never", f"--data.path={ROOT}/datasets/mnist.h5",
                    f"--run.directory={self.folder}/run")
        result = self.call("--ranks_per_node=2", "train", f"{ROOT}/configs/mnist_vae.ini", *settings)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"^fingerprint [0-9a-f]{64} step 3\n$")
        self.assertEqual(self.call("train", "nowhere.ini").returncode, 2)


if __name__ == "__main__":
    unittest.main()
