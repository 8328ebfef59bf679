"""`bench_trial`, as a test calls it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest

from bench.errors import BenchError, ConfigError
from bench.suite.session import Measured, Session

MOST_ITEMS = 10_000_000


class BenchTrial:
    """Measures callables for one test."""

    def __init__(self, session: Session, node_id: str, strict: bool) -> None:
        self._session = session
        self._node_id = node_id
        self._strict = strict
        self._calls = 0

    def __call__(
        self,
        call: Callable[..., Any],
        *args: Any,
        items: int = 1,
        inputs: Iterable[Any] | None = None,
        synchronize: Callable[[], Any] | None = None,
    ) -> Measured:
        """Measure `call(*args)`, and store it as a trial of this session's block.

        items: of one call, so that throughput is in items per second.
        inputs: requests that take turns: each is the one argument of a call. Instead of `args`.
        synchronize: returns when the GPU's work is finished, `torch.cuda.synchronize`: the callable is a GPU's. None:
            it is a CPU's, and done when it returns.

        What `call` raises, the test gets. A trial that is invalid fails the test with --bench-strict only.
        """
        __tracebackhide__ = True
        self._calls += 1
        try:
            calls = _calls(call, args, inputs)
            if isinstance(items, bool) or not isinstance(items, int) or not 1 <= items <= MOST_ITEMS:
                raise ConfigError(
                    f"items is {items!r}", where="bench_trial", hint=f"say how many a call handles, 1 to {MOST_ITEMS}"
                )
            found = self._session.measure(self._node_id, self._calls, calls, items, synchronize)
        except BenchError as error:
            raise pytest.fail.Exception(str(error), pytrace=False) from None
        if self._strict and not found.valid:
            pytest.fail(f"{found.trial} is invalid: {'; '.join(found.reasons)}", pytrace=False)
        return found


def _calls(call: Callable[..., Any], args: tuple[Any, ...], inputs: Iterable[Any] | None) -> list[Callable[[], Any]]:
    if not callable(call):
        raise ConfigError(
            f"{type(call).__name__} cannot be called",
            where="bench_trial",
            hint="give the function and its arguments, not its result: bench_trial(encode, text)",
        )
    if inputs is None:
        return [partial(call, *args)] if args else [call]
    requests = list(inputs)
    if args or not requests:
        raise ConfigError(
            "inputs are given beside other arguments" if args else "there is no input",
            where="bench_trial",
            hint="say bench_trial(encode, inputs=[first, second]): each is the one argument of a call",
        )
    return [partial(call, request) for request in requests]
