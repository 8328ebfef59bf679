"""What can be made to go wrong on a rehearsed GPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from bench.errors import ConfigError

KILL = "kill"
"""Instead of an NVML error: the calling process gets SIGKILL."""


class _Fault(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Fail(_Fault):
    """Every call of a C symbol gives `error` (IN_USE, NO_PERMISSION ...), or only the first `times` of them."""

    error: str
    times: int | None = Field(default=None, ge=1)


class AtCall(_Fault):
    """At the `number`-th call of all processes since the fault was set: an NVML error, or "kill".

    moment: "before" the call did anything, or "after" it has changed what it changes (the caller is told an error all
    the same)."""

    number: int = Field(ge=1)
    do: str
    moment: Literal["before", "after"] = "before"


class ForeignProcess(_Fault):
    """Somebody else's process is a client of the GPU or MIG device with the UUID `on`; None: of the whole GPU."""

    on: str | None = None
    pid: int = Field(default=1, ge=1)


class Faults(_Fault):
    """All faults of one rehearsed GPU; the default is a GPU in good health.

    fail: by C symbol; the error's name alone will do.
    lost_at_call: from this call on the GPU is lost, until it is reset.
    mode_stays_pending: a change of MIG mode waits for a reset, whoever uses the GPU.
    no_permission: as for a user, or a container, without the right to change MIG.
    stuck_energy: the energy counter stands still.
    driver, missing: which driver's symbols there are, and further ones that are not.
    vgpu: this is a virtual machine's share of a GPU, of this name ("H200-1-18C").
    passthrough: the whole GPU is given to a virtual machine, which cannot reset it.
    """

    fail: dict[str, Fail] = {}
    at_call: AtCall | None = None
    lost_at_call: int | None = Field(default=None, ge=1)
    mode_stays_pending: bool = False
    no_permission: bool = False
    stuck_energy: bool = False
    driver: Literal["r590", "r610"] = "r610"
    missing: tuple[str, ...] = ()
    foreign_process: ForeignProcess | None = None
    vgpu: str | None = None
    passthrough: bool = False

    @field_validator("fail", mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {symbol: {"error": fail} if isinstance(fail, str) else fail for symbol, fail in value.items()}

    @property
    def count_calls(self) -> bool:
        """Whether a call has to be counted, which costs a write."""
        counted = any(fail.times is not None for fail in self.fail.values())
        return counted or self.at_call is not None or self.lost_at_call is not None


def checked(faults: Mapping[str, Any] | Faults) -> Faults:
    """Faults from a configuration. Raises ConfigError for names that neither NVML nor this model has."""
    where = "faults of a rehearsed GPU"
    try:
        found = Faults.model_validate(faults)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        hint = f"there are: {', '.join(Faults.model_fields)}"
        raise ConfigError(f"{name}: {first['msg'].lower()}", where=where, hint=hint) from error
    from bench.devices.rehearsal.calls import EXPORTS
    from bench.devices.rehearsal.refusal import code_of

    for symbol in (*found.fail, *found.missing):
        if symbol not in EXPORTS:
            hint = "it has to be a C symbol, with its version (nvmlDeviceGetAttributes_v2), that is rehearsed"
            raise ConfigError(f"there is no NVML call {symbol}", where=where, hint=hint)
    errors = [fail.error for fail in found.fail.values()]
    if found.at_call is not None and found.at_call.do != KILL:
        errors.append(found.at_call.do)
    for name in errors:
        if code_of(name) is None:
            hint = "IN_USE, NO_PERMISSION, INSUFFICIENT_RESOURCES, GPU_IS_LOST ...: NVML_ERROR_... without its prefix"
            raise ConfigError(f"NVML has no error {name}", where=where, hint=hint)
    return found
