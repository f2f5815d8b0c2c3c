# What doctor looks at, as the SSH user and without a change to anything. Stands behind blocks.sh. Values above:
# DATE SW_VERS SYSCTL FDESETUP PMSET XCODE_SELECT LAUNCHCTL LSOF NETSTAT SOCKETFILTERFW DEFAULTS DSCL DF
# ROOT DOMAIN PREFIX PORTS OWNER_HOME LIBRARY APPLICATIONS DAEMONS PANIC_DAYS LOG_KB

connections() { # many thousand lines of TIME_WAIT become one
    said=$("$NETSTAT" -an -p tcp) || return 1
    printf '%s\n' "$said" | awk '$NF == "TIME_WAIT" { n++ } /^Active/ || $NF == "LISTEN" { print } END { print "TIME_WAIT", n + 0 }'
}

data_volume() {
    if [ -d /System/Volumes/Data ]; then "$DF" -kP /System/Volumes/Data; else "$DF" -kP /; fi
}

plists() { # those with one of our labels that are not ours, and OpenClaw's own
    for folder in "$LIBRARY/LaunchAgents" "$OWNER_HOME/Library/LaunchAgents" "$HOME/Library/LaunchAgents" \
        "$LIBRARY/LaunchDaemons"; do
        for file in "$folder/$PREFIX".*.plist "$folder/ai.openclaw.gateway.plist"; do
            case $file in "$DAEMONS/$PREFIX".*) continue ;; esac
            [ ! -f "$file" ] || printf '%s\n' "$file"
        done
    done | sort -u
}

external() { # what our jobs have on other volumes
    for file in "$DAEMONS/$PREFIX".*.plist; do
        [ ! -f "$file" ] || grep -ho '/Volumes/[^<]*' "$file"
    done | sort -u
}

panics() {
    folder=$LIBRARY/Logs/DiagnosticReports
    [ -d "$folder" ] || return 0
    find "$folder" -maxdepth 1 -name '*.panic' -mtime "-$PANIC_DAYS"
}

startup() { # lines of .pth files that Python runs at every start
    [ -d "$ROOT/envs" ] || return 0
    find "$ROOT/envs" -name '*.pth' -type f -exec grep -H -E '^import[[:space:]]' {} + | cut -c 1-400
    return 0
}

wheels() {
    [ -d "$ROOT/envs" ] || return 0
    find "$ROOT/envs" -name WHEEL -path '*.dist-info/*' -exec grep -H '^Tag: .*macosx' {} +
    return 0
}

logs() { # those that nobody bounds
    [ -d "$ROOT/log" ] || return 0
    find "$ROOT/log" -type f -size "+${LOG_KB}k"
}

tailscale() {
    [ ! -d "$APPLICATIONS/Tailscale.app" ] || echo app
    for file in "$LIBRARY"/LaunchDaemons/*tailscale*.plist; do
        [ ! -f "$file" ] || echo daemon
    done
}

programs() { # of a job's print: the firewall knows programs by their path
    "$LAUNCHCTL" print "$DOMAIN/$PREFIX.gateway" 2>/dev/null | sed -n 's/^	program = //p' | head -n 1
}

claw=$DAEMONS/$PREFIX.openclaw.plist

claw_said() { # WORD: what stands behind it in OpenClaw's plist
    awk -v word="<(string|key)>$1</" '$0 ~ word { getline; sub(/^[^>]*>/, ""); sub(/<.*/, ""); print; exit }' "$claw"
}

claw_program() {
    program=$(awk '/ProgramArguments/ { getline; getline; sub(/^[^>]*>/, ""); sub(/<.*/, ""); print; exit }' "$claw")
    if [ -x "$program" ]; then echo there; else echo gone; fi
}

claw_ready() { # its body, and 000 when nobody answers
    curl -s -m 5 -w '\n%{http_code}\n' "http://127.0.0.1:$(claw_said --port)/readyz"
    return 0
}

claw_names() { # the variables that are set, never what they are set to
    sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p' "$ROOT/etc/openclaw.env"
}

claw_log() { # words for what it says since its last start; its log may hold conversations
    tail -n 400 "$ROOT/log/openclaw.log" | awk '
        /\[gateway\] loading configuration/ { invalid = mode = port = environment = "" }
        /^[^ ]* Gateway failed to start: Invalid config/ { invalid = "invalid-config" }
        /^[^ ]* ?Gateway start blocked: existing config is missing gateway.mode/ { mode = "no-mode" }
        /^[^ ]* (Port [0-9]+ is already in use|\[gateway\].*EADDRINUSE|Gateway failed.*already listening)/ { port = "port-taken" }
        /openclaw.env: not found$/ { environment = "no-environment" }
        /\[gateway\] ready$/ { invalid = mode = port = environment = "" }
        END { print invalid, mode, port, environment }'
}

claw_models() { # of its generated files: providers, addresses, and whether there is a key that is no reference
    state=$(claw_said OPENCLAW_STATE_DIR)
    for file in "$state"/agents/*/agent/models.json; do
        [ -f "$file" ] || continue
        echo "== $file"
        grep -E '^ *"[^"]*": *[{] *$|"(baseUrl|apiKey)":' "$file" | grep -v '"apiKey": *"\(secretref\|\${\|[A-Z_]*"\)' |
            sed 's/\("apiKey": *"\)[^"]*"/\1set"/'
    done
}

echo FLEET-DOCTOR/1
run clock "$DATE" +%s
run user id -un
run sw_vers "$SW_VERS"
run sysctl "$SYSCTL" hw.memsize kern.boottime iogpu.wired_limit_mb
run filevault "$FDESETUP" status
run power "$PMSET" -g custom
run xcode "$XCODE_SELECT" -p
run updates "$DEFAULTS" read /Library/Preferences/com.apple.SoftwareUpdate AutomaticallyInstallMacOSUpdates
run panics panics
run disk.root nearest
run disk.data data_volume
run connections connections
run listeners listeners
holders
run disabled "$LAUNCHCTL" print-disabled "$DOMAIN"
for file in "$DAEMONS/$PREFIX".*.plist; do
    [ -f "$file" ] || continue
    label=${file##*/}
    label=${label%.plist}
    run "job.$label" "$LAUNCHCTL" print "$DOMAIN/$label"
done
run plists plists
run external external
run firewall "$SOCKETFILTERFW" --getglobalstate
run firewall.all "$SOCKETFILTERFW" --getblockall
program=$(programs)
[ -z "$program" ] || run firewall.gateway "$SOCKETFILTERFW" --getappblocked "$program"
run startup startup
run wheels wheels
run logs logs
run tailscale tailscale
if [ -f "$claw" ]; then
    run openclaw.plist cat "$claw"
    run openclaw.config cat "$ROOT/etc/openclaw.json"
    run openclaw.env claw_names
    run openclaw.runtime claw_program
    run openclaw.ready claw_ready
    run openclaw.log claw_log
    run openclaw.models claw_models
fi
run ssh_group "$DSCL" . -read /Groups/com.apple.access_ssh GroupMembership
echo '== end 0'
