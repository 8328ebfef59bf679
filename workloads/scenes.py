"""Images and texts made from a seed, of a few kinds, so that a model has something to tell apart.

White noise would do for timing, but every item would look the same to a model, and its answers would mean
nothing. Here each item mixes the prototype of its kind with something of its own; how much differs from item
to item, so that some are easy and some are close calls, as in real data.
"""

from __future__ import annotations

import numpy as np

from bench.contract import Array

KINDS = 16
CLS, SEP = 101, 102
IMAGES, TEXTS = 1, 3
"""Streams of random numbers."""
OWN_SHARE = (0.1, 0.6)
"""Range of the share of an item that is its own and not its kind's."""


def images(batch_size: int, channels: int, size: int, seed: int) -> Array:
    """Smooth random images, float32 [batch_size, channels, size, size], normalised as a data set is."""
    random = np.random.default_rng([seed, IMAGES])
    made = np.empty((batch_size, channels, size, size), dtype=np.float32)
    kinds = _kinds_of(batch_size, random)
    shares = random.uniform(*OWN_SHARE, batch_size)
    pictures = {int(kind): _picture(channels, size, np.random.default_rng([int(kind), 2])) for kind in set(kinds)}
    for item, (kind, share) in enumerate(zip(kinds, shares, strict=True)):
        own = _picture(channels, size, random)
        made[item] = np.sqrt(1 - share**2) * pictures[int(kind)] + share * own
    return made


def image_prototypes(channels: int, size: int, kinds: int) -> Array:
    """One image of each kind, without anything of its own: float32 [kinds, channels, size, size]."""
    return np.stack([_picture(channels, size, np.random.default_rng([kind, 2])) for kind in range(kinds)])


def tokens(batch_size: int, length: int, vocabulary: int, seed: int) -> Array:
    """Random token ids, int64 [batch_size, length]: the text of a kind, some tokens exchanged."""
    random = np.random.default_rng([seed, TEXTS])
    texts = token_prototypes(length, vocabulary, KINDS)[_kinds_of(batch_size, random)]
    shares = random.uniform(*OWN_SHARE, (batch_size, 1))
    own = random.integers(0, vocabulary, texts.shape)
    return _enclosed(np.where(random.random(texts.shape) < shares, own, texts), vocabulary)


def token_prototypes(length: int, vocabulary: int, kinds: int) -> Array:
    """One text of each kind, of uniformly random tokens: int64 [kinds, length]."""
    made = [np.random.default_rng([kind, 4]).integers(0, vocabulary, length) for kind in range(kinds)]
    return _enclosed(np.stack(made), vocabulary)


def kinds(items: int, seed: int, stream: int) -> Array:
    """Which kind each of `images` or `tokens` (by `stream`) with that seed is of: int64 [items]."""
    return _kinds_of(items, np.random.default_rng([seed, stream]))


def _enclosed(texts: Array, vocabulary: int) -> Array:
    """Begin and end texts with BERT's [CLS] and [SEP]: the classifier reads the first position."""
    texts[:, 0] = CLS % vocabulary
    texts[:, -1] = SEP % vocabulary
    return texts


def _kinds_of(items: int, random: np.random.Generator) -> Array:
    """As many of each kind as possible, in random order; a single item may be of any kind."""
    return random.permutation(KINDS)[np.arange(items) % KINDS]


def _picture(channels: int, size: int, random: np.random.Generator) -> Array:
    """One smooth field: its spectrum falls with frequency, as that of photographs does, but how steeply, in
    which direction, with which colours and how much contrast is its own."""
    vertical = np.fft.fftfreq(size)[:, None]
    horizontal = np.fft.rfftfreq(size)[None, :]
    angle, stretch, slope = random.uniform(0, np.pi), random.uniform(1, 4), random.uniform(0.8, 2)
    along = vertical * np.cos(angle) + horizontal * np.sin(angle)
    across = horizontal * np.cos(angle) - vertical * np.sin(angle)
    frequency = np.hypot(along * stretch, across / stretch)
    frequency[0, 0] = np.inf  # the constant part is the colour, below
    spectrum = np.fft.rfft2(random.standard_normal((channels, size, size))) / frequency**slope
    field = np.fft.irfft2(spectrum, s=(size, size))
    field /= field.std()
    colour = random.normal(0, 0.6, (channels, 1, 1))
    return np.asarray(field * random.uniform(0.5, 1.2) + colour, dtype=np.float32)
