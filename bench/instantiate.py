"""From a configuration node to a plug-in.

Hydra composes; this instantiates. Tenants do the same from JSON, a hundred times a run, so it must not cost them the
import of Hydra; and only classes of `bench.contract` are ever called, so a results file that is resumed cannot name
an arbitrary function.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, TypeVar

import pydantic

from bench import contract
from bench.errors import ConfigError

PLUGIN_POINTS = (
    contract.Workload,
    contract.Optimization,
    contract.Pass,
    contract.Runtime,
    contract.Partition,
    contract.Isolation,
    contract.Scenario,
    contract.TelemetrySource,
    contract.Protocol,
)

P = TypeVar("P")


def instantiate(node: Any, point: type[P], key: str) -> P:
    """The plug-in that `node` describes, checked to be a `point`. `key` is where it stands, for messages."""
    made = _build(node, key)
    if not isinstance(made, point):
        raise ConfigError(
            f"{key} is not a {point.__name__.lower()}",
            where=key,
            hint=f"`_target_` must name a class derived from bench.contract.{point.__name__}",
        )
    return made


def _build(node: Any, key: str) -> Any:
    if isinstance(node, Mapping):
        options = {name: _build(value, f"{key}.{name}") for name, value in node.items() if name != "_target_"}
        if "_target_" not in node:
            return options
        return _call(_find(str(node["_target_"]), key), options, key)
    if isinstance(node, list | tuple):
        return [_build(value, f"{key}[{index}]") for index, value in enumerate(node)]
    return node


def _find(target: str, key: str) -> type:
    module_name, _, class_name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"cannot find {target}: {error}",
            where=f"{key}._target_",
            hint="put its folder on PYTHONPATH or beside your yaml in a folder of BENCH_CONFIG_PATH",
        ) from error
    if not (isinstance(found, type) and issubclass(found, PLUGIN_POINTS)):
        raise ConfigError(
            f"{target} is not a plug-in",
            where=f"{key}._target_",
            hint="a plug-in is a class derived from one in bench.contract, decorated with `plugin`",
        )
    return found


def _call(cls: type, options: dict[str, Any], key: str) -> Any:
    try:
        return cls(**options)
    except pydantic.ValidationError as error:
        raise _explain(error, cls, key) from error
    except (TypeError, ValueError) as error:
        raise ConfigError(str(error), where=key, hint=f"the docstring of {cls.__name__} lists its options") from error


def _explain(error: pydantic.ValidationError, cls: type, key: str) -> ConfigError:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"]) or key
    where = f"{key}.{name}" if first["loc"] else key
    known = ", ".join(getattr(cls, "__dataclass_fields__", {}))
    if first["type"] == "unexpected_keyword_argument":
        return ConfigError(f"unknown option {name!r}", where=where, hint=f"{key} has: {known or 'no options'}")
    if first["type"] in {"missing", "missing_argument"}:
        return ConfigError(f"option {name!r} is missing", where=where, hint=f"say {where}=...")
    message = first["msg"].removeprefix("Value error, ")
    return ConfigError(
        f"{message[:1].lower()}{message[1:]}, not {first['input']!r}",
        where=where,
        hint=f"{key} has: {known}",
    )
