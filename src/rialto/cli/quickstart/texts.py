"""The files that `rialto quickstart` writes, as functions of the plan."""

from __future__ import annotations

from rialto.cli.describe import toml
from rialto.cli.quickstart.plan import SIP_PORT, SIPS_PORT, XMPP_PORT, Plan
from rialto.model.address import ascii_domain


def configuration(plan: Plan) -> str:
    """`rialto.toml`."""
    parts = [
        f"""\
# Rialto between {plan.xmpp_domain} (XMPP) and {plan.sip_domain} (SIP).
# `rialto config describe` explains every key, `rialto check` looks for mistakes.
# After a change: `systemctl reload rialto`.

[server]
name = {toml(plan.name)}
data_dir = {toml(str(plan.data_dir))}
# For Prometheus:
# metrics = "127.0.0.1:9464"

[tls]
# PEM file of the CAs to trust; empty: those of the system.
ca_file = ""

# Shown to XMPP and SIP peers alike; it must be good for {", ".join(plan.names)}.
[[tls.certificates]]
certificate = {toml(str(plan.certificate))}
key = {toml(str(plan.key))}

[queue]
# For so long an unreachable peer is tried before the sender hears that it was in vain.
max_age_s = 86400.0
# Texts are forgotten after delivery; only the trail is kept.
keep_bodies = false

[log]
level = "info"
""",
        _xmpp(plan),
        _sip(plan),
        """\
# Somebody to talk to while you set things up: echo@, busy@, refuse@, slow@ this domain. Remove it later.
# [networks.loopback]
# [[peers]]
# network = "loopback"
# domains = ["test.invalid"]
""",
    ]
    return "\n".join(parts)


def _xmpp(plan: Plan) -> str:
    head = f"""\
# ---- XMPP: {plan.xmpp_domain} lives there; on this side we speak for {plan.sip_domain}.

[networks.xmpp]
# Other servers connect here.
listen = {toml([] if plan.component else plan.listens(XMPP_PORT))}

[[peers]]
network = "xmpp"
domains = [{toml(plan.xmpp_domain)}]
"""
    if plan.component:
        return (
            head
            + f"""\
# An external component of that server (XEP-0114): it must know the same secret for {plan.sip_domain}.
link = "component"
host = {toml(plan.xmpp_host)}
port = 5347
secret_file = {toml(str(plan.secret_file))}
"""
        )
    host = (
        f"host = {toml(plan.xmpp_host)}\n"
        if plan.xmpp_host
        else '# Where it is, if the DNS is not to be asked:\n# host = "192.0.2.5"\n'
    )
    return (
        head
        + f"""\
{host}tls = "required"
# By certificate, else by dialback. With certificates of a public CA on both sides, `external` alone is safer.
authentication = ["external", "dialback"]

# Everybody else who speaks XMPP, if you want to federate with the world:
# [[peers]]
# network = "xmpp"
# domains = ["*"]
# authentication = ["external"]
"""
    )


def _sip(plan: Plan) -> str:
    listens = [
        *plan.listens(SIP_PORT, "udp:"),
        *plan.listens(SIP_PORT, "tcp:"),
        *plan.listens(SIPS_PORT, "tls:"),
    ]
    if plan.sip_addresses:
        trust = f"""\
# A request is the peer's if it comes from one of its addresses.
trust = ["address"]
addresses = {toml(list(plan.sip_addresses))}
"""
    else:
        trust = """\
# A request is the peer's if it comes over TLS with a certificate for its domain. A proxy without one:
# trust = ["address"] and addresses = ["192.0.2.7"], or trust = ["digest"] and accounts.
trust = ["tls"]
"""
    proxy = (
        f"proxy = {toml(plan.sip_proxy)}\n"
        if plan.sip_proxy
        else """\
# Where everything is sent, if the DNS is not to be asked:
# proxy = "sip:proxy.example.org;transport=tcp"
"""
    )
    return f"""\
# ---- SIP: {plan.sip_domain} lives there; on this side we speak for {plan.xmpp_domain}.

[networks.sip]
listen = {toml(listens)}
# What peers call us in Via.
advertise = {toml(ascii_domain(plan.name))}

[[peers]]
network = "sip"
domains = [{toml(plan.sip_domain)}]
{proxy}transports = ["tls", "tcp", "udp"]
{trust}# 200 only when the far side has it, within this time; else 202.
answer = "honest"
answer_wait_s = 5.0
"""


