"""Transformers classifiers, shrunken: their answers mean something, and weights that do not fit are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import pydantic
import pytest

from bench.contract import Workload
from bench.errors import ConfigError, InputError
from workloads.hub_images import ResNet50, ViTB16
from workloads.hub_texts import BertBase, DistilBert

CONFIGS = Path(__file__).parents[2] / "configs" / "workload"
BERT = {"vocab_size": 500, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
DISTIL = {"vocab_size": 500, "dim": 32, "n_layers": 1, "n_heads": 2, "hidden_dim": 64}
VIT = {"patch_size": 8, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
RESNET = {"embedding_size": 16, "hidden_sizes": [32, 32, 64, 64], "depths": [1, 1, 1, 1]}
SMALL: dict[str, Any] = {
    "resnet50": lambda **o: ResNet50(**{"config": RESNET, "image_size": 64, **o}),
    "vit_b16": lambda **o: ViTB16(**{"config": VIT, "image_size": 32, **o}),
    "bert_base": lambda **o: BertBase(**{"config": BERT, "sequence_length": 24, **o}),
    "distilbert": lambda **o: DistilBert(**{"config": DISTIL, "sequence_length": 24, **o}),
}
EVERY = pytest.mark.parametrize("name", SMALL)


def run(model: Any, inputs: Any) -> Any:
    import torch

    with torch.inference_mode():
        return model(**{name: torch.from_numpy(array) for name, array in inputs.items()})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A small BERT in a folder, as save_pretrained writes it."""
    SMALL["bert_base"]().load().model.save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


def from_folder(folder: Path, **options: Any) -> BertBase:
    return BertBase(weights=str(folder), sequence_length=24, **options)


@EVERY
def test_random_weights_are_the_same_every_time_and_tell_inputs_apart(name: str) -> None:
    import torch

    workload = SMALL[name]()
    model, inputs = workload.load(), workload.evaluation().inputs
    assert not model.training
    logits = run(model, inputs)
    assert logits.shape == (64, workload.num_labels)
    assert logits.dtype == torch.float32
    counts = logits.argmax(dim=1).bincount()
    assert (counts > 0).sum() >= 10
    assert counts.max() <= 16
    assert torch.equal(logits, run(workload.load(), inputs))
    assert not torch.equal(logits, run(SMALL[name](seed=1).load(), inputs))


@EVERY
def test_answers_survive_rounding_and_not_noise(name: str) -> None:
    """Agreement separates what is nearly the model from what is not."""
    import torch

    workload = SMALL[name]()
    inputs = workload.evaluation().inputs
    answers = run(workload.load(), inputs).argmax(dim=1)
    with torch.autocast("cpu", torch.bfloat16):  # around the loading, too, which must not care
        rounded = run(workload.load(), inputs).argmax(dim=1)
    assert (rounded == answers).float().mean() > 0.95
    spoilt = workload.load()
    for parameter in spoilt.parameters():
        parameter.data += parameter.data.std(correction=0) * 2 * torch.randn_like(parameter)
    assert (run(spoilt, inputs).argmax(dim=1) == answers).float().mean() < 0.7


@EVERY
def test_random_weights_are_judged_by_the_kinds_of_their_inputs(name: str) -> None:
    workload = SMALL[name](evaluation_items=200)
    evaluation = workload.evaluation()
    assert evaluation.labels is not None and len(evaluation.labels) == 200
    answers = run(workload.load(), evaluation.inputs).argmax(dim=1).numpy()
    assert (answers == evaluation.labels).mean() > 5 / 16  # five times what guessing gets; these are tiny
    few = SMALL[name](num_labels=4).evaluation()
    assert few.labels is None, "a model with fewer classes than kinds cannot name them"


def test_a_checkpoint_has_no_labels_of_ours(saved: Path) -> None:
    assert from_folder(saved).evaluation().labels is None


@EVERY
def test_inputs_depend_on_the_seed_only(name: str) -> None:
    workload = SMALL[name]()
    one, again, other = workload.inputs(3, 1), workload.inputs(3, 1), workload.inputs(3, 2)
    first = next(iter(one))
    assert len(one[first]) == 3
    np.testing.assert_array_equal(one[first], again[first])
    assert not np.array_equal(one[first], other[first])
    assert all(array.dtype in (np.float32, np.int64) for array in one.values())


