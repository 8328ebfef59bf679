"""Compose configuration with Hydra: overrides in, one plain dictionary per experiment out.

Brackets are one experiment, commas are several: `workload=a,b` composes two dictionaries. Hydra's own multirun is not
used for that, because all experiments must be validated before the first of them touches a device.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import ConfigCompositionException, HydraException, OverrideParseException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

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
)
BRACKETED = ("partitions", "optimizations", "telemetry")
CONFIG_PATH = "BENCH_CONFIG_PATH"
"""Environment variable: users' own config folders, separated like PATH; they come before ours."""


@dataclass(frozen=True)
class Composed:
    """One experiment's configuration, resolved: `choices` tells which option each group stands for."""

    overrides: tuple[str, ...]
    config: dict[str, Any]
    choices: dict[str, Any]


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
            for folder in reversed(folders):
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


def compose_all(overrides: Sequence[str], folders: Sequence[Path]) -> list[Composed]:
    """Every experiment that the overrides name, in the order of the product of their commas."""
    parsed = [_parse(text) for text in overrides]
    variants = [_variants(override) for override in parsed]
    with hydra_ready(folders):
        return [_compose(choice) for choice in itertools.product(*variants)]


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
    try:
        return OverridesParser.create().parse_overrides([text])[0]
    except (OverrideParseException, HydraException) as error:
        raise ConfigError(
            f"cannot read the option {text!r}",
            where="the command line",
            hint="write name=value, lists as 'name=[a,b]' in quotes, and quote values with spaces or signs",
        ) from error


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


def _compose(overrides: tuple[str, ...]) -> Composed:
    try:
        composed = hydra.compose("config", overrides=list(overrides), return_hydra_config=True)
        choices = {key: value for key, value in composed.hydra.runtime.choices.items() if key in GROUPS}
        choices = {
            key: OmegaConf.to_object(value) if OmegaConf.is_config(value) else value for key, value in choices.items()
        }
        without_hydra = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
        _check_mandatory(without_hydra)
        plain = OmegaConf.to_container(without_hydra, resolve=True)
    except ConfigError:
        raise
    except (HydraException, OmegaConfBaseException, ConfigCompositionException) as error:
        raise explain(error, overrides) from error
    assert isinstance(plain, dict)
    return Composed(overrides, {str(key): value for key, value in plain.items()}, dict(choices))


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
    for override in overrides:
        name, _, value = override.lstrip("+~").partition("=")
        wanted = [part.strip() for part in value.strip("[]").split(",")]
        for group in GROUPS:
            unknown = next((part for part in wanted if f"{group}/{part}'" in first), None)
            if name == group and unknown:
                return ConfigError(
                    f"there is no {group} {unknown!r}", where=override, hint=_hint_options(group, unknown)
                )
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


def _hint_options(group: str, unknown: str) -> str:
    import difflib

    known = options(group) if GlobalHydra.instance().is_initialized() else []
    close = difflib.get_close_matches(unknown, known, n=1)
    listed = ", ".join(known)
    return f"did you mean {close[0]}? There are: {listed}" if close else f"there are: {listed}"
