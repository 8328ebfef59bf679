"""An experiment, typed and validated: every plug-in instantiated before any device is touched."""

from __future__ import annotations

import dataclasses
import math
import os
import re
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from bench import contract
from bench.arrangement import Arrangement, Occupant, arrangements, partition_node
from bench.claims import Claim, read_claims
from bench.composition import CONFIG, Composed, compose_all, user_folders
from bench.devices import select
from bench.errors import ConfigError
from bench.groups import GROUPS, NAMED
from bench.instantiate import instantiate
from bench.records import Thresholds, strictest_level

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*\Z")
ROOT_KEYS = {*GROUPS, "baseline", "only", "thresholds", "seed", "results_dir", "cache_dir"}


@dataclass(frozen=True)
class Experiment:
    """All blocks of one workload and scenario on one device. `config` is what it was made of, as plain data."""

    overrides: tuple[str, ...]
    config_name: str
    config_folders: tuple[Path, ...]
    config: Mapping[str, Any]
    workload_name: str
    workload: contract.Workload
    scenario_name: str
    scenario: contract.Scenario
    arrangements: Mapping[str, Arrangement]
    """By the name of a cell's partition."""
    optimizations: Mapping[str, contract.Optimization]
    protocol_name: str
    protocol: contract.Protocol
    telemetry: Mapping[str, contract.TelemetrySource]
    device: contract.Device
    claims: Mapping[str, Claim]
    baseline: str
    again: str | None
    """The optimization that is the baseline under another name, for the noise floor; None: the protocol has none."""
    only: Mapping[str, tuple[str, ...]]
    thresholds: Thresholds
    seed: int
    results_dir: Path
    cache_dir: Path

    @property
    def divisions(self) -> dict[str, contract.Partition]:
        """The options of `partitions`."""
        return {arranged.division: arranged.partition for arranged in self.arrangements.values()}

    @property
    def readable(self) -> tuple[Path, ...]:
        """What tenants read, beside bench and what is installed for it."""
        workloads = (self.workload, *(occupant.workload for occupant in self.occupants.values()))
        files = (path for workload in workloads for path in workload.reads())
        return tuple(dict.fromkeys((self.cache_dir, *self.config_folders, *files)))

    @property
    def occupants(self) -> dict[str, Occupant]:
        """The neighbours that run something else, by where they are."""
        found: dict[str, Occupant] = {}
        for name, arranged in self.arrangements.items():
            beside = {arranged.neighbours: arranged.occupant} if arranged.occupant else {}
            listed = {f"{name}[{index}]": occupant for index, occupant in enumerate(arranged.listed)}
            found |= {key: occupant for key, occupant in (beside | listed).items() if occupant}
        return found


def load_experiments(
    overrides: Sequence[str], config_dirs: Sequence[str] = (), config_name: str = CONFIG
) -> list[Experiment]:
    """Compose and validate every experiment that the overrides name."""
    folders = user_folders(config_dirs)
    for folder in reversed(folders):  # a plug-in's file may lie beside its yaml
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    experiments = [build_experiment(composed, folders) for composed in compose_all(overrides, folders, config_name)]
    if "torch" in sys.modules:
        raise ConfigError(
            "a plug-in imports torch when its module is imported, which would slow and spoil every measurement",
            where=", ".join(str(folder) for folder in folders) or "PYTHONPATH",
            hint="import torch inside the plug-in's methods",
        )
    return experiments


