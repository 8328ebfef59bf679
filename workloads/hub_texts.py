"""Text classifiers from transformers: BERT base and DistilBERT, 128 tokens, 16 labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
import pydantic

from bench.contract import Array, Arrays, plugin
from bench.errors import ConfigError
from workloads import scenes
from workloads.hub import HubClassifier


@plugin
class TextClassifier(HubClassifier):
    """Inputs: `input_ids` and `attention_mask`, int64 [batch, sequence_length]; the mask is all ones, so that
    every request is the same amount of work."""

    wrapper: ClassVar[str] = "TextLogits"
    stream: ClassVar[int] = scenes.TEXTS

    sequence_length: Annotated[int, pydantic.Field(ge=2)] = 128
    num_labels: pydantic.PositiveInt = 16

    def inputs(self, batch_size: int, seed: int) -> Arrays:
        vocabulary = self.architecture()["vocab_size"]
        return _masked(scenes.tokens(batch_size, self.sequence_length, vocabulary, seed))

    def identity(self) -> Mapping[str, Any]:
        longest = self.architecture()["max_position_embeddings"]
        if self.sequence_length > longest:
            raise ConfigError(
                f"sequence_length is {self.sequence_length}, and the model takes at most {longest} tokens",
                where="workload.sequence_length",
                hint=f"workload.sequence_length={longest}",
            )
        return {**super().identity(), "sequence_length": self.sequence_length}

    def prototypes(self, architecture: Mapping[str, Any], kinds: int) -> Arrays:
        return _masked(scenes.token_prototypes(self.sequence_length, architecture["vocab_size"], kinds))


@plugin
class BertBase(TextClassifier):
    """BERT base, uncased vocabulary: 12 layers, 768 wide."""

    module: ClassVar[str] = "bert"
    names: ClassVar[tuple[str, str]] = ("BertForSequenceClassification", "BertConfig")

    def standard(self) -> Mapping[str, Any]:
        return {
            "vocab_size": 30522,
            "hidden_size": 768,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "intermediate_size": 3072,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.1,
            "max_position_embeddings": 512,
            "type_vocab_size": 2,
            "initializer_range": 0.02,
            "layer_norm_eps": 1e-12,
            "num_labels": self.num_labels,
        }


@plugin
class DistilBert(TextClassifier):
    """DistilBERT base, uncased vocabulary: 6 layers, 768 wide."""

    module: ClassVar[str] = "distilbert"
    width: ClassVar[str] = "dim"
    names: ClassVar[tuple[str, str]] = ("DistilBertForSequenceClassification", "DistilBertConfig")

    def standard(self) -> Mapping[str, Any]:
        return {
            "vocab_size": 30522,
            "dim": 768,
            "n_layers": 6,
            "n_heads": 12,
            "hidden_dim": 3072,
            "activation": "gelu",
            "dropout": 0.1,
            "attention_dropout": 0.1,
            "seq_classif_dropout": 0.2,
            "max_position_embeddings": 512,
            "sinusoidal_pos_embds": False,
            "initializer_range": 0.02,
            "num_labels": self.num_labels,
        }


def _masked(ids: Array) -> Arrays:
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}
