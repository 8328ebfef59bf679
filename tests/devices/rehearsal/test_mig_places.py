"""Where GPU instances come to lie on a rehearsed GPU, and which ids they get, through nvidia-ml-py."""

from __future__ import annotations

import ctypes

import pynvml
import pytest
from rehearsed import Open, create, places, refused


@pytest.mark.parametrize("model", ["a100-40gb", "h100-80gb", "h200-141gb"])
def test_places_and_ids_are_those_of_the_published_captures(gpu_of: Open, model: str) -> None:
    gpu = gpu_of(model)
    assert places(create(gpu, 9, 14, 19, 19)) == [(2, 4, 4), (3, 0, 2), (9, 2, 1), (10, 3, 1)]


def test_the_order_matters_where_the_driver_chooses(gpu_of: Open) -> None:
    gpu = gpu_of("h100-80gb")
    create(gpu, 19, 19, 14)
    with refused("INSUFFICIENT_RESOURCES"):
        create(gpu, 9)


def test_a_named_place_makes_the_order_irrelevant(gpu_of: Open) -> None:
    gpu = gpu_of("h100-80gb")
    for profile_id, start, size in ((19, 2, 1), (19, 3, 1), (14, 0, 2), (9, 4, 4)):
        place = pynvml.c_nvmlGpuInstancePlacement_t(start=start, size=size)
        made = pynvml.nvmlDeviceCreateGpuInstanceWithPlacement(gpu, profile_id, ctypes.byref(place))
        assert places([made])[0][1:] == (start, size)


@pytest.mark.parametrize("model, profile_id, most", [
    ("a30-24gb", 14, [3, 4, 5, 6]),
    ("a100-40gb", 19, [7, 8, 9, 10, 11, 12, 13]),
    ("rtx-pro-6000-96gb", 14, [3, 4, 5, 6]),
])  # fmt: skip
def test_as_many_as_fit_with_ids_of_their_places(gpu_of: Open, model: str, profile_id: int, most: list[int]) -> None:
    gpu = gpu_of(model)
    made = create(gpu, *[profile_id] * len(most))
    assert sorted(number for number, _, _ in places(made)) == most
    with refused("INSUFFICIENT_RESOURCES"):
        create(gpu, profile_id)


@pytest.mark.parametrize("start, size, code", [
    (1, 4, "INVALID_ARGUMENT"), (0, 2, "INVALID_ARGUMENT"), (4, 4, "INSUFFICIENT_RESOURCES")
])  # fmt: skip
def test_places_that_there_are_not(gpu_of: Open, start: int, size: int, code: str) -> None:
    gpu = gpu_of("a100-40gb")
    create(gpu, 9)
    place = pynvml.c_nvmlGpuInstancePlacement_t(start=start, size=size)
    with refused(code):
        pynvml.nvmlDeviceCreateGpuInstanceWithPlacement(gpu, 9, ctypes.byref(place))


def test_no_more_than_the_profile_allows(gpu_of: Open) -> None:
    gpu = gpu_of("a100-40gb")
    create(gpu, 20)
    with refused("INSUFFICIENT_RESOURCES"):
        create(gpu, 20)
    create(gpu, 19)
