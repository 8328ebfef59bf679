"""Compose configuration with Hydra: overrides in, one plain dictionary per experiment out.

Brackets are one experiment, commas are several: `workload=a,b` composes two dictionaries. Hydra's own multirun is not
used for that, because all experiments must be validated before the first of them touches a device.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import ConfigCompositionException, HydraException, OverrideParseException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bench.errors import ConfigError, InputError
from bench.groups import BRACKETED, GROUPS, NAMED, options
from bench.hydra_words import explain

CONFIG = "config"
"""The configuration that everything begins with, unless another is named; that one builds on it."""
CONFIG_PATH = "BENCH_CONFIG_PATH"
"""Environment variable: users' own config folders, separated like PATH; they come before ours."""


@dataclass(frozen=True)
class Composed:
    """One experiment's configuration, resolved: `choices` tells which option each group stands for."""

    overrides: tuple[str, ...]
    config: dict[str, Any]
    choices: dict[str, Any]
    config_name: str = CONFIG


def user_folders(extra: Sequence[str] = ()) -> tuple[Path, ...]:
    """The users' config folders, first match first. Missing ones are an error, not silence."""
    named = [*extra, *(part for part in os.environ.get(CONFIG_PATH, "").split(os.pathsep) if part)]
    folders = []
    for name in named:
        folder = Path(name).expanduser().resolve()
        if not folder.is_dir():
            raise InputError(
                f"there is no config folder {name}",
                where=f"--config-dir or {CONFIG_PATH}",
                hint="it should hold folders named as groups, e.g. optimizations/mine.yaml",
            )
        folders.append(folder)
    return tuple(dict.fromkeys(folders))


@contextmanager
def hydra_ready(folders: Sequence[Path]) -> Iterator[None]:
    """Hydra initialised on our tree, with the users' folders before it."""

    class UserFolders(SearchPathPlugin):
        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            for folder in folders:  # each just before ours, so the first stays first
                search_path.prepend("user", f"file://{folder}", anchor=SearchPathQuery(provider="main"))

    plugins = Plugins.instance()
    plugins.register(UserFolders)
    try:
        with hydra.initialize_config_module("bench.configs", version_base="1.3"):
            yield
    finally:
        plugins.class_name_to_class.pop(f"{UserFolders.__module__}.{UserFolders.__qualname__}", None)
        for registered in plugins.plugin_type_to_subclass_list.values():
            if UserFolders in registered:
                registered.remove(UserFolders)


def compose_all(overrides: Sequence[str], folders: Sequence[Path], config_name: str = CONFIG) -> list[Composed]:
    """Every experiment that the overrides name, in the order of the product of their commas. With all claims that there
    are, the users' own among them, unless some are chosen."""
    claims_chosen = any(_parse(text).key_or_group == "claims" for text in overrides)
    if claims_chosen or config_name != CONFIG:  # another configuration may choose some, too
        found = as_chosen(overrides, folders, config_name)
        if claims_chosen or any(composed.config.get("claims") for composed in found):
            return found
    variants = [_variants(_parse(text)) for text in overrides]
    with hydra_ready(folders):
        every = (f"claims=[{','.join(options('claims'))}]",)
        return [_compose(choice, every, config_name) for choice in itertools.product(*variants)]


def as_chosen(overrides: Sequence[str], folders: Sequence[Path], config_name: str = CONFIG) -> list[Composed]:
    """The same with no claims but those that are chosen."""
    variants = [_variants(_parse(text)) for text in overrides]
    with hydra_ready(folders):
        return [_compose(choice, (), config_name) for choice in itertools.product(*variants)]


def _parse(text: str) -> Override:
    cause: Exception | None = None
    try:
        override = OverridesParser.create().parse_overrides([text])[0]
        if (override.key_or_group or "").partition(".")[0] == "hydra":
            raise ConfigError(
                "Hydra's own settings are not options of bench",
                where=text,
                hint="results_dir=FOLDER says where results go; `bench list` names what there is",
            )
        if override.key_or_group:
            return override
    except (OverrideParseException, HydraException) as error:
        cause = error
    raise ConfigError(
        f"cannot read the option {text!r}",
        where="the command line",
        hint="write name=value, lists as 'name=[a,b]' in quotes, and quote values with spaces or signs",
    ) from cause


