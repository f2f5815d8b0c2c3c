#!/usr/bin/env bash
# Every agent makes a text turn and two tool turns through fleet's gateway, one of them over TLS. Where a network namespace
# may be made (root), all of it runs in one that has the loopback and no other network: nobody else can have answered.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../../.."
"$here/install.sh"

turns() { # TURN [--tls]: a gateway over the scripted upstream, and every client once
    echo "-- $1 turn${2:+ over TLS}"
    TURN=$1 .venv/bin/python -m tests.clients.rig ${2:+"$2"} bash -c "exec $here/clients.sh \$PORT" || failed=1
}

if [ -z "${INSIDE:-}" ] && unshare --net true 2>/dev/null; then
    exec env INSIDE=1 unshare --net bash -c "ip link set lo up && exec bash $here/show.sh"
fi
[ -n "${INSIDE:-}" ] || echo "no network namespace may be made here: the agents can reach the network" >&2
failed=0
turns text
turns tool
turns tool --tls
exit $failed
