#!/usr/bin/env python3
"""Training on several hosts, as launch/run.sh starts it: the same bits over any network, and clear errors."""
import os
import pathlib
import re
import signal
import subprocess
import time
import unittest

import network
from program import ELBO, ENVIRONMENT, ROOT, ProgramTest

SETTINGS = ("--network.hidden=32", "--train.batch=64", "--train.microbatch=16", "--train.threads=1", "--evaluate.every=never")
ARENA = 4 * 2 * 784 * 32  # bytes of parameters, at the least
ALL = "node1,node2,node3,node4"
MBIT = 1000 * 1000


def within(seconds, question):
    """Whether the condition becomes true within that time."""
    end = time.monotonic() + seconds
    while not question():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class Hosts(ProgramTest):
    def setUp(self):
        super().setUp()
        self.network = network.Network(4)
        self.addCleanup(self.network.close)
        self.node1, self.node2, self.node3, self.node4 = self.network.hosts

    def bridged(self, *hosts):
        """Creates the bridge of a container engine on each host, with the same address on all."""
        for host in hosts:
            host.call("ip", "link", "add", "docker0", "type", "bridge")
            host.call("ip", "address", "add", "172.17.0.1/16", "dev", "docker0")
            host.call("ip", "link", "set", "docker0", "up")

    def launch(self, *words, elbo=ELBO, folder=ROOT, **variables):
        """launch/run.sh on node1, in a separate process group, as in a terminal."""
        process = subprocess.Popen(
            self.node1.command(ROOT / "launch/run.sh", *words, folder=folder), text=True, start_new_session=True,
            env={**ENVIRONMENT, **self.network.environment(), "ELBO": str(elbo), **variables},
            stdin=subprocess.DEVNULL, stdout=self.file("output"), stderr=self.file("errors"))
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def file(self, name):
        """Not a pipe: a disconnected daemon would keep it open."""
        file = (self.folder / name).open("w", encoding="utf-8")
        self.addCleanup(file.close)
        return file

    def end(self, process, status, seconds=60):
        """stdout and stderr of the last launch."""
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.fail(f"not ended after {seconds} s: {self.left()}\n{(self.folder / 'errors').read_text()}")
        output, errors = ((self.folder / name).read_text() for name in ("output", "errors"))
        self.assertIn(process.returncode, status if isinstance(status, tuple) else (status,), errors)
        return output, errors

    def start_training(self, hosts, name, *settings):
        return self.launch(f"--hosts={hosts}", "train", "configs/mnist_vae.ini",
                           f"--run.directory={self.folder / name}", *SETTINGS, *settings)

    def train_on(self, hosts, name, *settings):
        process = self.start_training(hosts, name, *settings)
        output, _ = self.end(process, 0)
        self.assert_nothing_left()
        return output.splitlines()[-1]

    def steps(self, name):
        file = self.folder / name / "metrics.jsonl"
        return file.read_text().count("\n") if file.exists() else 0

    def start_and_reach(self, step, hosts, name, *settings):
        process = self.start_training(hosts, name, "--train.steps=1000000", *settings)
        self.assertTrue(within(60, lambda: self.steps(name) >= step or process.poll() is not None), "training did not begin")
        if process.poll() is not None:
            self.end(process, "still running")
        return process

    def ranks_on(self, host):
        return [number for number, line in host.processes().items() if line.startswith(f"{ELBO} ")]

    def left(self):
        return {host.name: found for host in self.network.hosts if (found := host.processes())}

    def assert_nothing_left(self):
        within(5, lambda: not self.left())  # the last of them are just ending
        self.assertEqual(self.left(), {})


