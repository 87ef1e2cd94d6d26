"""What people behind this gateway can do, as a hash beside their presence (XEP-0115).

The hash is worked out from the very answer that disco#info gives, so that the two cannot differ.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from rialto.networks.xmpp.wire.element import XML_LANG, Element
from rialto.networks.xmpp.wire.namespaces import CAPS, DATA_FORMS, DISCO_INFO

NODE: Final = "urn:rialto"
"""What software this is."""


def verification(info: Element) -> str:
    """The `ver` of a disco#info answer (XEP-0115 section 5.1)."""
    identities = sorted(
        "/".join((one.get("category"), one.get("type"), one.get(XML_LANG), one.get("name")))
        for one in info.find_all(f"{DISCO_INFO}}}identity")
    )
    features = sorted(one.get("var") for one in info.find_all(f"{DISCO_INFO}}}feature"))
    texts = [*identities, *features]
    forms = {_form_type(form): form for form in info.find_all(f"{DATA_FORMS}}}x")}
    for kind in sorted(forms):
        texts.append(kind)
        fields = {one.get("var"): one for one in forms[kind].find_all(f"{DATA_FORMS}}}field")}
        for name in sorted(fields.keys() - {"FORM_TYPE"}):
            texts += [name, *sorted(one.text for one in fields[name].find_all(f"{DATA_FORMS}}}value"))]
    text = "".join(f"{one}<" for one in texts)
    digest = hashlib.sha1(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def announcement(ver: str) -> Element:
    """What is said of it in presence."""
    return Element(f"{CAPS}}}c", {"hash": "sha-1", "node": NODE, "ver": ver})


def _form_type(form: Element) -> str:
    for field in form.find_all(f"{DATA_FORMS}}}field"):
        if field.get("var") == "FORM_TYPE":
            return "".join(value.text for value in field.find_all(f"{DATA_FORMS}}}value"))
    return ""
