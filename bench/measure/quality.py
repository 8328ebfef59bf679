"""Quality of an optimised model: its outputs against the baseline's and, where there are labels, against the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.measure.artifacts import LABELS, OUTPUTS
from bench.records import Quality

Outputs = npt.NDArray[np.float64]


def compare(folder: Path, baseline_folder: Path, baseline: str) -> Quality | None:
    """Quality of the artifact in `folder`; None where outputs have no meaning. Both evaluated the same items."""
    if not (folder / OUTPUTS).exists() or not (baseline_folder / OUTPUTS).exists():
        return None
    outputs = _load(folder / OUTPUTS)
    reference = _load(baseline_folder / OUTPUTS)
    labels = np.load(folder / LABELS, allow_pickle=False) if (folder / LABELS).exists() else None
    return judge(outputs, reference, labels, baseline)


def judge(outputs: Outputs, reference: Outputs, labels: npt.NDArray[Any] | None, baseline: str) -> Quality:
    """`outputs`, `reference`: (items, ..., classes) logits; `labels`: (items,) integers, for (items, classes) only.

    One column is no choice between classes: then only relative error and cosine say anything."""
    if outputs.shape != reference.shape:
        raise ValueError(f"outputs of shape {outputs.shape} against {reference.shape} of {baseline}")
    if labels is not None and (outputs.ndim != 2 or labels.shape != outputs.shape[:1]):
        raise ValueError(f"labels of shape {labels.shape} do not fit outputs of shape {outputs.shape}")
    classes = outputs.shape[-1] if outputs.ndim > 1 else 1
    ours, theirs = outputs.reshape(-1, classes), reference.reshape(-1, classes)
    chosen, expected = ours.argmax(axis=1), theirs.argmax(axis=1)
    choice = classes > 1
    agreement = {
        "baseline": baseline,
        "items": len(outputs),
        "top1_agreement": float((chosen == expected).mean()) if choice else None,
        "mean_kl_nats": _mean_kl(theirs, ours) if choice else None,
        "cosine": _mean_cosine(reference.reshape(len(reference), -1), outputs.reshape(len(outputs), -1)),
        "relative_error": float(np.linalg.norm(outputs - reference)) / (float(np.linalg.norm(reference)) or 1.0),
    }
    if labels is None:
        return Quality(metric="agreement", **agreement)
    right, was_right = chosen == labels, expected == labels
    return Quality(
        metric="accuracy",
        accuracy=float(right.mean()),
        baseline_accuracy=float(was_right.mean()),
        gained=int((right & ~was_right).sum()),
        lost=int((~right & was_right).sum()),
        **agreement,
    )


def _load(path: Path) -> Outputs:
    outputs: Outputs = np.load(path, allow_pickle=False).astype(np.float64)
    return outputs


def _log_softmax(logits: Outputs) -> Outputs:
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: Outputs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def _mean_kl(reference: Outputs, outputs: Outputs) -> float:
    p, q = _log_softmax(reference), _log_softmax(outputs)
    return float(np.maximum((np.exp(p) * (p - q)).sum(axis=1), 0.0).mean())


def _mean_cosine(a: Outputs, b: Outputs) -> float:
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(axis=1) / np.where(norms > 0, norms, 1.0)).mean())
