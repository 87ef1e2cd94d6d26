"""Changes to an XML document, written as XML (RFC 5261): what partial presence documents are made of.

A change names one place by a selector, a small part of XPath: steps from the root by name, `*`, or position,
`[@id='x']`, `[child='x']`, `[.='x']`, and at the end `@attribute` or `text()`. What names no place, or
several, is an error, and then nothing of the document has changed. Namespaces are those in scope where the
selector stands (section 4.2.2), so declarations themselves are neither added nor removed here; comments and
processing instructions are not in our documents.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from rialto.wire.xml import MAX_ELEMENTS, Node, Scope, XmlError

MAX_CHANGES: Final = 256
MAX_SELECTOR: Final = 512
MAX_STEPS: Final = 16

_STEP: Final = re.compile(r"((?:[^\W\d][\w.-]*:)?(?:[^\W\d][\w.-]*|\*))((?:\[[^\]]*\])*)")
_PREDICATE: Final = re.compile(
    r"""\[\s*(?:(\d{1,4})|(@?(?:[^\W\d][\w.-]*:)?[^\W\d][\w.-]*|\.)\s*=\s*(?:"([^"]*)"|'([^']*)'))\s*\]"""
)
_SPLIT: Final = re.compile(r"""/(?=(?:[^'"]|'[^']*'|"[^"]*")*$)""")
_TEXT: Final = re.compile(r"text\(\)(?:\[1\])?")
_ID: Final = re.compile(r"""id\(\s*(?:'([^']*)'|"([^"]*)")\s*\)""")


class Change(NamedTuple):
    """One change: `kind` is add, replace or remove; `content` holds what it brings."""

    kind: str
    content: Node
    scope: Scope


class _Place(NamedTuple):
    """An element, and the one around it; `attribute` or `text` where that of it is meant."""

    node: Node
    around: Node | None
    attribute: str = ""
    text: bool = False


def changes_of(root: Node, scopes: Mapping[Node, Scope], namespace: str) -> list[Change]:
    """The changes directly inside `root`. Raises XmlError."""
    found = []
    for node in root.children:
        uri, _, name = node.name.rpartition("}")
        if uri == namespace and name in ("add", "replace", "remove"):
            found.append(Change(name, node, scopes[node]))
    if len(found) > MAX_CHANGES:
        raise XmlError(f"more than {MAX_CHANGES} changes")
    return found


def copy(node: Node) -> Node:
    """A whole tree once more."""
    made = Node(node.name, dict(node.attributes))
    made.text = node.text
    made.children = [copy(child) for child in node.children]
    return made


def apply(root: Node, changes: Sequence[Change], *, also: str = "") -> Node:
    """The document after these changes, one after the other; `root` stays as it is.

    `also` is another name by which selectors may call the root. Raises XmlError.
    """
    changed = copy(root)
    for change in changes:
        changed = _apply(changed, change, also)
    if _size(changed) > MAX_ELEMENTS:
        raise XmlError("too many elements")
    return changed


def _apply(root: Node, change: Change, also: str) -> Node:
    place = _find(root, change.content.attributes.get("sel", ""), change.scope, also)
    match change.kind:
        case "add":
            _add(place, change)
        case "replace":
            return _replace(root, place, change.content)
        case _:
            _remove(place)
    return root


def _add(place: _Place, change: Change) -> None:
    """Section 4.3."""
    content, node = change.content, place.node
    if place.attribute or place.text:
        raise XmlError("nothing can be added there")
    kind = content.attributes.get("type", "")
    if kind.startswith("namespace::"):
        return
    if kind:
        if not kind.startswith("@"):
            raise XmlError("an unknown type of addition")
        name = _attribute(kind[1:], change.scope)
        if name in node.attributes:
            raise XmlError("an attribute that is there already")
        node.attributes[name] = content.text
        return
    position = content.attributes.get("pos", "")
    new = [copy(child) for child in content.children]
    match position:
        case "":
            node.children += new
            node.text += content.text if not new else ""
        case "prepend":
            node.children[:0] = new
            node.text = (content.text if not new else "") + node.text
        case "before" | "after" if place.around is not None and new:
            at = place.around.children.index(node) + (position == "after")
            place.around.children[at:at] = new
        case _:
            raise XmlError("an unknown position")


