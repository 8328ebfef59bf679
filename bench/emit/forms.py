"""The forms that `bench recommend --emit` writes: each a file that its tool takes as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.emit import device_plugin, docker, kubernetes, mig_parted
from bench.errors import ConfigError
from bench.judge.recommend.deployment import Deployment

FORMS: Mapping[str, Callable[[Deployment], str]] = {
    "mig-parted": mig_parted.emit,
    "kubernetes": kubernetes.emit,
    "device-plugin": device_plugin.emit,
    "docker": docker.emit,
}


def emit(form: str, deployment: Deployment) -> str:
    """The text of the file. Raises ConfigError where the need lacks something, or there is no such form, and
    InfeasibleHere where this form cannot express the cell."""
    if form not in FORMS:
        raise ConfigError(f"there is no form {form[:40]!r}", where="--emit", hint=f"say {', '.join(FORMS)}")
    return FORMS[form](deployment)
