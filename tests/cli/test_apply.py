"""Agreements from a file: the plan, its being carried out, and its being empty then."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.running import Result, run

CONTOSO = """
[[operators]]
name = "contoso"
domains = ["contoso.example", "contoso.test"]
make_key = true

[[operators]]
name = "yahoo"
kind = "public_im"
federation = "discovered"
allowed = ["contoso"]
domains = ["yahoo.example"]
make_key = true

[[prices]]
list = "yahoo"
service = "message"
unit = "1.50"

[[prices]]
list = "yahoo"
service = "message"
unit = "0.75"
from = "2099-06-16"

[[offers]]
name = "open"
operator = "yahoo"
items = [{ service = "message", regime = "bill_and_keep" }]

[[agreements]]
name = "cy"
a = "contoso"
b = "yahoo"
items = [
  { service = "message", network = "yahoo", regime = "per_user_month", price_list = "yahoo" },
  { service = "presence", network = "yahoo" },
]
sign = ["contoso", "yahoo"]
order = true

[[entitlements]]
item = "cy/message@yahoo"
holders = ["ann@contoso.example", "bob@contoso.example"]

[[entitlements]]
item = "cy"
holders = ["*@contoso.test"]
metric = "pool"
quantity = 5

[[groups]]
name = "@traders"
members = ["ann@contoso.example"]

[[rules]]
name = "wall"
scope = "group"
effect = "deny"
subject = "@traders"
peer = "yahoo"
shadow = true
"""


class File:
    """A file, and a data folder to apply it to."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder, self.path, self.text = folder, folder / "agreements.toml", text

    def apply(self, *options: str, answer: str = "") -> Result:
        self.path.write_text(self.text)
        return run("apply", self.path, "--data-dir", self.folder / "data", *options, text=answer)

    def done(self) -> str:
        result = self.apply("--yes")
        assert result.code == 0, result.err
        return result.out

    def data(self, *command: str) -> list[dict[str, object]]:
        found = run(*command, "--json", "--data-dir", self.folder / "data").data
        assert isinstance(found, list)
        return found


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path, CONTOSO)


def test_applied_twice_is_applied_once(file: File) -> None:
    assert file.done().endswith("done: 15\n")
    assert file.done() == "nothing to do\n"
    assert file.data("order", "list")[0]["items"] == {
        "cy/message@yahoo": "pendingActive",
        "cy/presence@yahoo": "pendingActive",
    }
    assert len(file.data("entitlement", "list", "cy")) == 4
    assert [row["domains"] for row in file.data("operator", "list")] == [
        ["contoso.example", "contoso.test"],
        ["yahoo.example"],
    ]


def test_the_plan_is_shown_and_nothing_is_done(file: File) -> None:
    result = file.apply("--plan")
    assert "  add operator contoso with contoso.example, contoso.test\n" in result.out
    assert "  put rule wall in shadow\n" in result.out
    assert file.data("operator", "list") == []


@pytest.mark.parametrize(("answer", "code"), [("n\n", 130), ("y\n", 0)])
def test_it_is_asked_first(file: File, answer: str, code: int) -> None:
    assert file.apply(answer=answer).code == code
    assert bool(file.data("operator", "list")) == (code == 0)


@pytest.mark.parametrize(
    ("old", "new", "plan"),
    [
        ('"discovered"', '"open"', ["change operator yahoo: federation"]),
        ('"contoso.test"]', '"contoso.test", "new.example"]', ["give domain new.example to contoso"]),
        ('unit = "0.75"', 'unit = "0.80"', ["price message on yahoo at 0.80 EUR from 2099-06-16"]),
        ('unit = "1.50"', 'unit = "1.60"', ["price message on yahoo at 1.60 EUR"]),
        ("bill_and_keep", "free", ["publish offer open of yahoo"]),
        (
            'regime = "per_user_month", price_list = "yahoo"',
            'regime = "free"',
            ["draft a new version of cy", "sign cy for contoso", "sign cy for yahoo"],
        ),
        (
            'holders = ["ann@contoso.example", "bob',
            'holders = ["cy@contoso.example", "ann@contoso.example", "bob',
            ["license cy/message@yahoo: named_user, 1 holders"],
        ),
        ('members = ["ann', 'members = ["eve@contoso.example", "ann', ["let 1 join @traders"]),
        ("shadow = true", "shadow = false", ["put rule wall in force"]),
    ],
)
def test_what_has_changed_in_the_file_is_the_plan(file: File, old: str, new: str, plan: list[str]) -> None:
    file.done()
    assert old in file.text
    file.text = file.text.replace(old, new)
    assert [line.strip() for line in file.apply("--plan").out.splitlines()] == plan
    file.done()
    assert file.done() == "nothing to do\n"


def test_what_the_file_does_not_speak_of_stays(file: File) -> None:
    file.done()
    file.text = ""
    assert file.done() == "nothing to do\n"
    assert len(file.data("operator", "list")) == 2


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[[operators]\n", "line 1"),
        ('[[operators]]\nname = "x"\ncolour = "red"', "colour"),
        ('[[prices]]\nlist = "l"\nservice = "message"\nunit = "-1"', "no price"),
        ('[[agreements]]\nname="c"\na="x"\nb="y"\nitems=[{service="pigeon"}]', "pigeon"),
        ('[[agreements]]\nname="c"\na="x"\nb="y"\nitems=[{service="file"}]', "no operator 'x'"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(file: File, text: str, wrong: str) -> None:
    file.text = text
    result = file.apply("--yes")
    assert result.code == 1
    assert wrong in result.err
