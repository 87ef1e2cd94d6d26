"""What the pages show of the unit and of the DNS is what `rialto quickstart` writes."""

import re
from pathlib import Path

from docs.pages import blocks
from rialto.cli.quickstart import texts
from rialto.cli.quickstart.plan import make_plan

PLAN = make_plan(
    "xa.example",
    folder=Path("/etc/rialto"),
    data_dir=Path("/var/lib/rialto"),
    command="/usr/local/bin/rialto",
    name="gw.example",
    sip_domain="sip.example",
)


def records(zone: str) -> set[str]:
    """The SRV and NAPTR records of a zone file, each in one spelling, without times to live."""
    lines = (" ".join(re.sub(r"\b\d+ IN\b", "IN", line).split()) for line in zone.splitlines())
    return {line for line in lines if " SRV " in line or " NAPTR " in line}


def test_the_unit_that_is_shown_is_part_of_the_one_that_is_written() -> None:
    [shown] = blocks("ini")
    assert [line for line in shown.text.split("\n") if line not in texts.unit(PLAN).split("\n")] == []


def test_the_records_that_are_shown_are_those_that_are_written() -> None:
    zones = [block.text for block in blocks("text") if " SRV " in block.text]
    written = records(texts.dns_records(PLAN))
    assert all(records(zone) <= written for zone in zones)
    assert max((records(zone) for zone in zones), key=len) == written
