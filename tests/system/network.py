#!/usr/bin/env python3
"""Several hosts on one machine. Each is a set of Linux namespaces, with its own network, hostname and /dev/shm; a
bridge joins them. Files and process numbers they have in common, like nodes with a shared file system.

    tests/system/network.py 4 COMMAND…     runs COMMAND on the first of the hosts node1 … node4

Whatever it makes ends with the process that made it, however that ends.
"""
import contextlib
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

# All of it is in namespaces, too: the network of the machine does not change. This process is the first one of its
# process namespace, so all others end with it.
ISOLATION = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
MARK = "IN_NETWORK_OF_TESTS"
TOOLS = ("unshare", "nsenter", "ip", "tc")
AGENT = """#!/bin/sh
# HOST COMMAND…: replaces ssh between real hosts.
[ "$1" != -x ] || shift # an option of ssh that MPICH passes
host=$1
shift
if [ ! -e "$0.hosts/$host" ]; then
  echo "$host: no such host" >&2
  exit 255
fi
exec nsenter --target "$(cat "$0.hosts/$host")" --net --uts --mount --ipc --root sh -c "$*"
"""


def enter():
    """Restarts this program in new namespaces, or ends it with an error message."""
    if os.environ.get(MARK):
        return
    for tool in TOOLS:
        if shutil.which(tool) is None:
            sys.exit(f"error: {tool} is not there, so no hosts can be made: install util-linux and iproute2 "
                     "(launch/setup.sh --tests does)")
    command = ISOLATION if os.geteuid() == 0 else [*ISOLATION, "--map-root-user"]
    probe = subprocess.run([*command, "ip", "link", "add", "bridge", "type", "bridge"], stderr=subprocess.PIPE, text=True)
    if probe.returncode != 0:
        sys.exit(f"error: this system allows no namespaces or no bridge in them ({probe.stderr.strip()}), so no hosts can be "
                 "made: be root, or in a container have the capabilities SYS_ADMIN and NET_ADMIN")
    os.execvpe(command[0], [*command, sys.executable, *sys.argv], {**os.environ, MARK: "1"})


def call(*words):
    result = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode != 0:
        raise OSError(f"'{shlex.join(words)}' ended with {result.returncode}: {result.stdout.strip()}")
    return result.stdout


class Host:
    """node1 has the address 10.77.0.1 on its eth0, whose other end is port1 of the bridge."""

    def __init__(self, number, hosts_file):
        self.name = f"node{number}"
        self.port = f"port{number}"
        script = ('hostname "$1" && mount -t tmpfs tmpfs /dev/shm && mount --bind "$2" /etc/hosts && ip link set lo up && '
                  'echo ready && exec cat')
        # It keeps the namespaces alive, and ends when the pipe to it closes.
        self.anchor = subprocess.Popen(
            ["unshare", "--net", "--uts", "--mount", "--ipc", "sh", "-c", script, "sh", self.name, str(hosts_file)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.anchor.stdout.readline() != "ready\n":
            raise OSError(f"{self.name} could not be made")
        call("ip", "link", "add", self.port, "type", "veth", "peer", "name", "eth0", "netns", str(self.anchor.pid))
        call("ip", "link", "set", self.port, "master", "bridge", "up")
        self.call("ip", "address", "add", f"10.77.0.{number}/24", "dev", "eth0")
        self.call("ip", "link", "set", "eth0", "up")

    def command(self, *words, folder="."):
        """The command line that runs `words` on this host."""
        return ["nsenter", f"--target={self.anchor.pid}", "--net", "--uts", "--mount", "--ipc", "--root",
                f"--wd={os.path.abspath(folder)}",
                *map(str, words)]

    def call(self, *words):
        return call(*self.command(*words))

    def shape(self, rate):
        """Limits both directions to `rate` bits a second."""
        # A smaller burst than the data between two ticks of the kernel's clock would limit the rate further.
        burst = max(64 * 1024, rate // 8 // 100)
        for run, device in ((call, self.port), (self.call, "eth0")):
            run("tc", "qdisc", "replace", "dev", device, "root", "tbf", "rate", str(rate), "burst", str(burst), "latency", "50ms")

    def cut(self):
        """Takes its link down, like a pulled cable: peers are not notified."""
        call("ip", "link", "set", self.port, "down")

    def mend(self):
        call("ip", "link", "set", self.port, "up")

    def bytes_sent(self):
        return int(self.call("cat", "/proc/net/dev").split("eth0:")[1].split()[8])

    def processes(self):
        """{id: command line} of the processes on this host."""
        mine = os.readlink(f"/proc/{self.anchor.pid}/ns/uts")
        found = {}
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(folder / "ns/uts") == mine and int(folder.name) != self.anchor.pid:
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            except OSError:  # it has ended
                pass
        return {number: line for number, line in found.items() if line}


class Network:
    """`count` hosts, the bridge between them, and an agent that replaces ssh."""

    def __init__(self, count):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="elbo_hosts_"))
        self.agent = self.folder / "agent"
        self.agent.write_text(AGENT)
        self.agent.chmod(0o755)
        self.hosts = []
        try:
            names = self.folder / "hosts"
            names.write_text("127.0.0.1 localhost\n" + "".join(f"10.77.0.{n} node{n}\n" for n in range(1, count + 1)))
            call("ip", "link", "set", "lo", "up")
            call("ip", "link", "add", "bridge", "type", "bridge")
            call("ip", "link", "set", "bridge", "up")
            (self.folder / "agent.hosts").mkdir()
            for number in range(1, count + 1):
                host = Host(number, names)
                self.hosts.append(host)
                (self.folder / "agent.hosts" / host.name).write_text(str(host.anchor.pid))
        except BaseException:
            self.close()
            raise

    def names(self):
        return [host.name for host in self.hosts]

    def environment(self):
        """Environment variables for mpirun on a host: TCP between hosts, shared memory only within a host."""
        return {"OMPI_MCA_plm_rsh_agent": str(self.agent), "OMPI_MCA_pml": "ob1", "OMPI_MCA_btl": "tcp,vader,self",
                "OMPI_MCA_orte_tmpdir_base": str(self.folder)}

    def shape(self, rate):
        for host in self.hosts:
            host.shape(rate)

    def close(self):
        for host in self.hosts:
            for number in host.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            host.anchor.communicate()
            # Otherwise they would be removed some time after their namespace.
            subprocess.run(["ip", "link", "delete", host.port], stderr=subprocess.DEVNULL, check=False)
        subprocess.run(["ip", "link", "delete", "bridge"], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def main():
    if len(sys.argv) < 3 or not sys.argv[1].isdigit():
        sys.exit("usage: tests/system/network.py HOSTS COMMAND…")
    enter()
    with Network(int(sys.argv[1])) as network:
        sys.exit(subprocess.run(network.hosts[0].command(*sys.argv[2:]), env={**os.environ, **network.environment()},
                                check=False).returncode)


if __name__ == "__main__":
    main()
