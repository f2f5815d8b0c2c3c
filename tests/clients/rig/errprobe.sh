#!/usr/bin/env bash
# errprobe.sh PORT [KEY]: what a client gets, on every surface, when the upstream (upstream.py) fails; and that the next
# request is answered all the same. By hand: python -m tests.clients.rig bash -c 'tests/clients/rig/errprobe.sh $PORT'
set -u
port=$1 key=${2:-${KEY:-sk-fleet-test}}
passed=0 failed=0

ask() { # PATH TEXT STREAM -> body, then a last line "#STATUS RETRY-AFTER"
    local text="\"role\":\"user\",\"content\":\"$2\""
    local messages="\"messages\":[{$text}]"
    [ "$1" = /v1/responses ] && messages="\"input\":[{$text}]"
    curl -s -m 20 -N -w '\n#%{http_code} %header{retry-after}\n' "http://127.0.0.1:$port$1" \
        -H "Authorization: Bearer $key" -H 'content-type: application/json' \
        -d "{\"model\":\"mock\",$([ "$1" = /v1/responses ] || echo '"max_tokens":99,')\"stream\":$3,$messages}"
}

judge() { # NAME GOT STATUSES(regex) [needs-retry-after]: an error body (or last event), the right status, no fabricated end
    local status after body why=
    status=$(tail -1 <<<"$2" | cut -d' ' -f1 | tr -d '#')
    after=$(tail -1 <<<"$2" | cut -d' ' -f2)
    body=$(sed '$d' <<<"$2")
    [[ $status =~ ^($3)$ ]] || why="status $status, wanted $3"
    grep -q '"error"' <<<"$body" || why="$why; no error in the body"
    grep -Eq '\[DONE\]|"?message_stop|response\.completed|Traceback' <<<"$body" && why="$why; looks complete, or leaks"
    [ -z "${4:-}" ] || [[ $after =~ ^[1-9][0-9]*$ ]] || why="$why; no Retry-After"
    if [ -z "$why" ]; then
        passed=$((passed + 1))
        printf 'ok   %-34s %s  %s\n' "$1" "$status" "$(grep . <<<"$body" | tail -1 | cut -c1-110)"
    else
        failed=$((failed + 1))
        printf 'FAIL %-34s %s: %s\n' "$1" "${why#; }" "$(grep . <<<"$body" | tail -1 | cut -c1-240)"
    fi
}

well() { # NAME PATH: a good request right after a bad one
    if ask "$2" hello false | grep -q 'Hello from the mock'; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        echo "FAIL $1, and then: a good request was not answered"
    fi
}

for path in /v1/chat/completions /v1/responses /v1/messages; do
    for stream in false true; do
        for case in 'err=429 429 after' 'err=500 502' 'err=401 502|503' 'err=503 503 after' 'err=cuthead 502|503' \
            'err=cut 502 -' 'err=hang 504'; do
            read -r steering statuses after <<<"$case"
            # Once a stream has begun, or has been waited for, its status is out: the error is its last event.
            [ "$stream" = true ] && case $steering in err=cut) statuses=200 ;; err=hang) statuses='200|504' ;; esac
            [ "$after" = - ] && after=
            name="$path $steering stream=$stream"
            judge "${name#/v1/}" "$(ask "$path" "@@$steering@@" "$stream")" "$statuses" "$after"
            well "$name" "$path"
        done
    done
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