def build_experiment(composed: Composed, folders: Sequence[Path]) -> Experiment:
    """From plain configuration to plug-ins. Raises ConfigError naming the option that is wrong."""
    config, choices = composed.config, composed.choices
    unknown = sorted(set(config) - ROOT_KEYS)
    if unknown:
        raise ConfigError(
            f"unknown option {unknown[0]!r}", where=unknown[0], hint=f"known: {', '.join(sorted(ROOT_KEYS))}"
        )
    for group in ("workload", "scenario", "protocol", "gpu"):
        if not isinstance(choices.get(group), str) or group not in config:
            raise ConfigError(
                f"{group} takes one option",
                where=f"{group}={choices.get(group, '')}",
                hint=f"say {group}=NAME; brackets are for {', '.join(NAMED)}",
            )
    workload = instantiate(config["workload"], contract.Workload, "workload")
    protocol = _protocol(config["protocol"])
    baseline = str(config["baseline"] or workload.default_baseline)
    again = None
    if protocol.noise_floor and baseline in (config.get("optimizations") or {}):
        config, again = _with_again(config, baseline)
    optimizations = _named(config, "optimizations", contract.Optimization)
    nodes = {name: partition_node(node) for name, node in (config.get("partitions") or {}).items()}
    arranged = arrangements(
        config,
        _named({"partitions": nodes}, "partitions", contract.Partition),
        _named(config, "isolation", contract.Isolation),
        _named(config, "neighbours", contract.Neighbours),
    )
    return Experiment(
        overrides=composed.overrides,
        config_name=composed.config_name,
        config_folders=tuple(folders),
        config=config,
        workload_name=_safe(str(choices["workload"]), "workload"),
        workload=workload,
        scenario_name=_safe(str(choices["scenario"]), "scenario"),
        scenario=instantiate(config["scenario"], contract.Scenario, "scenario"),
        arrangements=arranged,
        optimizations=optimizations,
        protocol_name=str(choices["protocol"]),
        protocol=protocol,
        telemetry=_named(config, "telemetry", contract.TelemetrySource, may_be_empty=True),
        device=select.find_device(config["gpu"]),
        claims=read_claims(config.get("claims")),
        baseline=baseline,
        again=again,
        only=_only(config["only"], [*nodes, *(name for name in arranged if name not in nodes)], optimizations),
        thresholds=_thresholds(config["thresholds"]),
        seed=_seed(config["seed"]),
        results_dir=_folder(config["results_dir"], "results_dir"),
        cache_dir=_folder(config["cache_dir"] or default_cache_dir(), "cache_dir"),
    )


def _with_again(config: Mapping[str, Any], baseline: str) -> tuple[dict[str, Any], str]:
    """The configuration with the baseline a second time, and its second name."""
    again = f"{baseline}_again"
    if again in config["optimizations"]:
        raise ConfigError(
            f"the protocol measures {baseline} a second time as {again!r}, and there is an optimization of that name",
            where=f"optimizations.{again}",
            hint="rename yours, or say protocol.noise_floor=false",
        )
    node = config["optimizations"][baseline]
    return {**config, "optimizations": {**config["optimizations"], again: node}}, again


def _named(
    config: Mapping[str, Any], group: str, point: type[contract.T], may_be_empty: bool = False
) -> dict[str, contract.T]:
    nodes = config.get(group) or {}
    if not isinstance(nodes, Mapping):
        raise ConfigError(f"{group} is not a mapping", where=group, hint=f"choose options by '{group}=[name,name]'")
    if "_target_" in nodes:
        raise ConfigError(
            f"an option of {group} has no key of its own",
            where=f"{group}._target_",
            hint=f"a yaml in {group}/ holds one key, its file's name, and everything else below that",
        )
    if not nodes and not may_be_empty:
        raise ConfigError(f"no {group} chosen", where=f"{group}=[]", hint=f"name at least one: '{group}=[...]'")
    return {_safe(str(name), group): instantiate(node, point, f"{group}.{name}") for name, node in nodes.items()}


def _safe(name: str, key: str) -> str:
    """Names become file names and parts of ids."""
    if not NAME.match(name):
        raise ConfigError(f"{name!r} is not a name", where=key, hint="use letters, digits and underscores only")
    return name


