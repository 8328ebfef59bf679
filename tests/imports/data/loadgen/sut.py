"""What the logs beside this file come from: a system that reckons sines for half a millisecond a sample.

python sut.py SCENARIO FOLDER SAMPLES_PER_SECOND QUERIES SECONDS [MODE]
"""

import math
import sys
import time

import mlperf_loadgen as lg

scenario, folder, rate, queries, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3]), *map(int, sys.argv[4:6])
mode = sys.argv[6] if len(sys.argv) > 6 else "PerformanceOnly"


def answer(samples):
    for sample in samples:
        end = time.perf_counter() + 0.0005
        while time.perf_counter() < end:
            math.sin(sample.index)
        lg.QuerySamplesComplete([lg.QuerySampleResponse(sample.id, 0, 0)])


settings = lg.TestSettings()
settings.scenario = getattr(lg.TestScenario, scenario)
settings.mode = getattr(lg.TestMode, mode)
settings.min_duration_ms = seconds * 1000
settings.min_query_count = queries
settings.single_stream_expected_latency_ns = int(1e9 / rate)
settings.multi_stream_expected_latency_ns = int(8e9 / rate)
settings.multi_stream_samples_per_query = 8
settings.offline_expected_qps = rate
settings.server_target_qps = rate
settings.server_target_latency_ns = 10_000_000
output = lg.LogOutputSettings()
output.outdir = folder
log = lg.LogSettings()
log.log_output = output
log.enable_trace = False
system = lg.ConstructSUT(answer, lambda: None)
library = lg.ConstructQSL(64, 64, lambda samples: None, lambda samples: None)
lg.StartTestWithLogSettings(system, library, settings, log)
lg.DestroyQSL(library)
lg.DestroySUT(system)
