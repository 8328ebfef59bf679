"""From a configuration node to a plug-in.

Hydra composes; this instantiates. Tenants do the same from JSON, a hundred times a run, so it must not cost them the
import of Hydra. What `_target_` names must be a class derived from `bench.contract`; finding that out imports its
module, so a configuration is code and is trusted as code is. Resuming a run executes the configuration that its
run.json names: resume your own runs only.
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
    contract.Neighbours,
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
            f"{key} is no {point.__name__.lower()}",
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
    except Exception as error:  # whatever a user's module raises while it is imported
        raise ConfigError(
            f"importing {module_name} failed: {type(error).__name__}: " + " ".join(str(error).split())[:200],
            where=f"{key}._target_",
            hint=f"python -c 'import {module_name}' in the folder of that file shows the whole of it",
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
    errors = error.errors()
    first = errors[0]
    location = _location(first["loc"])
    name = ".".join(location) or key
    where = f"{key}.{name}" if location else key
    if first["type"] == "unexpected_keyword_argument":
        return ConfigError(f"there is no option {where!r}", where=where, hint=f"{key} has: {_known(cls)}")
    if first["type"] in {"missing", "missing_argument"}:
        return ConfigError(f"option {name!r} is missing", where=where, hint=f"say {where}=...")
    wishes = dict.fromkeys(_wish(other["msg"]) for other in errors if _location(other["loc"]) == location)
    return ConfigError(
        f"{name} {' or '.join(wishes).replace(' or should ', ' or ')}, not {first['input']!r}",
        where=where,
        hint=f"change {where}, or leave it out for the default",
    )


def _location(loc: tuple[int | str, ...]) -> list[str]:
    """A union reports each of its types under a name that is none of the user's: left out here."""
    return [str(part) for index, part in enumerate(loc) if index == 0 or isinstance(part, int)]


def _wish(message: str) -> str:
    """What pydantic says of a value, as the end of a sentence that begins with the option's name."""
    message = message.removeprefix("Value error, ").split(", unable to")[0].split(", got a number")[0]
    message = message.split(" after validation")[0]
    message = message.replace("valid integer", "whole number").replace("a valid number", "a number")
    subject, should, wanted = message.partition(" should ")
    return f"should {wanted}" if should and " " not in subject else f"is wrong ({message})"


def _known(cls: type) -> str:
    """The options of a plug-in, by the names that users write."""
    fields = getattr(cls, "__pydantic_fields__", {})
    return ", ".join(str(field.validation_alias or name) for name, field in fields.items()) or "no options"
