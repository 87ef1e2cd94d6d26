"""`rialto quickstart`: everything that a first installation needs, written into one folder."""

from __future__ import annotations

import re
import secrets
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import click

from rialto.cli import frame

NOTIFY_RELOAD_SINCE = 253


@click.command(
    epilog=frame.examples(
        "rialto quickstart example.org",
        "rialto quickstart example.org --sip-proxy 192.0.2.7 --xmpp component --yes --output /etc/rialto",
    )
)
@click.argument("domain", metavar="DOMAIN")
@click.option(
    "--name", default="", metavar="HOST", help="The gateway's own host name.  [default: rialto.DOMAIN]"
)
@click.option("--xmpp-domain", default="", help="Whose users are on XMPP.  [default: DOMAIN]")
@click.option("--sip-domain", default="", help="Whose users are on SIP.  [default: sip.DOMAIN]")
@click.option(
    "--xmpp",
    "link",
    type=click.Choice(["s2s", "component"]),
    help="As one server to another, or as a component of the XMPP server.  [default: s2s]",
)
@click.option(
    "--xmpp-host", default="", metavar="HOST", help="Where the XMPP server is, if not the DNS says it."
)
@click.option("--sip-proxy", metavar="URI", help="Where the SIP proxy is, if not the DNS says it.")
@click.option(
    "--sip-address",
    "sip_addresses",
    multiple=True,
    metavar="IP",
    help="Where its requests come from; may be repeated.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("."),
    show_default=True,
    help="The folder.",
)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("/var/lib/rialto"),
    show_default=True,
    help="Where the server will keep its database.",
)
@click.option("--yes", is_flag=True, help="Ask nothing: take the defaults.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
def quickstart(
    domain: str,
    name: str,
    xmpp_domain: str,
    sip_domain: str,
    link: str | None,
    xmpp_host: str,
    sip_proxy: str | None,
    sip_addresses: tuple[str, ...],
    output: Path,
    data_dir: Path,
    yes: bool,
    force: bool,
) -> None:
    """Write what a first installation needs.

    For a gateway between the XMPP and the SIP users of DOMAIN: a commented configuration, a self-signed
    certificate (and how to get a real one), the component's secret, the DNS records to publish, a systemd
    unit, and the next steps. What is not given as an option is asked for, if there is a terminal.

    Exit code: 1 if a file is there already; then nothing has been written.
    """
    from rialto.cli import certificates
    from rialto.cli.quickstart import texts
    from rialto.cli.quickstart.plan import make_plan
    from rialto.config import load

    if not yes and sys.stdin.isatty():
        xmpp_domain = xmpp_domain or click.prompt("Domain whose users are on XMPP", default=domain)
        sip_domain = sip_domain or click.prompt("Domain whose users are on SIP", default=f"sip.{domain}")
        link = link or click.prompt(
            "XMPP by s2s, or as a component?", default="s2s", type=click.Choice(["s2s", "component"])
        )
        if sip_proxy is None:
            sip_proxy = click.prompt("SIP proxy (empty: ask the DNS)", default="", show_default=False)
    folder = output.absolute()
    plan = make_plan(
        domain,
        folder=folder,
        data_dir=data_dir.absolute(),
        command=_command(),
        name=name,
        xmpp_domain=xmpp_domain,
        sip_domain=sip_domain,
        link=link or "s2s",
        xmpp_host=xmpp_host,
        sip_proxy=sip_proxy or "",
        sip_addresses=sip_addresses,
        ipv6=_has_ipv6(),
        notify_reload=_systemd_version() >= NOTIFY_RELOAD_SINCE,
    )
    secret = secrets.token_urlsafe(24)
    files = {
        folder / "rialto.toml": texts.configuration(plan),
        folder / "dns-records.zone": texts.dns_records(plan),
        folder / "rialto.service": texts.unit(plan),
        folder / "NEXT-STEPS.md": texts.next_steps(plan, secret),
    }
    private = {plan.secret_file: secret + "\n"} if plan.component else {}
    there = [path for path in (*files, *private, plan.certificate, plan.key) if path.exists()]
    if there and not force:
        frame.no(
            f"there already: {', '.join(map(str, there))}", "another --output, or --force to replace them"
        )
    plan.certificate.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    for path, text in private.items():
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
    certificates.self_signed(plan.names, plan.certificate, plan.key)
    load(folder / "rialto.toml")
    for path in (*files, *private, plan.certificate, plan.key):
        click.echo(f"written  {path}")
    click.echo()
    click.echo((folder / "NEXT-STEPS.md").read_text(encoding="utf-8"))


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


def _command() -> str:
    """This very command, by its whole path."""
    here = Path(sys.argv[0])
    if here.name == "rialto" and here.is_file():
        return str(here.absolute())
    return shutil.which("rialto") or "/usr/bin/rialto"


def _systemd_version() -> int:
    """That of this machine; a recent one where there is none, since the unit is for another machine then."""
    program = shutil.which("systemctl")
    if program is None:
        return NOTIFY_RELOAD_SINCE
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.match(r"systemd (\d+)", said)
    return int(match[1]) if match else NOTIFY_RELOAD_SINCE
