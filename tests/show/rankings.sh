#!/bin/sh
# The week of May 2026 after the one with Kimi K2.6 sixth, as a person sees it: import, diff, ticket, proposal, apply.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
fleet="$here/.venv/bin/fleet"
[ -x "$fleet" ] || fleet=fleet
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
mkdir "$place/inventory"
sed 's/models: \[qwen3-30b-a3b-4bit, flash\]/models: [qwen3-30b-a3b-4bit, kimi, flash]/' "$here/inventory/example.yml" |
    awk '{ print } /owl: openrouter.owl-alpha/ { sub(/owl:.*/, "kimi: moonshotai/kimi-k2.6"); print }' \
        >"$place/inventory/fleet.yml"
cd "$place"
run() {
    printf '\n$ fleet %s\n' "$*"
    "$fleet" "$@" || printf '(exit %s)\n' "$?"
}
samples="$here/tests/samples/rankings"
echo "== the week alone: nothing is made of what is missing"
run rankings import "$samples/2026-W21.md" --week 2026-W21
run rankings diff
echo
echo "== with the week before"
run rankings import "$samples/2026-W20.md" --week 2026-W20
run rankings diff
echo
cat tickets/deepseek-v4-flash-rise.md
echo
echo "== the same again changes nothing; one is applied, once"
run rankings diff
run route propose kimi-k2.6-dropout
run route apply --yes kimi-k2.6-dropout
run route apply --yes kimi-k2.6-dropout
run route apply --yes deepseek-v4-flash-rise
run route tickets --all
