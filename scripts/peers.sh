#!/bin/bash
# Install from Debian the software that the interop tests talk to: servers, clients and the tools that hold them together.
#   scripts/peers.sh            install what is missing (as root, or through sudo)
#   scripts/peers.sh --check    only say what is missing; exit code 1 when something is
#   scripts/peers.sh NAME...    the same for these packages instead
set -euo pipefail

# package:command that shows it is there (a path when it is no command)
peers=(
  prosody:prosody
  ejabberd:ejabberdctl
  kamailio:kamailio
  "kamailio-tls-modules:/usr/lib/*/kamailio/modules/tls.so"
  "kamailio-presence-modules:/usr/lib/*/kamailio/modules/presence.so"
  "kamailio-sqlite-modules:/usr/lib/*/kamailio/modules/db_sqlite.so"
  dnsmasq-base:dnsmasq
  sip-tester:sipp
  baresip-core:baresip
  bitlbee-libpurple:bitlbee
  iproute2:ip
  util-linux:unshare
)

is_there() {
  case $1 in
    /*) compgen -G "$1" >/dev/null ;;
    *) PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null ;;
  esac
}

missing() {
  local peer
  for peer in "${peers[@]}"; do
    is_there "${peer#*:}" || echo "${peer%%:*}"
  done
}

check=false
if [ "${1:-}" = --check ]; then
  check=true
  shift
fi
if [ $# -gt 0 ]; then
  wanted=()
  for name in "$@"; do
    dpkg-query --show --showformat='${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed || wanted+=("$name")
  done
else
  mapfile -t wanted < <(missing)
fi
[ ${#wanted[@]} -gt 0 ] || exit 0

if $check; then
  echo "missing: ${wanted[*]} (scripts/peers.sh installs them from Debian)" >&2
  exit 1
fi

as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || {
    echo "missing: ${wanted[*]}. Installing them takes root or sudo: apt-get install ${wanted[*]}" >&2
    exit 1
  }
  as_root=(sudo)
fi
command -v apt-get >/dev/null || {
  echo "missing: ${wanted[*]}. This is not Debian: install them with this system's own packages" >&2
  exit 1
}

# The tests start every server themselves: none of them shall run as a service of this machine because it was installed.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap '"${as_root[@]}" rm -f $policy' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null
  "${as_root[@]}" chmod 755 $policy
fi
install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -q --no-install-recommends install "${wanted[@]}")
"${install[@]}" || { "${as_root[@]}" apt-get -q update && "${install[@]}"; }