def _variants(override: Override) -> list[str]:
    text = override.input_line or ""
    if not override.is_sweep_override():
        return [text]
    if override.key_or_group in BRACKETED:
        values = ",".join(str(value) for value in override.sweep_string_iterator())
        raise ConfigError(
            f"a comma in {override.key_or_group}= would make experiments that cannot be compared",
            where=text,
            hint=f"to compare them in one experiment write '{override.key_or_group}=[{values}]'",
        )
    prefix = text.split("=", 1)[0]
    return [f"{prefix}={value}" for value in override.sweep_string_iterator()]


def _compose(overrides: tuple[str, ...], implied: tuple[str, ...], config_name: str) -> Composed:
    try:
        spoken = [_openly(text) for text in (*overrides, *implied)]
        composed = hydra.compose(config_name, overrides=spoken, return_hydra_config=True)
        choices = {key: value for key, value in composed.hydra.runtime.choices.items() if key in GROUPS}
        choices = {
            key: OmegaConf.to_object(value) if OmegaConf.is_config(value) else value for key, value in choices.items()
        }
        without_hydra = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
        _check_mandatory(without_hydra)
        plain = OmegaConf.to_container(without_hydra, resolve=True)
        name_tenants(plain, choices)
    except ConfigError:
        raise
    except (HydraException, OmegaConfBaseException, ConfigCompositionException, OSError) as error:
        raise explain(error, overrides) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ConfigError(
            f"a yaml file cannot be read: {getattr(error, 'problem', None) or type(error).__name__}",
            where=f"{mark.name}, line {mark.line + 1}" if mark else "a config folder",
            hint="mend that line: brackets and quotes must be closed, and nested keys be indented alike",
        ) from error
    assert isinstance(plain, dict)
    return Composed(overrides, {str(key): value for key, value in plain.items()}, dict(choices), config_name)


def name_tenants(config: Any, choices: Mapping[str, Any]) -> None:
    """Complete the tenants that a partition names one by one, in place: `{workload: bert, optimization: bf16}` gets the
    configuration of both. The workload that is measured, named without an optimization, is told by its lack of one."""
    for name, node in (config.get("partitions") or {}).items():
        tenants = node.get("tenants") if isinstance(node, dict) else None
        if isinstance(tenants, list):
            node["tenants"] = [
                _named_tenant(entry, choices["workload"], f"partitions.{name}.tenants[{index}]")
                for index, entry in enumerate(tenants)
            ]


def _named_tenant(entry: Any, measured: str, where: str) -> dict[str, Any]:
    if not isinstance(entry, dict) or not isinstance(entry.get("workload"), str):
        raise ConfigError(
            f"a tenant is {entry!r}", where=where, hint="write {workload: NAME}, and its options beside the name"
        )
    options = {key: value for key, value in entry.items() if key not in ("workload", "optimization")}
    name = entry["workload"]
    if name == measured and not options and "optimization" not in entry:
        return {"name": name, "workload": None, "optimization": None}
    workload = _option("workload", name)
    for key, value in options.items():
        if key not in workload:
            known = ", ".join(key for key in workload if key != "_target_")
            raise ConfigError(f"there is no option {key!r}", where=where, hint=f"the workload {name} has: {known}")
        workload[key] = value
    if missing := [key for key, value in workload.items() if value == "???"]:
        raise ConfigError(
            f"{missing[0]} of the workload {name} has no value",
            where=where,
            hint=f"write {{workload: {name}, {missing[0]}: ...}}, it has no default",
        )
    optimization = str(entry.get("optimization", "fp32"))
    return {"name": name, "workload": workload, "optimization": _option("optimizations", optimization)[optimization]}


def _option(group: str, name: str) -> dict[str, Any]:
    """The configuration of one option, inside `hydra_ready`."""
    chosen = f"{group}={name}" if group not in NAMED else f"{group}=[{name}]"
    try:
        found = OmegaConf.to_container(hydra.compose("config", overrides=[chosen])[group], resolve=True)
    except (HydraException, OmegaConfBaseException, ConfigCompositionException, OSError) as error:
        raise explain(error, (chosen,)) from error
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def _openly(override: str) -> str:
    """`only` is keyed by names that the user chose: Hydra adds new keys only when told so."""
    return f"++{override}" if override.startswith(("only.", "only=")) else override


def _check_mandatory(config: Any) -> None:
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise ConfigError(
            f"{missing[0]} has no value",
            where=missing[0],
            hint=f"say {missing[0]}=..., it has no default",
        )
