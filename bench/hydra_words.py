"""Hydra's and OmegaConf's messages in our three lines."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from hydra.core.global_hydra import GlobalHydra
from hydra.errors import MissingConfigException
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from bench.errors import ConfigError
from bench.groups import GROUPS, NAMED, options


def explain(error: Exception, overrides: Sequence[str]) -> ConfigError:
    """What was wrong with the overrides that the error came of, inside `composition.hydra_ready`."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[0] if lines else type(error).__name__
    if isinstance(error, MissingConfigException) and "primary config" in first:
        return _no_configuration(str(error.missing_cfg_file))
    for override in overrides:
        name, _, value = override.lstrip("+~").partition("=")
        wanted = [part.strip() for part in value.strip("[]").split(",")]
        for group in GROUPS:
            unknown = next((part for part in wanted if f"{group}/{part}'" in first), None)
            if name == group and unknown:
                return ConfigError(
                    f"there is no {group.removesuffix('s')} {unknown!r}",
                    where=override,
                    hint=_hint(unknown, options(group) if GlobalHydra.instance().is_initialized() else []),
                )
    if unknown_key := _unknown_key(error, overrides):
        return unknown_key
    key = getattr(error, "full_key", None) or getattr(error.__cause__, "full_key", None)
    where = next((item for item in overrides if key and item.lstrip("+~").startswith(str(key))), None)
    where = where or next((item for item in overrides if item.split("=")[0].lstrip("+~") in first), None)
    cause = str(error.__cause__ or "").splitlines()
    message = f"{first} ({cause[0]})" if cause and cause[0] not in first else first
    return ConfigError(
        message[:1].lower() + message[1:],
        where=where or key or "the configuration",
        hint="`bench plan --config` prints the composed configuration, `bench list` every group's options",
    )


def _no_configuration(name: str) -> ConfigError:
    found = GlobalHydra.instance().config_loader().get_group_options("")
    known = [other for other in found if not other.startswith("_")]  # Hydra has one of its own
    return ConfigError(f"there is no configuration {name!r}", where=f"--config-name {name}", hint=_hint(name, known))


def _unknown_key(error: Exception, overrides: Sequence[str]) -> ConfigError | None:
    """An option that the composed configuration does not have, with those that stand where it was looked for."""
    cause = error.__cause__
    if not isinstance(cause, ConfigKeyError | ConfigAttributeError) or "not in struct" not in str(cause):
        return None
    key, full_key = str(cause.key), str(cause.full_key or cause.key)
    parent = full_key.removesuffix(key)
    names = list(cause.parent_node) if isinstance(cause.parent_node, DictConfig) else []
    known = [f"{parent}{name}" for name in names if name not in ("hydra", "_target_")]
    where = next((item for item in overrides if item.lstrip("+~").startswith(full_key)), full_key)
    group = parent.removesuffix(".")
    if group in NAMED:
        chosen = ",".join([*(str(name) for name in names), key])
        return ConfigError(
            f"{key!r} is not among the {group} of this experiment", where=where, hint=f"say '{group}=[{chosen}]'"
        )
    return ConfigError(f"there is no option {full_key!r}", where=where, hint=_hint(full_key, known))


def _hint(unknown: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(unknown, known, n=1)
    listed = f"there are: {', '.join(known)}" if known else "it has no options"
    return f"did you mean {close[0]}? {listed[0].upper()}{listed[1:]}" if close else listed
