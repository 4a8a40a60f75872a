"""A SLURM cluster of several machines on this one: each a network namespace with a host name and Ray folder of its own.

Takes root, Debian's ``slurm-wlm``, ``munge`` and ``iproute2``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

#: Processors and GPUs that each machine says to have, whatever is there.
PROCESSORS, GPUS = 64, 8
NEEDED = ("slurmctld", "slurmd", "munged", "mungekey", "sbatch", "ip", "unshare")
BRIDGE, SUBNET = "bs-slurm", "10.77.0"  # one cluster at a time: another is refused by the bridge's name


def missing() -> str:
    """Return why there can be no such cluster here; empty if there can be."""
    if os.geteuid() != 0:
        return "machines in network namespaces need root"
    away = [name for name in NEEDED if not shutil.which(name)]
    return f"not installed: {', '.join(away)}" if away else ""


class SlurmCluster:
    """A controller, and machines ``bs1``, ``bs2`` and so on; all of it ends with :meth:`close`.

    Parameters
    ----------
    folder : Path
        Holds settings, states and logs.
    machines : int
    """

    def __init__(self, folder: Path, machines: int) -> None:
        self.folder = folder
        self.names = [f"bs{number + 1}" for number in range(machines)]
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        self._daemons: list[subprocess.Popen[bytes]] = []
        self._write_settings()
        _run("ip", "link", "add", BRIDGE, "type", "bridge")  # refused if there is another cluster: that is left alone
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def run(self, *command: str, seconds: float = 30.0) -> str:
        """Run one of SLURM's commands and return what it prints."""
        done = subprocess.run(
            command, env=self.environment, text=True, capture_output=True, timeout=seconds, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout.strip()

    def state(self, job: str) -> str:
        """Return a job's state."""
        said = self.run("scontrol", "--oneliner", "show", "job", job).split()
        return next(word.removeprefix("JobState=") for word in said if word.startswith("JobState="))

    def close(self) -> None:
        """End every process in the machines, and take the network away."""
        for name in self.names:
            found = subprocess.run(["ip", "netns", "pids", name], text=True, capture_output=True, check=False)
            for process in found.stdout.split():
                _kill(int(process))
        for daemon in self._daemons:
            daemon.kill()
            daemon.wait()
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
        subprocess.run(["ip", "link", "delete", BRIDGE], capture_output=True, check=False)

    def _write_settings(self) -> None:
        machines = "\n".join(
            f"NodeName={name} NodeAddr={SUBNET}.{10 + row} CPUs={PROCESSORS} RealMemory=1000 Gres=gpu:{GPUS}"
            for row, name in enumerate(self.names)
        )
        for part in ("state", "spool", "gpus"):
            (self.folder / part).mkdir(parents=True)
        for number in range(GPUS):
            os.mknod(self.folder / "gpus" / f"gpu{number}", 0o20666, os.makedev(1, 3))  # /dev/null, as a GPU
        (self.folder / "slurm.conf").write_text(
            f"""
ClusterName=babelscope
SlurmctldHost=controller({SUBNET}.1)
AuthType=auth/munge
AuthInfo=socket={self.folder}/munge.socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={self.folder}/state
SlurmdSpoolDir={self.folder}/spool/%n
SlurmctldPidFile={self.folder}/controller.pid
SlurmdPidFile={self.folder}/%n.pid
SlurmctldLogFile={self.folder}/controller.log
SlurmdLogFile={self.folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
SlurmdParameters=config_overrides
GresTypes=gpu
KillWait=5
{machines}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
""",
            encoding="utf-8",
        )
        (self.folder / "gres.conf").write_text(f"Name=gpu File={self.folder}/gpus/gpu[0-{GPUS - 1}]\n", "utf-8")
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n", "utf-8")
        hosts = [f"{SUBNET}.1 controller", *(f"{SUBNET}.{10 + row} {name}" for row, name in enumerate(self.names))]
        (self.folder / "hosts").write_text("127.0.0.1 localhost\n" + "\n".join(hosts) + "\n", "utf-8")

    def _start(self) -> None:
        _run("ip", "address", "add", f"{SUBNET}.1/24", "dev", BRIDGE)
        _run("ip", "link", "set", BRIDGE, "up")
        key = self.folder / "munge.key"
        _run("mungekey", "--create", f"--keyfile={key}")
        files = {"key-file": key, **{f"{part}-file": self.folder / f"munge.{part}" for part in ("pid", "log", "seed")}}
        self._daemon("munged", "--foreground", "--force", f"--socket={self.folder}/munge.socket",
                     *(f"--{name}={path}" for name, path in files.items()))  # fmt: skip
        self._machine("controller", [], ["slurmctld", "-D"])
        for row, name in enumerate(self.names):
            cable = f"{BRIDGE}{row}"
            _run("ip", "netns", "add", name)
            _run("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name)
            _run("ip", "link", "set", cable, "master", BRIDGE, "up")
            _run("ip", "-n", name, "address", "add", f"{SUBNET}.{10 + row}/24", "dev", "eth0")
            for device in ("eth0", "lo"):
                _run("ip", "-n", name, "link", "set", device, "up")
            self._machine(name, ["ip", "netns", "exec", name], ["slurmd", "-D", "-N", name])
        end = time.monotonic() + 60
        ready = f"idle {len(self.names)}"
        while (
            subprocess.run(
                ["sinfo", "--noheader", "--format=%t %D"],
                env=self.environment, text=True, capture_output=True, timeout=30, check=False,
            ).stdout.strip() != ready
        ):  # fmt: skip
            assert time.monotonic() < end, f"SLURM's machines are not ready: see the logs in {self.folder}"
            time.sleep(0.5)

    def _machine(self, name: str, within: Sequence[str], daemon: Sequence[str]) -> None:
        own = self.folder / "spool" / name / "ray"
        own.mkdir(parents=True)
        common = Path(tempfile.gettempdir()) / "ray"  # where Ray keeps a machine's sockets
        common.mkdir(exist_ok=True)
        script = f'mount --bind "$1" /etc/hosts; mount --bind "$2" "$3"; hostname {name}; shift 3; exec "$@"'
        self._daemon(*within, "unshare", "--uts", "--mount", "sh", "-ec", script, "sh",
                     str(self.folder / "hosts"), str(own), str(common), *daemon)  # fmt: skip

    def _daemon(self, *command: str) -> None:
        self._daemons.append(
            subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=30)


def _kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