def _replace(root: Node, place: _Place, content: Node) -> Node:
    """Section 4.4."""
    node = place.node
    if place.attribute:
        node.attributes[place.attribute] = content.text
    elif place.text:
        node.text = content.text
    else:
        if len(content.children) != 1:
            raise XmlError("one element is replaced by one element")
        new = copy(content.children[0])
        if place.around is None:
            return new
        place.around.children[place.around.children.index(node)] = new
    return root


def _remove(place: _Place) -> None:
    """Section 4.5; white space beside an element is of no meaning in our documents."""
    if place.attribute:
        del place.node.attributes[place.attribute]
    elif place.text:
        place.node.text = ""
    elif place.around is None:
        raise XmlError("the root cannot be removed")
    else:
        place.around.children.remove(place.node)


# -- selectors -----------------------------------------------------------------------------------------------


def _find(root: Node, selector: str, scope: Scope, also: str) -> _Place:
    """The one place that a selector names (section 4.1)."""
    selector = selector.strip()
    if not selector or len(selector) > MAX_SELECTOR:
        raise XmlError("no selector, or one that is too long")
    by_id = _ID.match(selector)
    if by_id is not None:
        found = _by_id(root, None, by_id[1] or by_id[2] or "")
        rest = selector[by_id.end() :].removeprefix("/")
    else:
        # The root is the only child of the document.
        document = Node("", {})
        document.children.append(root)
        found = [_Place(document, None)]
        rest = selector.removeprefix("/")
    steps = _SPLIT.split(rest) if rest else []
    if len(steps) > MAX_STEPS:
        raise XmlError("a selector with too many steps")
    for number, step in enumerate(steps):
        last = number == len(steps) - 1
        if last and _TEXT.fullmatch(step):
            found = [place._replace(text=True) for place in found if place.node.text]
        elif last and step.startswith("@"):
            name = _attribute(step[1:], scope)
            found = [place._replace(attribute=name) for place in found if name in place.node.attributes]
        elif not number and by_id is None and also and _calls(step, also, scope):
            found = [_Place(root, None)]
        else:
            found = [inner for place in found for inner in _inside(place.node, step, scope)]
    if len(found) != 1 or not found[0].node.name:
        raise XmlError("a selector that names no place, or several")
    place = found[0]
    return place._replace(around=None) if place.node is root else place


def _inside(node: Node, step: str, scope: Scope) -> list[_Place]:
    """What one step finds."""
    parts = _STEP.fullmatch(step)
    if parts is None:
        raise XmlError("a selector that cannot be read")
    test = parts[1]
    found = [child for child in node.children if test == "*" or child.name == _name(test, scope)]
    for predicate in re.findall(r"\[[^\]]*\]", parts[2]):
        said = _PREDICATE.fullmatch(predicate)
        if said is None:
            raise XmlError("a selector that cannot be read")
        if said[1]:
            found = found[int(said[1]) - 1 : int(said[1])] if int(said[1]) else []
        else:
            value = said[3] if said[3] is not None else said[4]
            found = [child for child in found if _says(child, said[2], value, scope)]
    return [_Place(child, node) for child in found]


def _calls(step: str, name: str, scope: Scope) -> bool:
    """Whether a step is just this name."""
    parts = _STEP.fullmatch(step)
    return parts is not None and not parts[2] and parts[1] != "*" and _name(parts[1], scope) == name


def _says(node: Node, what: str, value: str, scope: Scope) -> bool:
    if what == ".":
        return node.text == value
    if what.startswith("@"):
        return node.attributes.get(_attribute(what[1:], scope)) == value
    return any(child.text == value for child in node.find_all(_name(what, scope)))


def _by_id(node: Node, around: Node | None, value: str) -> list[_Place]:
    found = [_Place(node, around)] if node.attributes.get("id") == value else []
    for child in node.children:
        found += _by_id(child, node, value)
    return found


def _name(test: str, scope: Scope) -> str:
    """An element's name; without a prefix it is in the default namespace (section 4.2.2)."""
    prefix, _, local = test.rpartition(":")
    if prefix and prefix not in scope:
        raise XmlError("a prefix that is not declared")
    uri = scope.get(prefix, "")
    return f"{uri}}}{local}" if uri else local


def _attribute(test: str, scope: Scope) -> str:
    """An attribute's name; without a prefix it is in no namespace."""
    return _name(test, scope) if ":" in test else test


def _size(node: Node) -> int:
    return 1 + sum(_size(child) for child in node.children)
