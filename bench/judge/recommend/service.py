"""What the user runs there (`deploy:` of a need): nobody but the user knows the image that serves the model."""

from __future__ import annotations

import re
from typing import Annotated

import pydantic

from bench.judge.recommend.values import GIB, Amount, Number
from bench.records import StrictRecord

DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
COMPONENT = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
IMAGE = re.compile(
    rf"([A-Za-z0-9.-]+(:\d+)?/)?{COMPONENT}(/{COMPONENT})*(:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(@sha256:[0-9a-f]{{64}})?"
)
HEALTH_PATH = re.compile(r"/[!-~]*")


def _like(pattern: re.Pattern[str], hint: str) -> pydantic.AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"{value[:60]!r} cannot be deployed: say {hint}")
        return value

    return pydantic.AfterValidator(check)


def _names_its_version(image: str) -> str:
    if ":" not in image.rpartition("/")[2]:
        raise ValueError(
            f"{image} names no tag and no digest, so it may be another image tomorrow: say {image}:1.4, or @sha256:..."
        )
    return image


def _has_no_zero_byte(word: str) -> str:
    if "\0" in word:
        raise ValueError("a word holds a zero byte: say it without")
    return word


Label = Annotated[str, _like(DNS_LABEL, "at most 63 of a-z, 0-9 and -, a letter first, such as resnet-fp16")]
Image = Annotated[
    str,
    pydantic.Field(max_length=500),
    _like(IMAGE, "an image with its tag or digest, such as registry.example/resnet:1.4"),
    pydantic.AfterValidator(_names_its_version),
]
HealthPath = Annotated[
    str, pydantic.Field(max_length=500), _like(HEALTH_PATH, "a path that answers 200 when it is ready, such as /health")
]
Argument = Annotated[str, pydantic.Field(max_length=4000), pydantic.AfterValidator(_has_no_zero_byte)]


class Service(StrictRecord):
    """name: of the service, a DNS label. image: with its tag or digest. command: () is the image's own.
    port, health_path: where it answers, for probes. memory_gib: of the host, for each tenant; None: as measured."""

    name: Label
    image: Image
    command: tuple[Argument, ...] = ()
    port: Annotated[Number, pydantic.Field(le=65535)] = 8000
    health_path: HealthPath = "/"
    namespace: Label = "default"
    memory_gib: Amount | None = None
    user_id: Annotated[Number, pydantic.Field(le=2**31 - 1)] = 10001

    @property
    def memory_bytes(self) -> float | None:
        return None if self.memory_gib is None else self.memory_gib * GIB
