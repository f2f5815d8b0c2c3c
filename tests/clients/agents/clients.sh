#!/usr/bin/env bash
# clients.sh PORT [KEY]: one turn of every client against 127.0.0.1:PORT, each with a bare environment and a HOME of its
# own. TURN=text (the default) says hello. TURN=tool lets the client read a file: the model (rig/upstream.py) asks for a
# tool that can, the client runs it and sends the result, and the model repeats the word that only the file knows.
# Wants agents/install.sh and .venv. ONLY="codex llm" asks only these. PROMPT= and WANT= say and expect something else.
# Without a network (root):  unshare -n sh -c 'ip link set lo up; .venv/bin/python -m tests.clients.rig sh -c "..."'
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
port=$1 key=${2:-${KEY:-sk-fleet-test}} base=http${CA:+s}://127.0.0.1:$1 model=${MODEL:-mock} turn=${TURN:-text}
agents=${AGENTS:-$root/.cache/agents}
only=" ${ONLY:-claude-code codex opencode openclaw-chat openclaw-responses openclaw-messages llm} "
openclaw=$agents/openclaw/node_modules/.bin/openclaw others=$agents/others/node_modules/.bin
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
work=$home/work
mkdir -p "$work" "$home/.codex" "$home/oc" "$home/llm"
cd "$work" || exit 2
git init -q .
passed=0 failed=0
within=(perl -e 'alarm shift; exec @ARGV') # SECONDS COMMAND: macOS has no timeout(1)

trust=() # CA=FILE: the gateway speaks TLS, with a certificate of its own
[ -z "${CA:-}" ] || trust=(NODE_EXTRA_CA_CERTS="$CA" SSL_CERT_FILE="$CA")

bare() { # macOS's bash 3.2 takes an empty array for an unset one
    env -i ${trust[@]+"${trust[@]}"} PATH="$agents/node/bin:/usr/bin:/bin" HOME="$home" TERM=dumb LANG=C.UTF-8 "$@" \
        </dev/null 2>&1
}

turn_of() { # CLIENT FUNCTION: a note of its own, then the client's turn; its answer must hold what is wanted
    case $only in *" $1 "*) ;; *) return ;; esac
    local note="note-$(od -An -tx1 -N6 /dev/urandom | tr -d ' \n')" said want
    echo "The word of the day is $note" >"$work/note.txt"
    if [ "$turn" = tool ]; then
        prompt=${PROMPT:-Please READ_THE_NOTE $work/note.txt} want=${WANT:-The note says $note}
    else
        prompt=${PROMPT:-Say hello in one line.} want=${WANT:-Hello from the mock}
    fi
    said=$("$2")
    if grep -qF "$want" <<<"$said"; then
        passed=$((passed + 1))
        echo "ok   $1: $(grep -F "$want" <<<"$said" | tail -1 | sed 's/^[[:space:]]*//' | cut -c1-100)"
    else
        failed=$((failed + 1))
        echo "FAIL $1: $(tail -3 <<<"$said" | cut -c1-400)"
    fi
}

claude_code() {
    bare ANTHROPIC_BASE_URL="$base" ANTHROPIC_AUTH_TOKEN="$key" \
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 DISABLE_TELEMETRY=1 DISABLE_AUTOUPDATER=1 \
        "${within[@]}" 60 "$others/claude" -p "$prompt" --model "$model"
}

codex() { # its own sandbox wants user namespaces, which a container may lack: the folder is thrown away anyhow
    cat >"$home/.codex/config.toml" <<TOML
model = "$model"
model_provider = "fleet"
check_for_update_on_startup = false
[model_providers.fleet]
name = "fleet"
base_url = "$base/v1"
env_key = "FLEET_KEY"
wire_api = "responses"
[analytics]
enabled = false
TOML
    bare FLEET_KEY="$key" "${within[@]}" 60 "$others/codex" exec --skip-git-repo-check \
        --dangerously-bypass-approvals-and-sandbox "$prompt"
}

opencode() {
    cat >"$work/opencode.json" <<JSON
{
  "autoupdate": false,
  "share": "disabled",
  "model": "fleet/$model",
  "small_model": "fleet/$model",
  "provider": {
    "fleet": {
      "npm": "@ai-sdk/openai-compatible",
      "name": "fleet",
      "options": {"baseURL": "$base/v1", "apiKey": "{env:FLEET_KEY}"},
      "models": {"$model": {"name": "fleet", "limit": {"context": 120000, "output": 8192}}}
    }
  }
}
JSON
    bare FLEET_KEY="$key" OPENCODE_DISABLE_AUTOUPDATE=1 OPENCODE_DISABLE_MODELS_FETCH=1 \
        "${within[@]}" 90 "$others/opencode" run --model "fleet/$model" "$prompt"
}

openclaw() { # API BASE
    sed "s#API#$1#; s#BASE#$2#; s#MODEL#$model#" "$here/openclaw.json" >"$home/oc/$1.json"
    bare FLEET_KEY="$key" OPENCLAW_STATE_DIR="$home/oc" OPENCLAW_CONFIG_PATH="$home/oc/$1.json" \
        "${within[@]}" 120 "$openclaw" agent --local --agent main --session-id "$1" --message "$prompt" --json
}
openclaw_chat() { openclaw openai-completions "$base/v1"; }
openclaw_responses() { openclaw openai-responses "$base/v1"; }
openclaw_messages() { openclaw anthropic-messages "$base"; }

llm() {
    cat >"$home/llm/extra-openai-models.yaml" <<YAML
- model_id: fleet-mock
  model_name: $model
  api_base: "$base/v1"
  api_key_name: fleet
  supports_tools: true
YAML
    local read_a_file='def read(path: str) -> str:
    "Read a file."
    return open(path).read()'
    bare LLM_USER_PATH="$home/llm" "$root/.venv/bin/llm" keys set fleet --value "$key"
    bare LLM_USER_PATH="$home/llm" \
        "${within[@]}" 30 "$root/.venv/bin/llm" -m fleet-mock --functions "$read_a_file" "$prompt"
}

turn_of claude-code claude_code
turn_of codex codex
turn_of opencode opencode
turn_of openclaw-chat openclaw_chat
turn_of openclaw-responses openclaw_responses
turn_of openclaw-messages openclaw_messages
turn_of llm llm
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
