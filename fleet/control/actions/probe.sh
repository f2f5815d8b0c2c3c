# What a node is, by POSIX sh alone: a fresh Mac has no usable Python (FACTS section 2.7). Values above this text:
# SUDO PRIVILEGED XCODE_SELECT FDESETUP PMSET LSOF SW_VERS SYSCTL ROOT OWNER PYTHON PYTHON_DIGEST PORTS
# Answers the magic line, then blocks: `== NAME STATUS`, the output with | before each line, `== end 0`.
PATH=/usr/bin:/bin:/usr/sbin:/sbin
LC_ALL=C
export PATH LC_ALL

run() {
    name=$1
    shift
    text=$("$@" 2>&1 </dev/null)
    printf '== %s %s\n' "$name" $?
    [ -z "$text" ] || printf '%s\n' "$text" | sed 's/^/|/'
}

nearest() { # the folder on whose disk ROOT will lie
    folder=$ROOT
    until [ -d "$folder" ]; do folder=$(dirname "$folder"); done
    df -kP "$folder"
}

python_version() {
    "$1" -I -S -c 'import platform, sys; print("%d.%d.%d" % sys.version_info[:3], platform.machine())'
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

# way PATH: MODE UID GID NAME of every name on the way to it, links followed, as far as it is there
way() (
    set -f
    at='' rest=$1 hops=0
    place /
    while [ -n "$rest" ]; do
        name=${rest%%/*}
        case $rest in */*) rest=${rest#*/} ;; *) rest='' ;; esac
        case $name in
        '' | .) continue ;;
        ..) at=${at%/*} && continue ;;
        esac
        place "$at/$name" || break
        if [ -L "$at/$name" ]; then
            hops=$((hops + 1))
            [ "$hops" -lt 40 ] || break
            rest=$(readlink "$at/$name")/$rest
            case $rest in /*) at='' ;; esac
        else
            at=$at/$name
        fi
    done
)

place() {
    seen=$1
    # shellcheck disable=SC2046 # the columns of ls are wanted apart
    set -- $(ls -ldn "$seen" 2>/dev/null)
    [ $# -ge 4 ] && printf '%s %s %s %s\n' "$1" "$3" "$4" "$seen"
}

echo FLEET-PROBE/1
run user id -un
run owner id -u "$OWNER"
sudo=-
if [ "$PRIVILEGED" = sudo ]; then
    run sudo "$SUDO" -n true
    "$SUDO" -n true >/dev/null 2>&1 </dev/null
    sudo=$?
fi
run xcode "$XCODE_SELECT" -p
"$XCODE_SELECT" -p >/dev/null 2>&1 </dev/null
tools=$?
run sw_vers "$SW_VERS"
run sysctl "$SYSCTL" hw.memsize hw.model machdep.cpu.brand_string hw.optional.arm64
run filevault "$FDESETUP" status
run power "$PMSET" -g custom
run disk nearest
run listeners listeners
pids=$(listeners 2>/dev/null | awk '$2 ~ /^[0-9]+$/ { print $2 }' | sort -u)
for pid in $pids; do run "process.$pid" ps -ww -o command= -p "$pid"; done
case $PYTHON in
'') ;;
/usr/bin/python3) # Apple's stub opens a window on the node's screen when the developer tools are not there
    if [ "$tools" = 0 ]; then run python python_version "$PYTHON"; else run python false; fi
    ;;
*) run python python_version "$PYTHON" ;;
esac
run way.root way "$ROOT"
[ -z "$PYTHON" ] || run way.interpreter way "$PYTHON"
[ -z "$PYTHON_DIGEST" ] || run build test -x "$ROOT/python/$PYTHON_DIGEST/bin/python3"
echo '== end 0'