def _thresholds(node: Any) -> Thresholds:
    try:
        return Thresholds.model_validate(node)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"a threshold cannot be read: {first['msg'][:1].lower()}{first['msg'][1:]}",
            where=".".join(("thresholds", *(str(part) for part in first["loc"]))),
            hint="a threshold is a share such as 0.02 for 2 %, or null for what is not judged; "
            f"there are: {', '.join(Thresholds.model_fields)}",
        ) from error


def _protocol(node: Any) -> contract.Protocol:
    protocol = instantiate(node, contract.Protocol, "protocol")
    for name, value in dataclasses.asdict(protocol).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{name} is {value}", where=f"protocol.{name}", hint="it must be a finite number")
    most = strictest_level(protocol.looks or (protocol.blocks,))
    checks = (
        ("blocks", 1 <= protocol.blocks <= 10_000, "at least 1, and at most 10000"),
        ("min_requests", protocol.min_requests >= 1, "at least 1"),
        ("window_s", protocol.window_s > 0, "more than 0"),
        ("warmup_min_s", protocol.warmup_min_s >= 0, "0 or more"),
        ("warmup_limit_s", protocol.warmup_limit_s >= protocol.warmup_min_s, "at least warmup_min_s"),
        ("window_limit_s", protocol.window_limit_s >= protocol.window_s, "at least window_s"),
        ("trial_limit_s", protocol.trial_limit_s > protocol.window_s, "more than window_s"),
        ("build_limit_s", protocol.build_limit_s > 0, "more than 0"),
        ("doublings", 0 <= protocol.doublings <= 6, "0 to 6"),
        ("look_level", _strict(protocol), f"null, or above 0 and at most {most:.3g} for such looks"),
    )
    for name, holds, words in checks:
        if not holds:
            raise ConfigError(
                f"{name} is {getattr(protocol, name)}",
                where=f"protocol.{name}",
                hint=f"it must be {words}",
            )
    return protocol


def _strict(protocol: contract.Protocol) -> bool:
    return protocol.look_level is None or 0 < protocol.look_level <= strictest_level(protocol.looks)


def _only(node: Any, partitions: Sequence[str], optimizations: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Partition -> the optimizations measured on it; partitions that are not named get all. An option of `partitions`
    stands for all its arrangements."""
    only: dict[str, tuple[str, ...]] = {}
    if not isinstance(node or {}, Mapping):
        raise ConfigError(
            "only does not say which optimizations",
            where=f"only={node}",
            hint=f"write 'only.{partitions[0]}=[{next(iter(optimizations))}]'",
        )
    for partition, names in _flat(node or {}):
        if partition not in partitions:
            raise ConfigError(
                f"only names the partition {partition!r}, which is not in this experiment",
                where=f"only.{partition}",
                hint=f"partitions are: {', '.join(partitions)}",
            )
        if not isinstance(names, list) or not names:
            raise ConfigError(
                f"only.{partition} is not a list of optimizations",
                where=f"only.{partition}",
                hint=f"write 'only.{partition}=[{next(iter(optimizations))}]'",
            )
        for name in names:
            if name not in optimizations:
                raise ConfigError(
                    f"only names the optimization {name!r}, which is not in this experiment",
                    where=f"only.{partition}",
                    hint=f"optimizations are: {', '.join(optimizations)}",
                )
        only[partition] = tuple(names)
    return only


def _flat(node: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """An arrangement's name has dots, of which Hydra makes levels."""
    for name, value in node.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _seed(value: Any) -> int:
    if value is None:
        return secrets.randbelow(2**31)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise ConfigError(
            f"seed should be a whole number of 0 or more (and below 2^63), not {value!r}",
            where="seed",
            hint="say seed=1234, or leave it out",
        )
    return value


def default_cache_dir() -> str:
    """Where built artifacts are kept when nothing is said: BENCH_CACHE_DIR, else the user's cache folder."""
    return os.environ.get("BENCH_CACHE_DIR") or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/bench"


def _folder(value: Any, key: str) -> Path:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{key} is {value!r}", where=key, hint=f"say {key}=FOLDER")
    return Path(value).expanduser().absolute()