class Bits(Hosts):
    STEPS = 60

    def test_are_those_of_one_process_on_any_hosts_and_links(self):
        more = (f"--train.steps={self.STEPS}",)
        alone = self.train(0, "alone", *SETTINGS, *more)
        for hosts in ALL, "node1:2,node2:2", "node2,node3:3":
            with self.subTest(hosts=hosts):
                before = self.node2.bytes_sent()
                self.assertEqual(self.train_on(hosts, hosts.replace(",", "_").replace(":", "x"), *more), alone)
                # Otherwise the ranks would have used another channel than the network, such as shared memory.
                self.assertGreater(self.node2.bytes_sent() - before, self.STEPS * ARENA // 2)
        for rate in 1000, 100:
            with self.subTest(rate=f"{rate} Mbit/s"):
                self.network.shape(rate * MBIT)
                self.assertEqual(self.train_on(ALL, f"links_{rate}", *more), alone)

    def test_bridges_for_containers_are_no_way_to_other_hosts(self):
        self.bridged(self.node1, self.node2)
        self.train_on("node1,node2", "bridged", "--train.steps=3")

    def test_ranks_of_a_host_share_its_memory_and_hosts_do_not(self):
        process = self.start_and_reach(2, "node1:2,node2:2", "shared")
        mapped = {host.name: [re.findall(r"(\S+ \d+) +\S*/#\d+ ", pathlib.Path(f"/proc/{rank}/maps").read_text())
                              for rank in self.ranks_on(host)] for host in (self.node1, self.node2)}
        process.send_signal(signal.SIGUSR1)
        self.end(process, 75)
        for memories in mapped.values():
            self.assertEqual(len(memories), 2, mapped)
            self.assertEqual(len(memories[0]), 2, f"decoded chunks, and what ranks record of their calls: {mapped}")
            self.assertEqual(memories[0], memories[1])
        self.assertNotEqual(mapped["node1"], mapped["node2"])
        self.assert_nothing_left()


class End(Hosts):
    def test_hosts_that_do_not_reach_one_another_are_told_in_time(self):
        self.bridged(self.node1, self.node2)
        process = self.launch("--hosts=node1,node2", "train", "configs/mnist_vae.ini", f"--run.directory={self.folder / 'none'}",
                              *SETTINGS, OMPI_MCA_btl_tcp_if_include="docker0", ELBO_START_TIMEOUT="5")
        _, errors = self.end(process, 69)
        self.assertRegex(errors, "(?m)^error: rank 0 on node1: MPI did not start within 5 s: the ranks cannot connect to each other")
        self.assertEqual(errors.count("MPI did not start"), 1)
        self.assert_nothing_left()

    def test_a_link_that_goes_down_ends_the_job_with_a_sentence(self):
        for cut in self.node3, self.node1:  # mpirun runs on node1
            with self.subTest(cut=cut.name):
                name = f"cut_{cut.name}"
                process = self.start_and_reach(5, ALL, name, "--run.timeout=3")
                cut.cut()
                begin = time.monotonic()
                try:
                    _, errors = self.end(process, (69, 1))  # 1: mpirun could not reach a host and was killed
                    print(f"{cut.name} cut off: ended after {time.monotonic() - begin:.1f} s")
                    messages = [line for line in errors.splitlines() if line.startswith("error: rank")]
                    self.assertEqual(len(messages), 1, errors)
                    self.assertRegex(messages[0], r"^error: rank \d on node\d waited 3 s in \w+ of .*; another rank did not arrive")
                    named = re.search("on (node.)", messages[0])[1]
                    self.assertEqual(named == cut.name, cut is self.node1, "a rank speaks that the user can hear")
                    # Open MPI's daemons in the other part of the network stay until TCP gives up; ranks do not.
                    self.assertTrue(within(15, lambda: not any(map(self.ranks_on, self.network.hosts))), self.left())
                finally:
                    cut.mend()
                self.assertTrue(within(60, lambda: not self.left()), self.left())

    def test_a_killed_rank_takes_the_others_along(self):
        process = self.start_and_reach(5, ALL, "killed")
        os.kill(self.ranks_on(self.node3)[0], signal.SIGKILL)
        self.assertRegex(self.end(process, 1)[1], r"rank 2 with PID \d+ on node node3 exited on signal 9")
        self.assert_nothing_left()

    def test_a_killed_mpirun_takes_the_ranks_along(self):
        process = self.start_and_reach(5, ALL, "killed")
        os.kill(next(number for number, line in self.node1.processes().items() if "mpirun --host" in line), signal.SIGKILL)
        self.end(process, 1)
        self.assert_nothing_left()

    def test_ctrl_c_saves_the_run_and_other_hosts_go_on_with_it(self):
        steps = "--train.steps=300"
        whole = self.train_on("node1", "whole", steps)
        process = self.start_and_reach(5, ALL, "stopped")
        os.killpg(process.pid, signal.SIGINT)
        self.assertIn("training ends after its step", self.end(process, 75)[1])
        self.assert_nothing_left()
        self.assertEqual(self.train_on("node2:3", "stopped", steps, "--resume"), whole)

    def test_a_second_ctrl_c_ends_it_at_once(self):
        # A stopped rank cannot end its step.
        process = self.start_and_reach(5, ALL, "stopped")
        os.kill(self.ranks_on(self.node4)[0], signal.SIGSTOP)
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(1)
        os.killpg(process.pid, signal.SIGINT)
        self.assertIn("error: the run was ended at once", self.end(process, 1, seconds=20)[1])
        self.assert_nothing_left()

    def test_a_mistake_of_the_user_is_told_once_and_keeps_its_status(self):
        process = self.start_training(ALL, "mistake", "--train.stepz=3")
        messages = [line for line in self.end(process, 2)[1].splitlines() if line.startswith("error: ")]
        self.assertEqual(len(messages), 1, messages)
        self.assertIn("train.stepz", messages[0])
        self.assert_nothing_left()


class Start(Hosts):
    def test_takes_seconds(self):
        begin = time.monotonic()
        process = self.start_training(ALL, "run", "--train.steps=1000000")
        self.assertTrue(within(60, lambda: self.steps("run") > 0), "training did not begin")
        print(f"from the command to the first step on 4 hosts: {time.monotonic() - begin:.1f} s")
        process.send_signal(signal.SIGUSR1)
        self.end(process, 75)
        self.assert_nothing_left()

    def refused(self, *words, **options):
        _, errors = self.end(self.launch(*words, "train", "configs/mnist_vae.ini", **options), 2, seconds=20)
        self.assertEqual(len([line for line in errors.splitlines() if line.startswith("error: ")]), 1, errors)
        self.assert_nothing_left()
        return errors.splitlines()[-1]

    def test_a_host_that_is_not_there_is_named(self):
        self.assertRegex(self.refused("--hosts=node1,node2,node7"), r"^error: host node7: cannot be reached \(node7: no such host\)")

    def test_a_host_that_does_not_answer_is_named(self):
        agent = self.folder / "agent"
        agent.write_text('#!/bin/sh\n[ "$1" != node3 ] || exec sleep 100\n' f'exec {self.network.agent} "$@"\n')
        agent.chmod(0o755)
        self.assertIn("error: host node3: does not answer within 10 s",
                      self.refused(f"--hosts={ALL}", OMPI_MCA_plm_rsh_agent=str(agent)))

    def test_a_host_without_the_program_or_with_another_is_named(self):
        here, empty = self.folder / "here", self.folder / "empty"
        here.mkdir()
        empty.mkdir()
        for source, place, sentence in ((empty, os.path.dirname(ELBO), f"has no program {ELBO}; "),
                                        ("/bin/true", ELBO, f"has another {ELBO} than this host; "),
                                        (empty, self.folder, f"has no folder {here}; ")):
            self.node4.call("mount", "--bind", source, place)
            try:
                self.assertIn(f"error: host node4: {sentence}", self.refused(f"--hosts={ALL}", folder=here))
            finally:
                self.node4.call("umount", place)

    def test_variables_reach_every_host(self):
        process = self.launch("--hosts=node1,node2:2", "--env=GREETING=good morning", "--env=PLACE", "GREETING", "PLACE", "NCCL_DEBUG",
                              elbo="/usr/bin/printenv", PLACE="here", NCCL_DEBUG="WARN")
        output, _ = self.end(process, 0)
        self.assertEqual(sorted(output.splitlines()), ["WARN"] * 3 + ["good morning"] * 3 + ["here"] * 3)

    def test_ranks_are_numbered_host_by_host(self):
        program = self.folder / "program"
        program.write_text('#!/bin/sh\necho "$OMPI_COMM_WORLD_RANK $(hostname) $*"\n')
        program.chmod(0o755)
        output, _ = self.end(self.launch("--hosts=node1,node3:2,node2:2", "say", "two words", elbo=program), 0)
        self.assertEqual(sorted(output.splitlines()),
                         [f"{place} say two words" for place in ("0 node1", "1 node3", "2 node3", "3 node2", "4 node2")])


if __name__ == "__main__":
    network.enter()
    unittest.main()
