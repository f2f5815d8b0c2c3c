# What every probe of a node begins with: how an answer is written down. POSIX sh (bash 3.2, dash).
# The answer is a magic line, then blocks: `== NAME STATUS`, the output with | before each line, last `== end 0`.
# Values above this text: LSOF DF ROOT PORTS. `sudo` is 0 where sudo asks no password; 137 is what ran too long.
PATH=/usr/bin:/bin:/usr/sbin:/sbin
LC_ALL=C
export PATH LC_ALL
sudo=-

end() { # PID: it and everything below it, or what is left would hold the pipe that somebody waits on
    kill -STOP "$1" # or it starts another between the list and its end
    below=$(ps -A -o pid= -o ppid= | awk -v parent="$1" '$2 == parent { print $1 }')
    kill -9 "$1"
    for child in $below; do end "$child"; done
}

bounded() { # COMMAND...: ended after LIMIT seconds (20), since a Mac has no `timeout`
    "$@" </dev/null &
    bounded=$!
    (
        trap '[ "$!" = "$bounded" ] || kill -9 "$!"; exit' TERM # $! is known at the fork: no sleep is left
        sleep "${LIMIT:-20}" &
        wait "$!" && trap '' TERM && end "$bounded"
    ) >/dev/null 2>&1 </dev/null &
    guard=$!
    wait "$bounded"
    code=$?
    kill "$guard" 2>/dev/null
    return "$code"
}

run() { # NAME COMMAND...: one block
    name=$1
    shift
    text=$(bounded "$@" 2>&1)
    printf '== %s %s\n' "$name" $?
    [ -z "$text" ] || printf '%s\n' "$text" | sed 's/^/|/'
}

nearest() { # the folder on whose disk ROOT will lie
    folder=$ROOT
    until [ -d "$folder" ]; do folder=$(dirname "$folder"); done
    "$DF" -kP "$folder"
}

listeners() {
    for port in $PORTS; do
        if [ "$sudo" = 0 ]; then
            "$SUDO" -n "$LSOF" -nP "-iTCP:$port" -sTCP:LISTEN
        else
            "$LSOF" -nP "-iTCP:$port" -sTCP:LISTEN
        fi
    done
    return 0
}

holders() { # a block process.PID for everyone who listens on our ports
    pids=$(bounded listeners 2>/dev/null | awk '$2 ~ /^[0-9]+$/ { print $2 }' | sort -u)
    for pid in $pids; do run "process.$pid" ps -ww -o command= -p "$pid"; done
}

