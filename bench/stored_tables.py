"""The tables of a stored trial, its requests and its telemetry, read as warily as the rest of a run (`stored.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.records import TrialRecord
from bench.stored import GREATEST, SetAside, StoredRun, content, first_line

GREATEST_READING = 1e30
MOST_ROWS = 10_000_000
"""Of one table: a few bytes of Parquet may stand for more rows than there is memory."""
WHOLE, NUMBER, TRUTH, TEXT = "iu", "iuf", "b", "OSU"
"""Kinds of numpy's types that a column may have."""
SAMPLE_COLUMNS = {"tenant": WHOLE, "end_ns": WHOLE, "latency_ns": NUMBER, "counted": TRUTH}
TELEMETRY_COLUMNS = {"t_ns": WHOLE, "subject": TEXT, "metric": TEXT, "value": NUMBER}


@dataclass(frozen=True)
class Samples:
    """The requests of one trial that counted: which tenant answered, how long it took, and when the window was."""

    tenant: npt.NDArray[np.int64]
    latency_ms: npt.NDArray[np.float64]
    start_ns: int
    end_ns: int


def read_samples(run: StoredRun, trial: TrialRecord) -> Samples | SetAside:
    """The requests of one trial. Names of trials are checked when they are read, so they stay inside the folder."""
    found = read_requests(run, trial)
    if isinstance(found, SetAside):
        return found
    latency_ms, ends_ns = found["latency_ns"].astype(np.float64) / 1e6, found["end_ns"].astype(np.int64)
    tenant = found["tenant"].astype(np.int64)
    return Samples(tenant, latency_ms, int(ends_ns[0] - latency_ms[0] * 1e6), int(ends_ns.max()))


def read_requests(run: StoredRun, trial: TrialRecord) -> dict[str, npt.NDArray[Any]] | SetAside:
    """tenant, end_ns and latency_ns of the requests that count, at least one, as they are stored."""
    table = _table(run.folder / "samples" / f"{trial.id}.parquet", SAMPLE_COLUMNS)
    if isinstance(table, SetAside):
        return table
    where = f"samples/{trial.id}.parquet"
    counted = table["counted"]
    if not counted.any():
        return SetAside(where, "no request in it counts")
    found = {name: column[counted] for name, column in table.items() if name != "counted"}
    if not ((found["latency_ns"] >= 0) & (found["latency_ns"] <= GREATEST * 1e6)).all():
        return SetAside(where, "it holds latencies that cannot be")
    return found


def read_telemetry(run: StoredRun, trial: TrialRecord) -> dict[tuple[str, str], npt.NDArray[np.float64]] | SetAside:
    """(subject, metric) -> [ticks, 2]: ns of the shared clock, value."""
    table = _table(run.folder / "telemetry" / f"{trial.id}.parquet", TELEMETRY_COLUMNS)
    if isinstance(table, SetAside):
        return table
    ticks = np.column_stack([table["t_ns"].astype(np.float64), table["value"].astype(np.float64)])
    sound = np.all(np.abs(ticks) <= GREATEST_READING, axis=1)  # which no NaN is
    rows: dict[tuple[str, str], list[int]] = {}
    for index, key in enumerate(zip(table["subject"].tolist(), table["metric"].tolist(), strict=True)):
        if sound[index]:
            rows.setdefault((str(key[0]), str(key[1])), []).append(index)
    return {key: ticks[chosen] for key, chosen in rows.items()}


def _table(path: Path, columns: Mapping[str, str]) -> dict[str, npt.NDArray[Any]] | SetAside:
    import pyarrow as pa
    import pyarrow.parquet as pq

    where = f"{path.parent.name}/{path.name}"
    try:
        # Through memory: of ten thousand small files, opening them inside pyarrow would cost most.
        file = pq.ParquetFile(pa.BufferReader(content(path)))
        if file.metadata.num_rows > MOST_ROWS:
            return SetAside(where, f"it has {file.metadata.num_rows} rows, and at most {MOST_ROWS} are read")
        table = file.read(columns=list(columns), use_threads=False)
        missing = [name for name in columns if name not in table.column_names]
        if missing:
            return SetAside(where, f"it has no column {', '.join(missing)}")
        found = {name: table.column(name).to_numpy() for name in columns}
        wrong = [name for name, kinds in columns.items() if found[name].dtype.kind not in kinds]
        if wrong and table.num_rows:  # without rows there are no types
            return SetAside(where, f"its column {wrong[0]} is of another type or has gaps")
        return found
    except (OSError, ValueError, pa.ArrowException) as error:
        return SetAside(where, first_line(error))
