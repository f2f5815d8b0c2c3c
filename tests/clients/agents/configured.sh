#!/usr/bin/env bash
# configured.sh [PROJECT [CLIENT...]]: what `fleet client config` prints is given to each client as it is, and the client
# asks a fleet that is up (PROJECT: the folder of its inventory). Wants agents/install.sh; every client has a bare
# environment and a HOME of its own. MODEL= another route than the default; WANT= what its answer holds.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
home=$(mktemp -d) own=
fleet() { (cd "$project" && "$root/.venv/bin/fleet" "$@"); }
ended() { [ -z "$own" ] || { fleet sim down --dir . >/dev/null 2>&1 && rm -rf "$own"; }; rm -rf "$home"; }
trap ended EXIT
if [ $# -gt 0 ]; then
    project=$(cd "$1" && pwd)
    shift
else # a small fleet of its own: one front, a scripted model, and the simulated API, whose models take a first turn
    project=$(mktemp -d)
    own=$project
    [ -e "$root/.cache/agents/others/.done" ] || bash "$here/install.sh"
    for words in "sim up --dir . --nodes 2 --models scripted --throttle-scale 0.1" "adopt --all --yes" "deploy --yes"; do
        # shellcheck disable=SC2086 (words)
        fleet $words >"$home/up.log" 2>&1 || { cat "$home/up.log" && exit 1; }
    done
    MODEL=${MODEL:-echo-large} WANT=${WANT:-You said}
fi
clients=("$@")
[ ${#clients[@]} -gt 0 ] || clients=(opencode claude-code codex llm)
agents=${AGENTS:-$root/.cache/agents} others=${AGENTS:-$root/.cache/agents}/others/node_modules/.bin
want=${WANT:-Hello from the scripted model.} prompt="hello?"
key=$(cat "$project/secrets/gateway.key")
within=(perl -e 'alarm shift; exec @ARGV') # SECONDS COMMAND: macOS has no timeout(1)
failed=0

told() { # CLIENT: its configuration on stdout, where it belongs in $home/CLIENT.said
    fleet client config "$1" --certificate "$home/front.crt" ${MODEL:+--model "$MODEL"} 2>"$home/$1.said"
}

bare() {
    env -i PATH="$agents/node/bin:/usr/bin:/bin" HOME="$home" TERM=dumb LANG=C.UTF-8 FLEET_KEY="$key" "$@" </dev/null 2>&1
}

for client in "${clients[@]}"; do
    work=$home/work-$client
    mkdir -p "$work" && cd "$work" && git init -q .
    case $client in
    opencode)
        told opencode >opencode.json
        said=$(bare NODE_EXTRA_CA_CERTS="$home/front.crt" OPENCODE_DISABLE_AUTOUPDATE=1 OPENCODE_DISABLE_MODELS_FETCH=1 \
            "${within[@]}" 90 "$others/opencode" run "$prompt")
        ;;
    claude-code)
        told claude-code >exports.sh
        said=$(bare DISABLE_TELEMETRY=1 DISABLE_AUTOUPDATER=1 "${within[@]}" 60 \
            bash -c '. ./exports.sh; exec "$0" -p "$1"' "$others/claude" "$prompt")
        ;;
    codex) # its own sandbox wants user namespaces, which a container may lack: the folder is thrown away anyhow
        mkdir -p "$home/.codex"
        told codex >"$home/.codex/config.toml"
        said=$(bare SSL_CERT_FILE="$home/front.crt" "${within[@]}" 60 "$others/codex" exec --skip-git-repo-check \
            --dangerously-bypass-approvals-and-sandbox "$prompt")
        ;;
    llm)
        mkdir -p "$home/llm"
        told llm >"$home/llm/extra-openai-models.yaml"
        bare LLM_USER_PATH="$home/llm" "$root/.venv/bin/llm" keys set fleet --value "$key" >"$home/llm.key.said"
        said=$(bare LLM_USER_PATH="$home/llm" SSL_CERT_FILE="$home/front.crt" "${within[@]}" 30 \
            "$root/.venv/bin/llm" -m fleet "$prompt")
        ;;
    *) said="no such client here: $client" ;;
    esac
    if grep -qF "$want" <<<"$said"; then
        echo "ok   $client: $(grep -F "$want" <<<"$said" | tail -1 | sed 's/^[[:space:]]*//' | cut -c1-100)"
    else
        failed=$((failed + 1))
        echo "FAIL $client: $(tail -5 <<<"$said" | cut -c1-400)"
        cat "$home/$client.said"
    fi
done
exit $((failed > 0))
