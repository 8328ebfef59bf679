"""Comments and YAML that strangers' words cannot break out of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

MOST_CHARACTERS = 240
"""Of one line of a comment."""
PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]+( [A-Za-z0-9_./-]+)*")
"""Text that every reader of YAML, 1.1 or 1.2, takes for the same text without quotes, if PyYAML does."""


def comment(lines: Iterable[str]) -> str:
    """`lines` as `#` comments of YAML and sh. What could end a line, or could not be seen, is shown by its code."""
    return "".join(f"# {_shown(line)}"[:MOST_CHARACTERS].rstrip() + "\n" for line in lines)


def _shown(line: str) -> str:
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in line)


def documents(trees: Sequence[Any]) -> str:
    """YAML with block style, keys in their order; text that might be read as a number or a switch in quotes."""
    return "---\n".join(yaml.dump(tree, Dumper=_Dumper, sort_keys=False, width=120) for tree in trees)


class _Dumper(yaml.SafeDumper):
    """Without anchors: files for people repeat what is the same."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = None if PLAIN.fullmatch(text) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _mapping(dumper: yaml.SafeDumper, tree: dict[str, Any]) -> yaml.Node:
    """Keys are names of fields and labels of ours, which need no quotes."""
    node = dumper.represent_mapping("tag:yaml.org,2002:map", tree)
    for key, _ in node.value:
        key.style = None
    return node


_Dumper.add_representer(str, _text)
_Dumper.add_representer(dict, _mapping)