@EVERY
def test_the_configuration_is_the_full_model(name: str) -> None:
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        workload = hydra.utils.instantiate(hydra.compose(name), _convert_="all")
        changed = hydra.compose(name, ["config={hidden_act: relu}"])
    assert isinstance(workload, Workload)
    assert workload == type(workload)()
    assert json.loads(json.dumps(workload.identity())) == workload.identity()
    assert hydra.utils.instantiate(changed, _convert_="all").architecture()["hidden_act"] == "relu"
    assert (CONFIGS / f"{name}.yaml").read_text().startswith("# ")


@EVERY
def test_identity_follows_what_changes_the_model(name: str) -> None:
    identities = [SMALL[name](**o).identity() for o in ({}, {"seed": 1}, {"num_labels": 20})]
    assert len({json.dumps(identity) for identity in identities}) == 3


def test_every_saved_architecture_is_written_out_as_transformers_has_it() -> None:
    """Our standard configurations are transformers' own defaults, but for labels and dropout."""
    from transformers import BertConfig, DistilBertConfig, ResNetConfig, ViTConfig

    pairs = ((ResNet50, ResNetConfig), (ViTB16, ViTConfig), (BertBase, BertConfig), (DistilBert, DistilBertConfig))
    for workload, config in pairs:
        theirs = config().to_dict()
        ours = {key: value for key, value in workload().standard().items() if key != "num_labels"}
        assert ours == {key: theirs[key] for key in ours}


def test_a_local_folder(saved: Path) -> None:
    import torch

    workload = from_folder(saved)
    inputs = workload.inputs(4, 0)
    assert inputs["input_ids"].max() < 500
    assert torch.allclose(run(workload.load(), inputs), run(SMALL["bert_base"]().load(), inputs), atol=1e-6)
    before = workload.identity()
    assert set(before["weights"]) == {"config.json", "model.safetensors"}
    weights = saved / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert workload.identity() != before


def test_a_folder_that_does_not_serve(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        from_folder(tmp_path / "absent").identity()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no config\.json"):
        from_folder(tmp_path / "empty").identity()
    with pytest.raises(InputError, match="of a bert model, not distilbert"):
        DistilBert(weights=str(saved)).identity()
    with pytest.raises(ConfigError, match="at most 512 tokens"):
        BertBase(weights=str(saved), sequence_length=513).identity()
    with pytest.raises(ConfigError, match="config changes"):
        from_folder(saved, config={"num_hidden_layers": 1}).identity()
    weights = saved / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(InputError, match="not a whole safetensors"):
        from_folder(saved).identity()
    weights.rename(saved / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"no \.safetensors file") as error:
        from_folder(saved).identity()
    assert "convert pytorch_model.bin" in error.value.hint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_hidden_layers": 3}, "missing"),
        ({"num_hidden_layers": 1}, "left over"),
        ({"vocab_size": 400}, "shape|size"),
    ],
)
def test_weights_that_do_not_fit_the_architecture(saved: Path, change: dict[str, int], message: str) -> None:
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(InputError, match=message):
        from_folder(saved).load()


def test_weights_without_a_head(saved: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = saved / "model.safetensors"
    save_file({k: v for k, v in load_file(path).items() if "classifier" not in k}, path, {"format": "pt"})
    with pytest.raises(InputError, match=r"missing, e\.g\. classifier") as error:
        from_folder(saved).load()
    assert "head" in error.value.hint


def test_an_architecture_that_cannot_be(name: str = "bert_base") -> None:
    with pytest.raises(ConfigError, match="cannot be built"):
        SMALL[name](config={**BERT, "num_attention_heads": 5}).load()
    with pytest.raises(ConfigError, match=r"images of 64 x 64"):
        SMALL["vit_b16"](config={**VIT, "image_size": 64}).identity()
    with pytest.raises(pydantic.ValidationError):
        SMALL[name](layers=3)


def test_the_hub_offline_is_a_clear_error_and_the_conductor_stays_light(tmp_path: Path) -> None:
    code = """
import sys
from bench.errors import InputError
from workloads.hub_images import ResNet50
from workloads.hub_texts import BertBase
BertBase().identity(), ResNet50().identity()
for name in ("hub:nobody/nothing", "hub:a bad name"):
    try:
        BertBase(weights=name).identity()
    except InputError as error:
        print(error)
print("torch" in sys.modules, "transformers" in sys.modules)
"""
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert "nobody/nothing at revision main is not in the local cache" in done.stdout
    assert "hint: go online" in done.stdout
    assert "a bad name at revision main cannot be read" in done.stdout
    assert done.stdout.split()[-2:] == ["False", "False"]
