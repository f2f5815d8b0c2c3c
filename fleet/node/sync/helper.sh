#!/bin/sh
# ROOT/sbin/fleet-node: the one command that fleet runs with privileges on a node. POSIX sh (bash 3.2, dash).
#
# adopt renders this file by plain replacement, puts it at NodeLayout.helper (owner admin:admin_group, 0755) and lets
# the sudoers drop-in name that path only. Placeholders, all from the node's NodeLayout; a value never holds a single
# quote or a line break (adopt refuses one):
#   @ROOT@         layout.root                     @DOMAIN@     layout.domain
#   @INTERPRETER@  absolute path of a Python 3.11+ @LAUNCHCTL@  layout.command("launchctl")
#   @SHASUM@       layout.command("shasum")        @PMSET@      layout.command("pmset")
#   @SYSCTL@       layout.command("sysctl")        @PREFIX@     layout.label_prefix
#
#   fleet-node sync PROTOCOL STATE_ID RUN_ID SYNC_DIGEST   STATE_ID `-` asks for facts only
#   fleet-node put sync/SYNC_DIGEST.pyz SIZE SYNC_DIGEST   SIZE bytes follow on stdin
#   fleet-node attach RUN_ID OFFSET SYNC_DIGEST            the events behind number OFFSET, and those to come
#   fleet-node confirm RUN_ID                              by hand: the run that waits for it may stay
#   fleet-node uninstall [--keep-data]
#   fleet-node start LABEL                                 launchd starts this daemon of the last deploy, if it is not up
#
# The account of the services may run `start`, and nothing else: launchd puts off starts, and root alone can ask again.
# Exit: 127 that sync is not here (put it, try again) · 126 the interpreter is not here (adopt again)
#       64 arguments that it does not take · 75 a deploy is under way, or there was none · 65 the bytes are not what was announced
# `sync` answers by itself when the receipt of the last run belongs to STATE_ID and nothing drifted since; any doubt
# goes to the full check in Python. Of a command it needs: `openssl dgst -sha256 -r FILE...`, `shasum -a 256 -c -` and
# `shasum -a 256 < FILE`, `launchctl print` and `print-disabled`, `pmset -g custom`, `sysctl -n KEY`, and ls, find, head, wc, mv, rm, chmod, date, sync.
set -u
set -f
umask 022
PATH=/usr/bin:/bin:/usr/sbin:/sbin
LC_ALL=C
export PATH LC_ALL
unset IFS CDPATH ENV BASH_ENV PYTHONPATH PYTHONHOME

ROOT='@ROOT@'
INTERPRETER='@INTERPRETER@'
DOMAIN='@DOMAIN@'
LAUNCHCTL='@LAUNCHCTL@'
SHASUM='@SHASUM@'
PMSET='@PMSET@'
SYSCTL='@SYSCTL@'
OPENSSL=/usr/bin/openssl
PREFIX='@PREFIX@'

nl='
'
tab='	'

refuse() {
    printf 'fleet-node: %s\n' "$1" >&2
    exit 64
}

is_hex64() {
    case $1 in *[!0-9a-f]*) return 1 ;; esac
    [ ${#1} -eq 64 ]
}

is_number() {
    case $1 in '' | *[!0-9]* | 0?*) return 1 ;; esac
    [ ${#1} -le 9 ]
}

is_run() {
    case $1 in '' | [!A-Za-z0-9]* | *[!A-Za-z0-9._-]*) return 1 ;; esac
    [ ${#1} -le 64 ]
}

# Whether the file's SHA-256 is that digest.
is_digest() {
    [ -f "$2" ] && [ ! -L "$2" ] || return 1
    if [ -x "$OPENSSL" ]; then
        sum=$("$OPENSSL" dgst -sha256 -r <"$2" 2>/dev/null) && [ "${sum%% *}" = "$1" ] && return 0
    fi
    sum=$("$SHASUM" -a 256 <"$2" 2>/dev/null) || return 1
    [ "${sum%% *}" = "$1" ]
}

# sync DIGEST VERB...: runs sync in the interpreter, or says what is missing.
run_sync() {
    zipapp=$1
    shift
    if [ ! -x "$INTERPRETER" ]; then
        printf 'fleet-node: the interpreter %s is not here: adopt this node again\n' "$INTERPRETER" >&2
        exit 126
    fi
    exec "$INTERPRETER" -I -S "$zipapp" "$@"
}

need_sync() {
    if ! is_digest "$1" "$ROOT/sync/$1.pyz"; then
        printf 'fleet-node: sync %s is not here\n' "$1" >&2
        exit 127
    fi
}

# Mode, user and group of these paths are still those of LIST (lines of MODE UID GID PATH), asked in one ls. A loosened
# mode, an ACL (+) or another owner is drift; so is a link.
are_owned() {
    list=$nl$1
    shift
    left=$#
    [ "$left" -gt 0 ] || return 0
    while read -r mode _ user group _ _ _ _ place; do
        case $list in *"$nl${mode%[@.]} $user $group $place$nl"*) left=$((left - 1)) ;; *) return 1 ;; esac
    done <<END
$(ls -ldn "$@" 2>/dev/null)
END
    [ "$left" -eq 0 ]
}

# These files have the digests of LIST (lines of a break, DIGEST *PATH), asked of one process: openssl is a tenth of
# shasum, which is Perl.
are_same() {
    list=$1
    shift
    [ $# -gt 0 ] || return 0
    if [ -x "$OPENSSL" ]; then
        [ "$nl$("$OPENSSL" dgst -sha256 -r "$@" </dev/null 2>/dev/null)" = "$list" ] && return 0
    fi
    printf '%s\n' "${list#"$nl"}" | "$SHASUM" -a 256 -c - >/dev/null 2>&1
}

# A daemon runs with a pid, or (on demand) is at least registered. Only lines with exactly one leading tab count.
is_up() {
    text=$("$LAUNCHCTL" print "$DOMAIN/$2" </dev/null 2>/dev/null) || return 1
    [ "$1" = loaded ] && return 0
    case $text in *"$nl${tab}state = running$nl"*) ;; *) return 1 ;; esac
    case $text in *"$nl${tab}pid = "[1-9]*) return 0 ;; esac
    return 1
}

