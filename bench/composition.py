"""Compose configuration with Hydra: overrides in, one plain dictionary per experiment out.

Brackets are one experiment, commas are several: `workload=a,b` composes two dictionaries. Hydra's own multirun is not
used for that, because all experiments must be validated before the first of them touches a device.
"""

from __future__ import annotations

import difflib
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
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from bench.errors import ConfigError, InputError

GROUPS = (
    "workload",
    "scenario",
    "partitions",
    "optimizations",
    "protocol",
    "telemetry",
    "gpu",
    "isolation",
    "neighbours",
    "claims",
)
BRACKETED = ("partitions", "optimizations", "telemetry", "neighbours", "claims")
"""Groups whose options are compared or used together, so that a comma must be a mistake."""
NAMED = (*BRACKETED, "isolation")
"""Groups of which several options may be chosen: their files hold one key, the option's name."""
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


def options(group: str) -> list[str]:
    """The options of a group, inside `hydra_ready`. Hydra's listing is the registry."""
    loader = GlobalHydra.instance().config_loader()
    found: list[str] = []
    for name in loader.get_group_options(group):
        found.append(name)
    for nested in loader.list_groups(group):
        found += [f"{nested}/{name}" for name in loader.get_group_options(f"{group}/{nested}")]
    return sorted(found)


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


def explain(error: Exception, overrides: Sequence[str]) -> ConfigError:
    """Hydra's and OmegaConf's messages in our three lines."""
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