def dns_records(plan: Plan) -> str:
    """Zone file lines for both sides, with placeholders for our addresses."""
    host, xmpp, sip = (ascii_domain(name) for name in (plan.name, plan.xmpp_domain, plan.sip_domain))
    lines = [
        "; Ourselves. Put the real addresses here.",
        f"{host}. 3600 IN A 192.0.2.1",
        f"{host}. 3600 IN AAAA 2001:db8::1",
        "",
        f"; On XMPP we speak for {sip}: other servers look for it here.",
    ]
    if plan.component:
        lines += [
            "; (As a component that is the business of your XMPP server: its own host and port.)",
            f"_xmpp-server._tcp.{sip}. 3600 IN SRV 5 0 {XMPP_PORT} xmpp.{xmpp}.",
        ]
    else:
        lines.append(f"_xmpp-server._tcp.{sip}. 3600 IN SRV 5 0 {XMPP_PORT} {host}.")
    lines += [
        "",
        f"; On SIP we speak for {xmpp}: SIP proxies look for it here, best way first (RFC 3263).",
        f'{xmpp}. 3600 IN NAPTR 10 50 "s" "SIPS+D2T" "" _sips._tcp.{xmpp}.',
        f'{xmpp}. 3600 IN NAPTR 20 50 "s" "SIP+D2T" "" _sip._tcp.{xmpp}.',
        f'{xmpp}. 3600 IN NAPTR 30 50 "s" "SIP+D2U" "" _sip._udp.{xmpp}.',
        f"_sips._tcp.{xmpp}. 3600 IN SRV 5 0 {SIPS_PORT} {host}.",
        f"_sip._tcp.{xmpp}. 3600 IN SRV 5 0 {SIP_PORT} {host}.",
        f"_sip._udp.{xmpp}. 3600 IN SRV 5 0 {SIP_PORT} {host}.",
        "",
        f"; The XMPP records of {xmpp} and the SIP records of {sip} stay as they are: people live there.",
    ]
    return "\n".join(lines) + "\n"


def unit(plan: Plan) -> str:
    """The systemd unit."""
    # systemd 253 follows a reload to its end; before that it can only send the signal.
    kind = "Type=notify-reload" if plan.notify_reload else "Type=notify\nExecReload=kill -HUP $MAINPID"
    return f"""\
[Unit]
Description=Rialto, a gateway between instant messaging networks
Wants=network-online.target
After=network-online.target

[Service]
{kind}
NotifyAccess=main
ExecStart={plan.command} serve --config {plan.folder / "rialto.toml"}
User=rialto
Group=rialto
WatchdogSec=60
Restart=on-failure
RestartSec=2
TimeoutStopSec=30
LimitNOFILE=65536
UMask=0027

StateDirectory=rialto
StateDirectoryMode=0750
ReadWritePaths=-{plan.data_dir}
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
NoNewPrivileges=yes
CapabilityBoundingSet=
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


def next_steps(plan: Plan, secret: str) -> str:
    """What is left for the operator to do, in order."""
    names = " ".join(f"-d {name}" for name in plan.names)
    lego = " ".join(f"--domains {name}" for name in plan.names)
    folder = plan.folder
    # The gateway's own name is no component, so an XMPP server would not let it speak there.
    reached = plan.sip_domain if plan.component else plan.xmpp_domain
    component = (
        f"""
## The XMPP server

Tell it of the component. The secret is in `{plan.secret_file}`.

Prosody (`/etc/prosody/prosody.cfg.lua`):

    Component "{ascii_domain(plan.sip_domain)}"
        component_secret = "{secret}"

ejabberd (`ejabberd.yml`, below `listen:`):

    - port: 5347
      module: ejabberd_service
      hosts:
        "{ascii_domain(plan.sip_domain)}":
          password: "{secret}"
"""
        if plan.component
        else ""
    )
    return f"""\
# Next steps

1. An account, and the files for its eyes only:

       useradd --system --home-dir {plan.data_dir} --shell /usr/sbin/nologin rialto
       install -d -o rialto -g rialto -m 0750 {plan.data_dir}
       chown -R root:rialto {folder} && chmod -R o-rwx,g+rX {folder}

2. The DNS: put the real addresses into this file, and publish it: {folder / "dns-records.zone"}

3. A certificate of a public CA. The one in `{folder / "tls"}` is self-signed: good only for peers that allow
   dialback, or pin it. One certificate serves both sides:

       certbot certonly --standalone {names} \\
           --deploy-hook 'systemctl reload rialto'
       # or: lego --accept-tos --email you@{ascii_domain(plan.xmpp_domain)} --http {lego} run

   The names of domains whose web server is elsewhere need the DNS challenge
   (`certbot --preferred-challenges dns`). Then name the files under `[[tls.certificates]]`.
{component}
4. Look for mistakes, start, and send the first message:

       {plan.command} check --config {folder / "rialto.toml"}
       cp {folder / "rialto.service"} /etc/systemd/system/
       systemctl daemon-reload && systemctl enable --now rialto
       {plan.command} send --config {folder / "rialto.toml"} --wait 10 somebody@{reached} "It works"
"""