# launchd would start the daemon again after a reboot: nobody disabled it (`enabled`; an older receipt does not say).
is_enabled() {
    [ "$1" = enabled ] || return 0
    [ -n "$overrides" ] || overrides=$("$LAUNCHCTL" print-disabled "$DOMAIN" </dev/null 2>/dev/null) || return 1
    case $overrides in *"\"$2\" => disabled"* | *"\"$2\" => true"*) return 1 ;; esac
}

# Every source shows that value for the power setting (`pmset -g custom`; numbers may carry a suffix).
is_pmset() {
    seen=no
    while read -r key value _; do
        [ "$key" = "$1" ] || continue
        [ "$value" = "$2" ] || return 1
        seen=yes
    done <<END
$power
END
    [ "$seen" = yes ]
}

# Whether the receipt belongs to this state and everything is still as the receipt says.
is_idle() {
    receipt=$ROOT/state/receipt
    [ -f "$receipt" ] && [ ! -L "$receipt" ] && [ ! -e "$ROOT/state/pending" ] || return 1
    wanted=$1
    ended=no
    owned=
    places=
    sums=
    files=
    power=
    overrides=
    while read -r kind a b c d rest; do
        case $kind in
            fleet-receipt) [ "$a" = 1 ] || return 1 ;;
            state) [ "$a" = "$wanted" ] || return 1 ;;
            file)
                owned="$owned$a $b $c $rest$nl"
                places="$places$rest$nl"
                sums="$sums$nl$d *$rest"
                files="$files$rest$nl"
                ;;
            directory)
                owned="$owned$a $b $c $rest$nl"
                places="$places$rest$nl"
                ;;
            tree) [ -d "$rest" ] && [ ! -L "$rest" ] || return 1 ;;
            exists) [ -e "$rest" ] || return 1 ;;
            # A program that was replaced, even by one of the same content, must be bootstrapped anew (FACTS 1.2).
            program) [ -x "$rest" ] && [ -z "$(find -L "$rest" -prune -cnewer "$receipt" 2>&1)" ] || return 1 ;;
            daemon) is_up "$a" "$rest" && is_enabled "$b" "$rest" || return 1 ;;
            sysctl) [ "$("$SYSCTL" -n "$a" </dev/null 2>/dev/null)" = "$rest" ] || return 1 ;;
            pmset)
                [ -n "$power" ] || power=$("$PMSET" -g custom </dev/null 2>/dev/null) || return 1
                is_pmset "$a" "$rest" || return 1
                ;;
            end) ended=yes ;;
            *) return 1 ;;
        esac
    done <"$receipt"
    [ "$ended" = yes ] || return 1
    # Paths hold no line breaks, and nothing is expanded (set -f).
    IFS=$nl
    # shellcheck disable=SC2086
    set -- $places
    unset IFS
    are_owned "$owned" "$@" || return 1
    IFS=$nl
    # shellcheck disable=SC2086
    set -- $files
    unset IFS
    are_same "$sums" "$@"
}

