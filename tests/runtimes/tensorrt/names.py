"""Which names of TensorRT does source code use, and do its real bindings have them? Executed in a process of its own:

    python names.py FOLDER_OF_SOURCES   (writes {"version": ..., "uses": [...], "complaints": [...]})

The bindings are compiled, but tell everything: classes have their members, docstrings have signatures with the names of
arguments and the types of results. So types are followed through the source: from `trt.X`, from annotations (`engine:
trt.ICudaEngine`) of arguments, fields and functions, and through assignments and calls. Ways of writing that would hide
a type are complained of, so that sources keep to those that are followed; the tests list what must have been.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MODULE, LIBRARY = "trt", "tensorrt"
HIDING = (
    ast.NamedExpr, ast.Lambda, ast.Dict, ast.Tuple, ast.List, ast.Set, ast.IfExp, ast.BoolOp,
    ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.withitem,
)  # fmt: skip
"""Expressions that may hold a value of TensorRT that nobody follows out of them."""
SIGNATURE = re.compile(r"^(?:\d+\. )?(\w+)\((.*)\) -> (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Value:
    """What an expression is: the module, a class of it, an instance of one, a member of an enumeration, or a method,
    "bound" to an instance or "unbound", which is given the instance as its first argument."""

    kind: str
    cls: Any = None
    method: str = ""


@dataclass
class Check:
    trt: Any
    uses: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)
    returned: dict[str, Any] = field(default_factory=dict)
    """Result annotations of the project's own functions, and fields of its classes."""

    def run(self, sources: dict[str, str]) -> None:
        trees = {name: ast.parse(source) for name, source in sources.items()}
        for tree in trees.values():
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef) and node.returns is not None:
                    self.returned[node.name] = node.returns
        for name, tree in trees.items():
            Scope(self, name, {}).body(tree.body)

    def complain(self, where: str, what: str) -> None:
        self.complaints.append(f"{where}: {what}")

    def use(self, cls: Any, name: str) -> None:
        self.uses.add(f"{cls.__name__}.{name}" if cls is not self.trt else name)

    def annotated(self, annotation: ast.expr | None) -> Value | None:
        """Of `trt.X`; None for every other."""
        if not (isinstance(annotation, ast.Attribute) and isinstance(annotation.value, ast.Name)):
            return None
        return Value("instance", getattr(self.trt, annotation.attr, None)) if annotation.value.id == MODULE else None


