"""Docker: a script with one `docker run` for each tenant.

MIG slices are named by index ("0:1", what NVIDIA's toolkit takes): their UUIDs exist only once the layout is made. On
a CPU the cores are numbered from 0, as bench numbers them on a machine that has no other use.
"""

from __future__ import annotations

import shlex

from bench.emit.divided import no_green_context, profiles, tenant_profiles
from bench.emit.service import TMP_MIB, environment, measured, memory_mib, required
from bench.emit.text import comment
from bench.errors import ConfigError, InfeasibleHere
from bench.judge.recommend.deployment import Deployment
from bench.judge.recommend.service import Service

HOST = "127.0.0.1"
PIPES = "/tmp/nvidia-mps"
LOGS = "/tmp/nvidia-log"
MOST_PROCESSES = 4096
GPU_LINE = 'GPU="${GPU:-0}"  # by its index in nvidia-smi\n'
MPS_LINES = f"""\
export CUDA_MPS_PIPE_DIRECTORY={PIPES} CUDA_MPS_LOG_DIRECTORY={LOGS}
# One daemon on the host; a daemon that is there is taken.
echo get_default_active_thread_percentage | nvidia-cuda-mps-control >/dev/null 2>&1 ||
  CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES="$GPU" nvidia-cuda-mps-control -d
"""


def emit(deployment: Deployment) -> str:
    """Raises ConfigError for what the need does not say, InfeasibleHere for a division that docker cannot use."""
    no_green_context(deployment)
    service = required(deployment)
    on_a_gpu = deployment.device_kind == "cuda"
    if deployment.division == "mps" and profiles(deployment):
        raise InfeasibleHere(
            "the daemon of MPS takes a MIG slice by its UUID, which exists only once the layout is made",
            where=f"partition {deployment.partition[:60]}",
            hint="docs/deploy.md says how to start it by hand, or take time_shared within the slice",
        )
    if deployment.division == "mig":
        tenant_profiles(deployment)
    if service.port + deployment.tenants - 1 > 65535:
        raise ConfigError(
            f"{deployment.tenants} tenants need a port each, from {service.port} on", where="deploy.port", hint="8000"
        )
    prologue = "set -eu\n" + (GPU_LINE if on_a_gpu else "") + (MPS_LINES if deployment.division == "mps" else "")
    runs = [_run(deployment, service, index) for index in range(deployment.tenants)]
    head = comment([*measured(deployment), *_notes(deployment, service)])
    return "\n".join(["#!/bin/sh\n" + head + prologue, *runs])


def _notes(deployment: Deployment, service: Service) -> list[str]:
    names = " ".join(_name(service, index) for index in range(deployment.tenants))
    notes = [
        f"Start: {'GPU=0 ' if deployment.device_kind == 'cuda' else ''}sh FILE     Stop: docker rm -f {names}",
        f"Tenants answer on {HOST}, from port {service.port} on, one each: put a balancer in front of them.",
    ]
    if profiles(deployment):
        notes.append("The GPU has to be laid out before, and exactly so: --emit mig-parted.")
    if deployment.division == "mps":
        notes.append(f"Run it as root or as user {service.user_id}: MPS serves one user at a time.")
    if deployment.division == "cpuset":
        notes.append(f"The machine needs {deployment.threads * deployment.tenants} cores that nothing else uses.")
    return notes


def _name(service: Service, index: int) -> str:
    return f"{service.name}-{index}"


def _run(deployment: Deployment, service: Service, index: int) -> str:
    # What lies in a tmpfs counts as memory of the container that wrote it.
    memory = f"{memory_mib(deployment) + TMP_MIB}m"
    entrypoint, *words = service.command or ("",)
    options = [
        f"--name {_name(service, index)} --restart unless-stopped",
        *_device(deployment, index),
        *_cores(deployment, index),
        f"--memory {memory} --memory-swap {memory} --pids-limit {MOST_PROCESSES}",
        f"--read-only --tmpfs /tmp:rw,exec,nosuid,nodev,size={TMP_MIB}m",
        f"--user {service.user_id}:{service.user_id} --cap-drop ALL --security-opt no-new-privileges",
        f"--publish {HOST}:{service.port + index}:{service.port}",
        *(f"--env {shlex.quote(f'{name}={value}')}" for name, value in environment(deployment).items()),
        *([f"--entrypoint {shlex.quote(entrypoint)}"] if service.command else []),
        " ".join(shlex.quote(word) for word in (service.image, *words)),
    ]
    return "docker run --detach \\\n  " + " \\\n  ".join(options) + "\n"


def _device(deployment: Deployment, index: int) -> list[str]:
    if deployment.device_kind != "cuda":
        return []
    slices = f":{index if deployment.division == 'mig' else 0}" if deployment.instances else ""
    options = [f'--gpus "device=$GPU{slices}"']
    if deployment.division == "mps":
        options.append(f"--ipc host --mount type=bind,source={PIPES},target={PIPES}")
        options.append(f"--env CUDA_MPS_PIPE_DIRECTORY={PIPES}")
    return options


def _cores(deployment: Deployment, index: int) -> list[str]:
    if deployment.division != "cpuset":
        return [f"--cpus {deployment.threads}"]
    first = index * deployment.threads
    last = first + deployment.threads - 1
    return [f"--cpuset-cpus {first}" if first == last else f"--cpuset-cpus {first}-{last}"]