verb_sync() {
    [ $# -eq 4 ] || refuse 'sync takes PROTOCOL STATE_ID RUN_ID SYNC_DIGEST'
    is_number "$1" || refuse 'PROTOCOL is not a number'
    [ "$2" = - ] || is_hex64 "$2" || refuse 'STATE_ID is not 64 hex digits'
    is_run "$3" || refuse 'RUN_ID has characters that a run id never has'
    is_hex64 "$4" || refuse 'SYNC_DIGEST is not 64 hex digits'
    if [ "$1" = 1 ] && [ "$2" != - ] && is_idle "$2"; then
        body='{"kind":"hello","protocol":1,"idle":true,"state_id":"'$2'","release":"'$2'","time_seconds":'$(date +%s)'}'
        printf 'FLEET-SYNC/1\n%s\n%s\n' "${#body}" "$body"
        exit 0
    fi
    need_sync "$4"
    run_sync "$ROOT/sync/$4.pyz" session "$2" "$3"
}

verb_put() {
    [ $# -eq 3 ] || refuse 'put takes sync/SYNC_DIGEST.pyz SIZE SYNC_DIGEST'
    is_hex64 "$3" || refuse 'SYNC_DIGEST is not 64 hex digits'
    [ "$1" = "sync/$3.pyz" ] || refuse 'put takes sync/SYNC_DIGEST.pyz only'
    is_number "$2" && [ "$2" -gt 0 ] && [ "$2" -le 67108864 ] || refuse 'SIZE is not between 1 and 67108864'
    [ -d "$ROOT/sync" ] && [ ! -L "$ROOT/sync" ] || refuse "$ROOT/sync is not a folder: adopt this node again"
    part=$ROOT/sync/$3.$$.part
    trap 'rm -f "$part"' EXIT
    trap 'exit 65' HUP INT PIPE TERM
    rm -f "$part"
    head -c "$2" >"$part" || exit 65
    if [ "$(($(wc -c <"$part")))" -ne "$2" ] || ! is_digest "$3" "$part"; then
        printf 'fleet-node: the bytes of sync are not %s of SHA-256 %s\n' "$2" "$3" >&2
        exit 65
    fi
    chmod 0644 "$part" && sync && mv -f "$part" "$ROOT/sync/$3.pyz" || exit 65
}

verb_attach() {
    [ $# -eq 3 ] || refuse 'attach takes RUN_ID OFFSET SYNC_DIGEST'
    is_run "$1" || refuse 'RUN_ID has characters that a run id never has'
    is_number "$2" || refuse 'OFFSET is not a number'
    is_hex64 "$3" || refuse 'SYNC_DIGEST is not 64 hex digits'
    need_sync "$3"
    run_sync "$ROOT/sync/$3.pyz" attach "$1" "$2"
}

verb_confirm() {
    [ $# -eq 1 ] || refuse 'confirm takes RUN_ID'
    is_run "$1" || refuse 'RUN_ID has characters that a run id never has'
    [ -f "$ROOT/sync/current.pyz" ] || refuse "$ROOT/sync/current.pyz is not here: adopt this node again"
    run_sync "$ROOT/sync/current.pyz" confirm "$1"
}

verb_uninstall() {
    case "$#:${1-}" in 0: | 1:--keep-data) ;; *) refuse 'uninstall takes --keep-data or nothing' ;; esac
    [ -f "$ROOT/sync/current.pyz" ] || refuse "$ROOT/sync/current.pyz is not here: adopt this node again, then uninstall"
    run_sync "$ROOT/sync/current.pyz" uninstall "$@"
}

# One of the daemons that the last deploy made: under our prefix, and in the receipt (root's, and gone while one runs).
is_ours() {
    case $1 in "$PREFIX".[A-Za-z0-9]*) ;; *) return 1 ;; esac
    case $1 in *[!A-Za-z0-9._-]*) return 1 ;; esac
    while read -r kind _ _ _ _ rest; do
        [ "$kind" = daemon ] && [ "$rest" = "$1" ] && return 0
    done <"$ROOT/state/receipt"
    return 1
}

# A plain kickstart is a demand spawn, which launchd does not put off (FACTS 1.4); on what runs it changes nothing.
verb_start() {
    [ $# -eq 1 ] || refuse 'start takes LABEL'
    if [ ! -f "$ROOT/state/receipt" ] || [ -L "$ROOT/state/receipt" ]; then
        printf 'fleet-node: a deploy is under way, or there was none yet\n' >&2
        exit 75
    fi
    is_ours "$1" || refuse 'LABEL is no daemon of the last deploy'
    exec "$LAUNCHCTL" kickstart "$DOMAIN/$1" </dev/null
}

[ $# -ge 1 ] || refuse 'a verb is missing: sync, put, attach, confirm, uninstall or start'
verb=$1
shift
case $verb in
    sync) verb_sync "$@" ;;
    put) verb_put "$@" ;;
    attach) verb_attach "$@" ;;
    confirm) verb_confirm "$@" ;;
    uninstall) verb_uninstall "$@" ;;
    start) verb_start "$@" ;;
    *) refuse 'the verbs are sync, put, attach, confirm, uninstall and start' ;;
esac
