#!/bin/sh
# Installs the Debian packages that the lab needs, where they are not there yet.
# Exit code 0: all there. 1: something is missing and cannot be installed.
set -u
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH

# The kernel, the SAN and the tools to compare with; then the cluster and its tools.
packages="user-mode-linux sg3-utils open-iscsi kmod iproute2 udev dmsetup mount
multipath-tools lvm2 libiscsi-bin fence-agents strace python3 python3-venv python3-lxml
libxml2-utils util-linux make
corosync pacemaker pacemaker-cli-utils resource-agents watchdog pcs crmsh e2fsprogs iputils-ping"

missing=
for package in $packages; do
    case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
        "install ok installed") ;;
        *) missing="$missing $package" ;;
    esac
done
[ -z "$missing" ] && exit 0

cannot() {
    echo "lab: missing:$missing" >&2
    echo "lab: cannot install: $*" >&2
    exit 1
}

command -v apt-get >/dev/null || cannot "no apt-get here; this is for Debian 12"
[ "$(id -u)" -eq 0 ] || cannot "not root"
echo "lab: installing:$missing"
DEBIAN_FRONTEND=noninteractive
export DEBIAN_FRONTEND
# No daemon of these packages is started here: the lab runs its own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
apt-get -q update || cannot "apt-get update failed"
# shellcheck disable=SC2086
apt-get -q -y --no-install-recommends install $missing || cannot "apt-get install failed"
