"""The tools whose files are understood; each importer is imported when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from bench.errors import ConfigError
from bench.imports.imported import Importer

TOOLS = {
    "trtexec": "bench.imports.trtexec:Trtexec",
    "onnxruntime-perf": "bench.imports.onnxruntime_perf:OnnxruntimePerf",
    "perf-analyzer": "bench.imports.perf_analyzer:PerfAnalyzer",
    "nvbench": "bench.imports.nvbench:Nvbench",
    "optimum-benchmark": "bench.imports.optimum_benchmark:OptimumBenchmark",
    "loadgen": "bench.imports.loadgen:LoadGen",
    "pytest-benchmark": "bench.imports.pytest_benchmark.importer:PytestBenchmark",
    "csv": "bench.imports.table:Table",
}


def kind(tool: str) -> type[Importer]:
    """The importer of a tool. Raises ConfigError for one that is not known."""
    if tool not in TOOLS:
        raise ConfigError(
            f"{tool!r} is no tool whose files are understood",
            where=f"bench import {tool}",
            hint=f"there are: {', '.join(TOOLS)}; csv reads any table",
        )
    module, _, name = TOOLS[tool].partition(":")
    found: type[Importer] = getattr(importlib.import_module(module), name)
    return found


def importer(tool: str, options: Mapping[str, str]) -> Importer:
    """`options`: those of the tool alone, as users write them. Raises ConfigError for one that it does not have."""
    return kind(tool)(options)
