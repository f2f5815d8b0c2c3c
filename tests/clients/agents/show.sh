#!/usr/bin/env bash
# Every agent makes a text turn and a tool turn through fleet's gateway. Where user namespaces may be made, all of it runs
# in one that has the loopback and no other network: nothing but the gateway can have answered.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../../.."
"$here/install.sh"

turns() { # in text and tool: one gateway, its upstream scripted
    .venv/bin/python -m tests.clients.rig bash -c "
        failed=0
        for turn in text tool; do
            echo \"-- \$turn turn\"
            TURN=\$turn $here/clients.sh \$PORT || failed=1
        done
        exit \$failed"
}

if [ -z "${INSIDE:-}" ] && unshare --net true 2>/dev/null; then
    exec env INSIDE=1 unshare --net bash -c "ip link set lo up && exec bash $here/show.sh"
fi
[ -n "${INSIDE:-}" ] || echo "no network namespace may be made here: the agents can reach the network" >&2
turns