@dataclass
class Scope:
    check: Check
    file: str
    names: dict[str, Value]
    fields: dict[str, Value] = field(default_factory=dict)

    def body(self, nodes: list[ast.stmt]) -> None:
        for node in nodes:
            self.statement(node)

    def statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.ClassDef):
            fields = {
                item.target.id: value
                for item in node.body
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
                if (value := self.annotation(item.annotation))
            }
            for base in node.bases:
                self.value(base)
            Scope(self.check, self.file, dict(self.names), fields).body(node.body)
        elif isinstance(node, ast.FunctionDef):
            self.function(node)
        elif isinstance(node, ast.AsyncFunctionDef):
            self.complain(node, "an async function is not followed")
        elif isinstance(node, ast.Import | ast.ImportFrom):
            self.imports(node)
        elif isinstance(node, ast.Assign):
            self.assign(node.targets, self.value(node.value))
        elif isinstance(node, ast.AnnAssign):
            value, annotated = node.value and self.value(node.value), self.annotation(node.annotation)
            self.assign([node.target], annotated or value)
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.IfExp):
            # Either is what the function's annotation says.
            for child in ast.iter_child_nodes(node.value):
                self.value(child)
        else:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.stmt):
                    self.statement(child)
                elif isinstance(child, ast.ExceptHandler):
                    self.body(child.body)
                else:
                    self.value(child)

    def function(self, node: ast.FunctionDef) -> None:
        names = dict(self.names)
        given = node.args
        for outside in (*node.decorator_list, *given.defaults, *filter(None, given.kw_defaults)):
            self.value(outside)
        for argument in filter(None, (*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg)):
            names.pop(argument.arg, None)
            if value := self.annotation(argument.annotation):
                names[argument.arg] = value
        self.annotation(node.returns)
        Scope(self.check, self.file, names, self.fields).body(node.body)

    def imports(self, node: ast.Import | ast.ImportFrom) -> None:
        """Only `import tensorrt as trt` leaves the names by which all else is known."""
        found = [name for name in node.names if name.name.split(".")[0] == LIBRARY]
        if isinstance(node, ast.ImportFrom):
            wrong = node.level == 0 and (node.module or "").split(".")[0] == LIBRARY
        else:
            wrong = any((name.name, name.asname) != (LIBRARY, MODULE) for name in found)
        if wrong:
            self.complain(node, f"not `import {LIBRARY} as {MODULE}`")

    def assign(self, targets: list[ast.expr], value: Value | None) -> None:
        for target in targets:
            if isinstance(target, ast.Name):
                self.names.pop(target.id, None)
                if value:
                    self.names[target.id] = value
                continue
            self.value(target)
            if value and not isinstance(target, ast.Attribute | ast.Subscript):
                self.complain(target, "several names at once are not followed")

    def complain(self, node: Any, what: str) -> None:
        line = (node.context_expr if isinstance(node, ast.withitem) else node).lineno
        self.check.complain(f"{self.file}:{line}", what)

    def annotation(self, node: ast.expr | None) -> Value | None:
        """Its value. Of annotations that are made of one, as `trt.X | None`, only `list[trt.X]` is let pass: what is
        in a list is followed no further than to the function that returns it."""
        if node is None:
            return None
        self.value(node)
        found = self.check.annotated(node)
        text = ast.unparse(node)
        if found is None and re.search(rf"\b{MODULE}\.", re.sub(rf"^list\[{MODULE}\.\w+\]$", "", text)):
            self.complain(node, f"the annotation {text} is not followed")
        return found

    def value(self, node: ast.AST) -> Value | None:
        """The value of an expression, after looking at all that is in it."""
        if isinstance(node, ast.Name):
            return Value("module") if node.id == MODULE else self.names.get(node.id)
        if isinstance(node, ast.Attribute):
            return self.attribute(node)
        if isinstance(node, ast.Call):
            return self.call(node)
        held = [value for child in ast.iter_child_nodes(node) if (value := self.value(child))]
        if isinstance(node, HIDING) and any(value.kind != "member" for value in held):
            self.complain(node, f"what {type(node).__name__} holds is not followed")
        return None

    def attribute(self, node: ast.Attribute) -> Value | None:
        owner = self.value(node.value)
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            return self.fields.get(node.attr)
        if owner is None or owner.kind in ("bound", "unbound"):
            return None
        where = f"{self.file}:{node.lineno}"
        holder = self.check.trt if owner.kind == "module" else owner.cls
        if holder is None or self.of_subclass(owner, node.attr):
            return None
        self.check.use(holder, node.attr)
        if not hasattr(holder, node.attr):
            self.check.complain(where, f"{getattr(holder, '__name__', holder)} has no {node.attr}")
            return None
        found = getattr(holder, node.attr)
        if owner.kind == "module":
            return Value("class", found) if isinstance(found, type) else None
        if isinstance(found, property):
            if isinstance(node.ctx, ast.Store) and found.fset is None:
                self.check.complain(where, f"{holder.__name__}.{node.attr} cannot be set")
            return self.result(found.fget.__doc__ or "")
        if isinstance(found, type):
            return Value("class", found)
        if isinstance(found, holder):  # a member of an enumeration
            return Value("member", holder)
        return Value("unbound" if owner.kind == "class" else "bound", holder, node.attr)

    def of_subclass(self, owner: Value, name: str) -> bool:
        """`said` is what the project's own logger adds to ILogger."""
        return owner.cls is self.check.trt.ILogger and owner.kind == "instance" and name == "said"

    def call(self, node: ast.Call) -> Value | None:
        called = self.value(node.func)
        given = [self.value(argument) for argument in (*node.args, *(keyword.value for keyword in node.keywords))]
        if isinstance(node.func, ast.Name) and node.func.id in ("getattr", "setattr", "hasattr") and given[0]:
            self.complain(node, f"{node.func.id} hides a name of TensorRT")
        if called is None or called.kind not in ("class", "bound", "unbound"):
            own = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            return self.check.annotated(self.check.returned.get(own))
        method = called.method or "__init__"
        text = getattr(called.cls, method).__doc__ or ""
        positional = len(node.args) - (called.kind == "unbound")
        self.arguments(node, positional, f"{called.cls.__name__}.{method}", text)
        return Value("instance", called.cls) if called.kind == "class" else self.result(text)

    def arguments(self, node: ast.Call, positional: int, name: str, text: str) -> None:
        """Each call must fit one of the signatures: as many arguments, of these names, and none missing."""
        signatures = [match for match in SIGNATURE.finditer(text) if match[2] != "*args, **kwargs"]
        given = [keyword.arg for keyword in node.keywords]
        self.check.uses.update(f"{name}({argument}=)" for argument in given)
        wanted = [arguments(match[2]) for match in signatures]
        if not any(fits(names, positional, given) for names in wanted):
            self.check.complain(
                f"{self.file}:{node.lineno}", f"{name} is called with {positional} arguments and {given}: {wanted}"
            )

    def result(self, text: str) -> Value | None:
        results = {match[3].strip() for match in SIGNATURE.finditer(text) if match[2] != "*args, **kwargs"}
        results |= {line.rpartition(" -> ")[2] for line in text.splitlines() if line.startswith("(")}
        for result in results:
            name = result.replace("::", ".").rpartition(".")[2]
            name = {"IParserError": "ParserError"}.get(name, name)
            if isinstance(cls := getattr(self.check.trt, name, None), type):
                return Value("instance", cls)
        return None


def arguments(signature: str) -> list[tuple[str, bool]]:
    """Names of a signature's arguments without `self`, and whether each has a default."""
    parts, depth, part = [], 0, ""
    for character in signature + ",":
        depth += (character in "[(<") - (character in "])>")
        if character == "," and depth == 0:
            parts.append(part.strip())
            part = ""
        else:
            part += character
    named = [(re.match(r"\w+", part), " = " in part) for part in parts]
    return [(match[0], default) for match, default in named if match and match[0] != "self"]


def fits(names: list[tuple[str, bool]], positional: int, given: list[str | None]) -> bool:
    left = dict(names[positional:])
    if positional > len(names) or not set(given) <= set(left):
        return False
    return all(default for name, default in left.items() if name not in given)


def main() -> None:
    import tensorrt_bindings as trt

    check = Check(trt)
    check.run({path.name: path.read_text() for path in sorted(Path(sys.argv[1]).glob("*.py"))})
    found = {"version": trt.__version__, "uses": sorted(check.uses), "complaints": check.complaints}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
