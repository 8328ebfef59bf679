"""onnxruntime_perf_test: its result file (every request) and its standard output (the whole run).

Formats: onnxruntime/test/perftest/performance_runner.cc. The result file has a line "model,seconds,peak bytes,CPU
%,number" for each request and grows with every run; numbers begin again with 0. Of requests that ran at once (-c) it
does not tell, so its times alone give no throughput: the standard output does, or the user, who says concurrency=1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from bench.errors import ConfigError
from bench.imports.files import file_name, possible, read_text, shown, sources, wrong
from bench.imports.imported import Found, Importer, Measured, Place
from bench.records import Imported, Latency

HINT = "onnxruntime_perf_test model.onnx result.csv writes the result file; `> out.txt` keeps its standard output"
MOST_LINE = 4096
NUMBER = r"([-+.0-9a-zA-Z]{1,40})"
TOLD = {
    "requests": rf"Total inference requests: *{NUMBER}",
    "run_s": rf"Total inference run time: *{NUMBER} s",
    "rate": rf"Number of inferences per second: *{NUMBER}",
    "mean_ms": rf"Average inference time cost(?: total)?: *{NUMBER} ms",
    "peak_bytes": rf"Peak working set size: *{NUMBER} bytes",
    "session_s": rf"Session creation time cost: *{NUMBER} s",
    **{name: rf"P{name[1:]} Latency(?: is|:) *{NUMBER} ?s" for name in ("p50", "p90", "p95", "p99")},
}
LINES = {name: re.compile(rf"^{pattern}", re.ASCII) for name, pattern in TOLD.items()}
SAME = 1e-3


@dataclass
class _Output:
    """One standard output, by the names of TOLD."""

    file: Path
    told: dict[str, float] = field(default_factory=dict)


@dataclass
class _Requests:
    """The requests of one run in a result file. `p50_s`: what the file itself says of them, where it does."""

    file: Path
    model: str
    times_s: list[float] = field(default_factory=list)
    p50_s: float | None = None


class OnnxruntimePerf(Importer):
    """Each run is a measurement: by its requests, by its standard output, or by both (in the same order)."""

    tool = "onnxruntime-perf"
    reads = "the result file of onnxruntime_perf_test, or its standard output, or both"
    takes: ClassVar[Mapping[str, str]] = {
        "concurrency": "1, if -c was not used: then the result file alone tells the throughput"
    }

    def read(self, files: Sequence[Path], said: Place) -> Found:
        alone = self.options.get("concurrency")
        if alone not in (None, "1"):
            raise ConfigError(
                f"concurrency={alone}: of requests that ran at once their times tell no throughput",
                where="concurrency=", hint="give the standard output of onnxruntime_perf_test as well",
            )  # fmt: skip
        requests: list[_Requests] = []
        outputs: list[_Output] = []
        for file in files:
            lines = read_text(file, HINT).splitlines()
            if any(line.startswith("Total inference requests:") for line in lines):
                outputs.append(_output(file, lines))
            else:
                requests += _requests(file, lines)
        if requests and outputs and len(requests) != len(outputs):
            raise wrong(outputs[0].file, f"{len(requests)} runs in result files, and {len(outputs)} outputs", HINT)
        if outputs:
            beside = iter(requests)
            measured = [_whole(output, next(beside, None), said) for output in outputs]
        else:
            measured = [_sequential(found, said, alone is not None) for found in requests]
        missing = ("blocks", "proof", "device") if requests else ("blocks", "proof", "device", "requests")
        return Found(Imported(tool=self.tool, files=sources(files), missing=missing), measured)


def _whole(output: _Output, found: _Requests | None, said: Place) -> Measured:
    told, file = output.told, output.file
    if found and len(found.times_s) != told["requests"]:
        what = f"it tells of {told['requests']:g} requests, and {file_name(found.file)} holds {len(found.times_s)}"
        raise wrong(file, what, "give both in the same order, one output for each run")
    latency = None
    if not found and all(name in told for name in ("p50", "p90", "p95", "p99")):
        quantiles = {name: told[name] * 1e3 for name in ("p50", "p90", "p95", "p99")}
        latency = Latency(**quantiles, mean=told["mean_ms"])
    return Measured(
        said,
        possible(file, told["rate"] * (said.batch_size or 1), "items per second", HINT),
        latencies_ms=[time_s * 1e3 for time_s in found.times_s] if found else (),
        latency_ms=latency,
        requests=int(told["requests"]),
        window_s=told["run_s"],
        detail=_detail(file, {name: told[name] for name in ("peak_bytes", "session_s") if name in told}, found),
    )


def _sequential(found: _Requests, said: Place, alone: bool) -> Measured:
    if not alone:
        raise wrong(
            found.file, "this result file does not tell how many requests ran at once, so it has no throughput",
            "give the standard output beside it, or say concurrency=1 if -c was not used",
        )  # fmt: skip
    total_s = sum(found.times_s)
    if total_s <= 0:
        raise wrong(found.file, "its requests took no time at all", HINT)
    rate = len(found.times_s) * (said.batch_size or 1) / total_s
    return Measured(
        said,
        possible(found.file, rate, "items per second", HINT),
        latencies_ms=[time_s * 1e3 for time_s in found.times_s],
        requests=len(found.times_s),
        window_s=total_s,
        detail=_detail(found.file, {}, found),
    )


def _detail(file: Path, told: Mapping[str, float], found: _Requests | None) -> dict[str, Any]:
    return {"file": file_name(file), **told, **({"model": found.model[:200]} if found else {})}


def _output(file: Path, lines: Sequence[str]) -> _Output:
    output = _Output(file)
    for line in lines:
        for name, pattern in LINES.items():
            if match := pattern.match(line[:MOST_LINE].strip()):
                if name in output.told and name in ("requests", "rate"):
                    raise wrong(
                        file, "this is the output of several runs", "keep each run's output in a file of its own"
                    )
                output.told[name] = _number(file, match[1], line)
    for name in ("requests", "run_s", "rate", "mean_ms"):
        if name not in output.told:
            label = TOLD[name].partition(":")[0].replace("(?", "")
            raise wrong(file, f"it ends before the line {label!r}: the run was broken off", HINT)
    requests, run_s, rate = (output.told[name] for name in ("requests", "run_s", "rate"))
    if requests < 1 or requests != int(requests) or run_s <= 0 or abs(requests / run_s - rate) > SAME * rate:
        raise wrong(file, f"{requests:g} requests in {run_s:g} s are not {rate:g} a second", HINT)
    return output


def _requests(file: Path, lines: Sequence[str]) -> list[_Requests]:
    runs: list[_Requests] = []
    for index, line in enumerate(lines, start=1):
        if not line.strip() or re.match(r"(Min|Max|P\d+) Latency", line):
            if runs and (match := LINES["p50"].match(line[:MOST_LINE])):
                runs[-1].p50_s = _number(file, match[1], line)
            continue
        model, *rest = line[:MOST_LINE].rsplit(",", 4)
        if len(rest) != 4 or not rest[3].isascii() or not rest[3].isdecimal() or len(rest[3]) > 15:
            raise wrong(file, f"line {index} is no request of onnxruntime_perf_test: {shown(line)}", HINT)
        number = int(rest[3])
        if number == 0:
            runs.append(_Requests(file, model))
        if not runs or number != len(runs[-1].times_s):
            raise wrong(file, f"line {index} is request {number}, and others before it are missing", HINT)
        runs[-1].times_s.append(_number(file, rest[0], line))
    if not runs:
        raise wrong(file, "it holds no request", HINT)
    for run in runs:
        _same_unit(run)
    return runs


def _same_unit(run: _Requests) -> None:
    """Some versions wrote nanoseconds; where the file says its median in seconds, that shows."""
    if run.p50_s is None:
        return
    median = sorted(run.times_s)[len(run.times_s) // 2]
    if abs(median - run.p50_s) > SAME * max(median, run.p50_s):
        raise wrong(run.file, f"its median is {median:g}, and it says {run.p50_s:g} s: not seconds, or not whole", HINT)


def _number(file: Path, text: str, line: str) -> float:
    try:
        found = float(text)
    except ValueError as error:
        raise wrong(file, f"there is no number in {shown(line)}", HINT) from error
    return possible(file, found, shown(line), HINT)
