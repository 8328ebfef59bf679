"""Docker: a script with one `docker run` for each tenant of one device, to be run for each device.

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
PIPES = "/tmp/nvidia-mps-$GPU"
LOGS = "/tmp/nvidia-log-$GPU"
MOST_PROCESSES = 4096
MOST_NAMED = 8
"""GPUs, as many as one machine mostly has."""
MPS_LINES = """\
mkdir -p -m 755 "$CUDA_MPS_PIPE_DIRECTORY" "$CUDA_MPS_LOG_DIRECTORY"
# One daemon for each GPU. It refuses to start where one serves this folder already.
CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES="$GPU" nvidia-cuda-mps-control -d || {
  echo "MPS could not be started on GPU $GPU. Where an earlier start left its daemon: sh $0 stop" >&2
  exit 1
}
"""


def emit(deployment: Deployment) -> str:
    """Raises ConfigError for what the need does not say, InfeasibleHere for a division that docker cannot use."""
    no_green_context(deployment)
    service = required(deployment)
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
    runs = [_run(deployment, service, index) for index in range(deployment.tenants)]
    head = comment([*measured(deployment), *_notes(deployment, service)])
    return "\n".join(["#!/bin/sh\n" + head + _prologue(deployment, service), *runs])


def _prologue(deployment: Deployment, service: Service) -> str:
    """Names, and the words after the script's: none, or stop."""
    on_a_gpu, mps = deployment.device_kind == "cuda", deployment.division == "mps"
    port = f"$(({service.port} + GPU * {deployment.tenants}))" if on_a_gpu else f"{service.port}"
    names = [_name(deployment, service, index) for index in range(deployment.tenants)]
    lines = [
        "set -eu",
        *(['GPU="${GPU:-0}"  # by its index in nvidia-smi'] if on_a_gpu else []),
        f'FIRST_PORT="${{FIRST_PORT:-{port}}}"',
        *([f'export CUDA_MPS_PIPE_DIRECTORY="{PIPES}" CUDA_MPS_LOG_DIRECTORY="{LOGS}"'] if mps else []),
        'case "${1:-start}" in',
        "start) ;;",
        "stop)",
        *(["  set +e  # the daemon goes, whichever tenants are gone already"] if mps else []),
        "  docker rm --force " + " ".join(names),
        *(["  echo quit | nvidia-cuda-mps-control"] if mps else []),
        "  exit",
        "  ;;",
        "*)",
        '  echo "sh $0 starts the tenants, sh $0 stop stops them" >&2',
        "  exit 2",
        "  ;;",
        "esac",
    ]
    return "\n".join(lines) + "\n" + (MPS_LINES if mps else "")


def _notes(deployment: Deployment, service: Service) -> list[str]:
    gpu = "GPU=0 " if deployment.device_kind == "cuda" else ""
    ports = f"from port {service.port} on" + (f" (of GPU 1: {service.port + deployment.tenants})" if gpu else "")
    notes = [
        *_each_device(deployment),
        f"Start: {gpu}sh FILE     Stop: {gpu}sh FILE stop",
        f"Tenants answer on {HOST}, {ports}, one each: put a balancer in front of them.",
    ]
    if profiles(deployment):
        notes.append("Each GPU has to be laid out before, and exactly so: --emit mig-parted.")
    if deployment.division == "mps":
        notes.append(f"Run it as root or as user {service.user_id}: MPS serves one user at a time.")
        notes.append(
            "After a boot: sh FILE stop, then sh FILE. Docker does not start them itself: they would run without MPS."
        )
    if deployment.division == "cpuset":
        notes.append(f"The machine needs {deployment.threads * deployment.tenants} cores that nothing else uses.")
    return notes


def _each_device(deployment: Deployment) -> list[str]:
    number = deployment.devices
    if number == 1:
        return []
    if deployment.device_kind != "cuda":
        return [f"This file starts the tenants of one: run it on {number:,} such machines."]
    if number > MOST_NAMED:
        return [
            f"This file starts the tenants of one: run it for {number:,} GPUs, GPU=0, 1, ... sh FILE on each machine."
        ]
    indices = range(number)
    listed = f"GPU={', '.join(map(str, indices))} sh FILE"
    loop = f"for gpu in {' '.join(map(str, indices))}; do GPU=$gpu sh FILE; done"
    return [f"This file starts the tenants of one: run it on {number} devices: {listed}", f"  {loop}"]


def _name(deployment: Deployment, service: Service, index: int) -> str:
    return f'"{service.name}-gpu$GPU-{index}"' if deployment.device_kind == "cuda" else f"{service.name}-{index}"


def _run(deployment: Deployment, service: Service, index: int) -> str:
    # What lies in a tmpfs counts as memory of the container that wrote it.
    memory = f"{memory_mib(deployment) + TMP_MIB}m"
    entrypoint, *words = service.command or ("",)
    # on-failure is what docker does not do at boot, when the daemon of MPS is gone.
    restart = "on-failure" if deployment.division == "mps" else "unless-stopped"
    options = [
        f"--name {_name(deployment, service, index)} --restart {restart}",
        *_device(deployment, index),
        *_cores(deployment, index),
        f"--memory {memory} --memory-swap {memory} --pids-limit {MOST_PROCESSES}",
        f"--read-only --tmpfs /tmp:rw,exec,nosuid,nodev,size={TMP_MIB}m",
        f"--user {service.user_id}:{service.user_id} --cap-drop ALL --security-opt no-new-privileges",
        f'--publish "{HOST}:$((FIRST_PORT + {index})):{service.port}"',
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
        options.append(f'--ipc host --mount "type=bind,source={PIPES},target={PIPES}"')
        options.append(f'--env "CUDA_MPS_PIPE_DIRECTORY={PIPES}"')
    return options


def _cores(deployment: Deployment, index: int) -> list[str]:
    if deployment.division != "cpuset":
        return [f"--cpus {deployment.threads}"]
    first = index * deployment.threads
    last = first + deployment.threads - 1
    return [f"--cpuset-cpus {first}" if first == last else f"--cpuset-cpus {first}-{last}"]
