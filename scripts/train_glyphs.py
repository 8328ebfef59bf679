"""Trains the classifier of the `glyphs` workload from scratch and writes its weights.

    python scripts/train_glyphs.py --out workloads/glyphs/weights.safetensors

About five minutes on two cores. The images are drawn on the way; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from workloads.glyphs import drawing, training
from workloads.glyphs.network import STUDENT_WIDTHS, WIDTHS, Network
from workloads.glyphs.recipe import SCRATCH


def main() -> None:
    arguments = _arguments()
    torch.manual_seed(arguments.seed)
    network = Network(STUDENT_WIDTHS if arguments.student else WIDTHS)
    recipe = replace(SCRATCH, images=arguments.images, peak_rate=arguments.peak_rate)
    started = time.perf_counter()

    def report(seen: int, loss: float) -> None:
        print(f"{time.perf_counter() - started:6.0f} s  {seen:7,} images  loss {loss:.4f}", flush=True)

    training.train(network, None, recipe, arguments.seed, report)
    images, labels = drawing.draw(10_000, drawing.EVALUATION, seed=0)
    print(f"held-out accuracy {training.accuracy(network, images, labels):.4f} on {len(labels):,} images")
    if arguments.out is not None:
        metadata = {
            "seed": str(arguments.seed),
            "images": str(arguments.images),
            "drawing": str(drawing.VERSION),
        }
        save_file(network.state_dict(), arguments.out, metadata)
        print(f"wrote {arguments.out}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="of the initial weights and the images (default 1)")
    parser.add_argument("--images", type=int, default=SCRATCH.images, help="images to train on (default %(default)s)")
    parser.add_argument(
        "--peak-rate", type=float, default=SCRATCH.peak_rate, help="greatest learning rate (default %(default)s)"
    )
    parser.add_argument("--student", action="store_true", help="train the half-width network instead")
    parser.add_argument("--out", type=Path, help="file to write the weights to (default: none is written)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
