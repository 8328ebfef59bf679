"""NVIDIA's device plugin for Kubernetes: its configuration file, version v1 (api/config/v1 of k8s-device-plugin)."""

from __future__ import annotations

from bench.emit.divided import needs_gpu, profiles, sharing
from bench.emit.service import measured
from bench.emit.text import comment, documents
from bench.judge.recommend.deployment import Deployment

APPLY = (
    "Apply, to one node: helm repo add nvdp https://nvidia.github.io/k8s-device-plugin, then (Helm 3.14 or newer)",
    "  helm upgrade -i nvdp nvdp/nvidia-device-plugin --namespace nvidia-device-plugin --create-namespace \\",
    "    --reset-then-reuse-values --set gfd.enabled=true --set config.default=default \\",
    "    --set 'config.map.default=version: v1' --set-file config.map.bench=FILE",
    "  kubectl label node NODE --overwrite nvidia.com/device-plugin.config=bench",
    "Nodes without that label keep whole GPUs, by the entry default: without it this file would hold for them all.",
    "Where the plugin is configured already, or the GPU operator installs it, read docs/deploy.md first.",
)
"""The config manager takes a node's label, then config.default, then an only entry (cmd/config-manager/main.go)."""


def emit(deployment: Deployment) -> str:
    """Raises InfeasibleHere where the plugin cannot divide a GPU so."""
    needs_gpu(deployment, "the device plugin")
    shared = sharing(deployment)
    tree: dict[str, object] = {
        "version": "v1",
        "flags": {"migStrategy": "mixed" if profiles(deployment) else "none"},
    }
    notes = [*APPLY, "It holds for all GPUs of a node; label as many nodes as have the GPUs that it takes."]
    if shared is not None:
        tree["sharing"] = {
            shared.strategy: {
                "renameByDefault": True,
                "failRequestsGreaterThanOne": True,
                "resources": [{"name": shared.resource, "replicas": shared.replicas}],
            }
        }
        notes.append(f"Pods ask for {shared.advertised}: 1, as --emit kubernetes writes them.")
    if deployment.division == "mps":
        limit = deployment.memory_limit_mib
        told = f"measured was a limit of {limit} MiB" if limit else "measured was no limit"
        notes.append(f"The plugin limits each to 1/{deployment.tenants} of the GPU's memory; {told}.")
    if profiles(deployment):
        notes.append("Each GPU has to be laid out before: --emit mig-parted.")
    return comment([*measured(deployment), *notes]) + documents([tree])
