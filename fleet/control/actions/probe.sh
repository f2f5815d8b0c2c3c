# What a node is, by POSIX sh alone: a fresh Mac has no usable Python (FACTS section 2.7). Stands behind blocks.sh.
# Values above: SUDO PRIVILEGED XCODE_SELECT FDESETUP PMSET LSOF SW_VERS SYSCTL DF ROOT OWNER PYTHON PYTHON_DIGEST PORTS

python_version() {
    "$1" -I -S -c 'import platform, sys; print("%d.%d.%d" % sys.version_info[:3], platform.machine())'
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
holders
case $PYTHON in
'') ;;
/usr/bin/python3) # Apple's stub opens a window on the node's screen when the developer tools are not there
    if [ "$tools" = 0 ]; then run python python_version "$PYTHON"; else run python false; fi
    ;;
*) run python python_version "$PYTHON" ;;
esac
[ ! -f "$ROOT/state/adopted.json" ] || run adopted cat "$ROOT/state/adopted.json"
run way.root way "$ROOT"
[ -z "$PYTHON" ] || run way.interpreter way "$PYTHON"
[ -z "$PYTHON_DIGEST" ] || run build test -x "$ROOT/python/$PYTHON_DIGEST/bin/python3"
echo '== end 0'
