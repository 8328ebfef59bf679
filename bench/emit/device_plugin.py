"""NVIDIA's device plugin for Kubernetes: its configuration file, version v1 (api/config/v1 of k8s-device-plugin)."""

from __future__ import annotations

from bench.emit.divided import needs_gpu, profiles, sharing
from bench.emit.service import measured
from bench.emit.text import comment, documents
from bench.judge.recommend.deployment import Deployment

APPLY = (
    "Apply: helm upgrade -i nvdp nvdp/nvidia-device-plugin --namespace nvidia-device-plugin --create-namespace "
    "--set gfd.enabled=true --set-file config.map.bench=FILE"
)


def emit(deployment: Deployment) -> str:
    """Raises InfeasibleHere where the plugin cannot divide a GPU so."""
    needs_gpu(deployment, "the device plugin")
    shared = sharing(deployment)
    tree: dict[str, object] = {
        "version": "v1",
        "flags": {"migStrategy": "mixed" if profiles(deployment) else "none"},
    }
    notes = [APPLY, "It holds for all GPUs of the nodes that use it. The GPU operator takes it, too: docs/deploy.md."]
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
        notes.append(f"The plugin limits each to 1/{deployment.tenants} of the GPU's memory, which bench does not.")
    if profiles(deployment):
        notes.append("The GPU has to be laid out before: --emit mig-parted.")
    return comment([*measured(deployment), *notes]) + documents([tree])
