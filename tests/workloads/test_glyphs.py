"""The glyphs workload: its images, its network, its weights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import InputError
from workloads.glyphs import ACCURACY, Glyphs, drawing
from workloads.glyphs.weights import SHIPPED

STREAMS = [drawing.TRAINING, drawing.EVALUATION, drawing.CALIBRATION, drawing.REQUESTS]


@given(
    count=st.integers(0, 80),
    stream=st.sampled_from(STREAMS),
    seed=st.integers(0, 2**63),
    part=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_images_are_images_whatever_the_seed(count: int, stream: int, seed: int, part: int) -> None:
    images, labels = drawing.draw(count, stream, seed, part)
    assert images.shape == (count, 1, 32, 32) and images.dtype == np.float32
    assert labels.shape == (count,) and labels.dtype == np.int64
    assert np.isfinite(images).all() and ((images >= 0) & (images <= 1)).all()


@given(seed=st.integers(0, 2**32))
@settings(max_examples=5, deadline=None)
def test_drawing_is_deterministic_and_streams_differ(seed: int) -> None:
    first, again = drawing.draw(72, drawing.TRAINING, seed), drawing.draw(72, drawing.TRAINING, seed)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    for other in STREAMS[1:]:
        assert not np.array_equal(first[0], drawing.draw(72, other, seed)[0])


def test_labels_are_balanced() -> None:
    _, labels = drawing.draw(1000, drawing.TRAINING, seed=5)
    counts = np.bincount(labels, minlength=drawing.CLASSES)
    assert len(counts) == 36 and counts.max() - counts.min() <= 1


def test_inputs_and_calibration_are_not_evaluation_images() -> None:
    glyphs = Glyphs()
    evaluation = glyphs.evaluation()
    judged = {image.tobytes() for image in evaluation.inputs["image"]}
    assert len(judged) == 10_000 and evaluation.labels is not None and len(evaluation.labels) == 10_000
    batches = list(glyphs.calibration())
    assert sum(len(batch["image"]) for batch in batches) == 512
    for batch in [*batches, glyphs.inputs(64, seed=0)]:
        assert not judged & {image.tobytes() for image in batch["image"]}
    assert np.array_equal(glyphs.inputs(3, seed=7)["image"], glyphs.inputs(3, seed=7)["image"])


def test_shipped_weights_reach_the_recorded_accuracy() -> None:
    import torch

    from workloads.glyphs.training import accuracy

    glyphs = Glyphs()
    evaluation = glyphs.evaluation()
    model = glyphs.load()
    assert not model.training
    model = model.to(memory_format=torch.channels_last)  # for speed
    assert accuracy(model, evaluation.inputs["image"], evaluation.labels) == pytest.approx(ACCURACY, abs=0.0005)
    assert 0.95 < ACCURACY < 0.995
    assert SHIPPED.stat().st_size < 5_000_000


def test_identity_is_json_and_tells_options_apart_without_torch() -> None:
    program = (
        "import json, sys; from workloads.glyphs import Glyphs; print(json.dumps(Glyphs().identity()));"
        "assert not {'torch', 'safetensors'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == json.loads(json.dumps(Glyphs().identity()))
    assert Glyphs(finetune_images=1000).identity() != Glyphs().identity()


def test_student_is_smaller_fits_and_is_always_the_same() -> None:
    import torch

    from workloads.glyphs.network import is_untrained

    glyphs = Glyphs()
    student, again, teacher = glyphs.student(), glyphs.student(), glyphs.load()
    image = torch.from_numpy(glyphs.inputs(2, seed=0)["image"])
    assert student(image).shape == teacher(image).shape == (2, 36)
    assert torch.equal(student(image), again(image))
    assert sum(p.numel() for p in student.parameters()) < 0.3 * sum(p.numel() for p in teacher.parameters())
    assert is_untrained(student) and not is_untrained(teacher)


def test_finetune_changes_the_model_in_place_and_not_the_teacher() -> None:
    import torch

    glyphs = Glyphs(finetune_images=256)
    model, teacher = glyphs.load(), glyphs.load()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    glyphs.finetune(model, teacher, seed=0)
    assert not model.training
    assert not torch.equal(model.stem.weight, before["stem.weight"])
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


def bad_files() -> dict[str, bytes]:
    good = SHIPPED.read_bytes()
    length = int.from_bytes(good[:8], "little")
    header = json.loads(good[8 : 8 + length])
    header["head.bias"]["shape"] = [6, 6]
    other_shape = json.dumps(header).encode()
    header.pop("head.bias")
    missing = json.dumps(header).encode()
    return {
        "empty": b"",
        "text": b"these are no weights at all",
        "huge_header": b"\xff" * 64,
        "list": (2).to_bytes(8, "little") + b"[]",
        "no_tensor": (2).to_bytes(8, "little") + b"{}",
        "cut_off": good[:-100],
        "other_shape": len(other_shape).to_bytes(8, "little") + other_shape + good[8 + length :],
        "missing": len(missing).to_bytes(8, "little") + missing + good[8 + length :],
    }


@pytest.mark.parametrize("case", bad_files())
def test_bad_weights_are_told_before_torch_sees_them(case: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(bad_files()[case])
    for attempt in (Glyphs(weights=str(path)).identity, Glyphs(weights=str(path)).load):
        with pytest.raises(InputError) as caught:
            attempt()
        assert str(path) in str(caught.value) and "hint:" in str(caught.value)
    if case in ("other_shape", "missing"):
        assert "head.bias" in caught.value.what


def test_missing_weights_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not there"):
        Glyphs(weights=str(tmp_path / "none.safetensors")).identity()


@pytest.mark.statistics
@pytest.mark.timeout(1800)
def test_another_seed_learns_the_same() -> None:
    """The full recipe on another seed: the accuracy comes from the images, not from luck. Minutes on idle cores."""
    import torch

    from workloads.glyphs import training
    from workloads.glyphs.network import Network
    from workloads.glyphs.recipe import SCRATCH

    torch.manual_seed(2)
    network = Network()
    training.train(network, None, SCRATCH, seed=2)
    evaluation = Glyphs().evaluation()
    reached = training.accuracy(network, evaluation.inputs["image"], evaluation.labels)
    assert reached == pytest.approx(ACCURACY, abs=0.005)
