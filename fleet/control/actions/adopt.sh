# Makes a node ready for deploys. POSIX sh, run as the admin (root through sudo), again and again to the same end.
# Values above this text: ROOT ADMIN ADMIN_GROUP OWNER GROUP LABEL DOMAIN PLIST HELPER SUDOERS INTERPRETER
# PYTHON_DIGEST SYNC_DIGEST SAME_USER LAUNCHCTL PLUTIL VISUDO SHASUM OPENSSL
# stdin: a tar of helper, sudoers, layout.json, adopted.json, apply.plist, sync.pyz, edge.cnf and maybe python.tar.
# Answers the magic line, then `changed WHAT`, `same WHAT`, `failed WHY`; the certificate with | before each line; `done`.
set -u
umask 022
PATH=/usr/bin:/bin:/usr/sbin:/sbin
LC_ALL=C
export PATH LC_ALL
unset PYTHONPATH PYTHONHOME

fail() {
    printf 'failed %s\n' "$1"
    exit 1
}

stage=
trap '[ -z "$stage" ] || rm -rf "$stage"' EXIT
trap 'exit 1' HUP INT PIPE TERM

# owned PATH MODE OWNER GROUP: whether it is so already
owned() {
    [ -n "$(find "$1" -prune ! -type l -perm "$2" -user "$3" -group "$4" 2>/dev/null)" ]
}

folder() {
    [ ! -L "$1" ] || fail "$1 is a link: take it away, or choose another root"
    if [ -d "$1" ] && owned "$1" "$2" "$3" "$4"; then
        return 0
    fi
    mkdir -p "$1" && chown "$3:$4" "$1" && chmod "$2" "$1" || fail "$1 cannot be made"
    echo "changed folder $1"
}

# put WHAT SOURCE TARGET MODE: the admin's file, whole or not at all. The part's name has dots: sudo ignores it.
put() {
    if [ -f "$3" ] && [ ! -L "$3" ] && cmp -s "$2" "$3" && owned "$3" "$4" "$ADMIN" "$ADMIN_GROUP"; then
        echo "same $1"
        return 0
    fi
    [ ! -d "$3" ] || fail "$3 is a folder"
    part=$3.part.$$
    rm -f "$part"
    cp "$2" "$part" && chown "$ADMIN:$ADMIN_GROUP" "$part" && chmod "$4" "$part" && mv -f "$part" "$3" || {
        rm -f "$part"
        fail "$3 cannot be written"
    }
    echo "changed $1"
}

digest_of() {
    sum=$("$SHASUM" -a 256 <"$1") || return 1
    printf '%s' "${sum%% *}"
}

install_python() {
    [ -n "$PYTHON_DIGEST" ] || return 0
    target=$ROOT/python/$PYTHON_DIGEST
    if [ -x "$target/bin/python3" ]; then
        echo "same interpreter"
        return 0
    fi
    [ -f "$stage/python.tar" ] || fail "the interpreter was not sent"
    [ "$(digest_of "$stage/python.tar")" = "$PYTHON_DIGEST" ] || fail "the interpreter did not arrive whole"
    mkdir "$stage/python" && tar -xf "$stage/python.tar" -C "$stage/python" || fail "the interpreter does not unpack"
    rm -f "$stage/python.tar"
    chown -R "$ADMIN:$ADMIN_GROUP" "$stage/python" || fail "the interpreter cannot be given to $ADMIN"
    "$stage/python/bin/python3" -I -S -c 'import sys; sys.exit(sys.version_info < (3, 11))' </dev/null ||
        fail "the interpreter does not run on this machine"
    # Nothing that runs later may write bytecode, and a packed tree has no times to compare with.
    "$stage/python/bin/python3" -I -m compileall -q --invalidation-mode unchecked-hash "$stage/python/lib" \
        </dev/null >/dev/null 2>&1
    rm -rf "$target"
    mv "$stage/python" "$target" || fail "$target cannot be written"
    echo "changed interpreter"
}

install_sudoers() {
    [ "$SAME_USER" = no ] || return 0
    said=$("$VISUDO" -cf "$stage/sudoers" 2>&1) || fail "visudo refuses the sudoers entry: $(printf '%s' "$said" | head -n 1)"
    put sudoers "$stage/sudoers" "$SUDOERS" 0440
}

# In etc/, where only the admin may write: in a folder of OWNER's these names could be swapped for links meanwhile.
edge_key() {
    key=$ROOT/etc/edge.key
    certificate=$ROOT/etc/edge.crt
    if [ -s "$key" ] && owned "$key" 0600 "$OWNER" "$GROUP" && owned "$certificate" 0644 "$ADMIN" "$ADMIN_GROUP" &&
        "$OPENSSL" x509 -in "$certificate" -noout >/dev/null 2>&1 </dev/null; then
        echo "same edge key"
    else
        [ ! -d "$key" ] && [ ! -d "$certificate" ] || fail "$key or $certificate is a folder"
        umask 077
        if [ -s "$key" ] && [ ! -L "$key" ]; then
            cp "$key" "$stage/edge.key" || fail "$key cannot be read"
        else
            "$OPENSSL" ecparam -name prime256v1 -genkey -noout -out "$stage/edge.key" </dev/null 2>"$stage/said" ||
                fail "openssl makes no key: $(head -n 1 "$stage/said")"
        fi
        "$OPENSSL" req -new -x509 -sha256 -days 3650 -key "$stage/edge.key" -config "$stage/edge.cnf" \
            -out "$stage/edge.crt" </dev/null 2>"$stage/said" || fail "openssl makes no certificate: $(head -n 1 "$stage/said")"
        umask 022
        chown "$OWNER:$GROUP" "$stage/edge.key" && chmod 0600 "$stage/edge.key" &&
            chown "$ADMIN:$ADMIN_GROUP" "$stage/edge.crt" && chmod 0644 "$stage/edge.crt" &&
            mv -f "$stage/edge.key" "$key" && mv -f "$stage/edge.crt" "$certificate" ||
            fail "$key cannot be written"
        echo "changed edge key"
    fi
    "$OPENSSL" x509 -in "$certificate" </dev/null | sed 's/^/|/'
}

loaded() {
    printed=$("$LAUNCHCTL" print "$DOMAIN/$LABEL" 2>/dev/null </dev/null)
}

# The safe loop of FACTS section 1.5. bootout returns before the job is gone.
apply_job() {
    if cmp -s "$stage/apply.plist" "$PLIST" && owned "$PLIST" 0644 "$ADMIN" "$ADMIN_GROUP" && loaded; then
        echo "same apply job"
        return 0
    fi
    "$PLUTIL" -lint "$stage/apply.plist" >"$stage/said" 2>&1 </dev/null || fail "plutil: $(head -n 1 "$stage/said")"
    if loaded; then
        case $printed in *'	state = running'*) fail "a run goes on on this node: wait for its end, then adopt again" ;; esac
        said=$("$LAUNCHCTL" bootout "$DOMAIN/$LABEL" 2>&1 </dev/null)
        status=$?
        case $status in 0 | 3 | 36 | 113) ;; *) fail "launchd does not let go of $LABEL: bootout ended with $status: $(printf '%s' "$said" | head -n 1)" ;; esac
        tries=120
        while loaded; do
            tries=$((tries - 1))
            [ "$tries" -gt 0 ] || fail "launchd does not let go of $LABEL"
            sleep 0.25
        done
    fi
    put "apply plist" "$stage/apply.plist" "$PLIST" 0644
    "$LAUNCHCTL" enable "$DOMAIN/$LABEL" >/dev/null 2>&1 </dev/null
    for pause in 1 2 4 0; do
        said=$("$LAUNCHCTL" bootstrap "$DOMAIN" "$PLIST" 2>&1 </dev/null)
        status=$?
        loaded && break
        [ "$pause" = 0 ] || sleep "$pause"
    done
    loaded || fail "launchd does not take the apply job: bootstrap ended with $status: $(printf '%s' "$said" | head -n 1)"
    case $printed in *"path = $PLIST"*) ;; *) fail "launchd took another plist for $LABEL" ;; esac
    echo "changed apply job"
}

echo FLEET-ADOPT/1
[ ! -L "$ROOT" ] || fail "$ROOT is a link"
case $(id -un) in "$ADMIN") ;; *) fail "runs as $(id -un), not as $ADMIN" ;; esac
id -u "$OWNER" >/dev/null 2>&1 || fail "there is no account $OWNER: say \`owner:\` in the inventory"
# A root is fleet's alone: folders below it change their owner, and uninstall removes them.
foreign=$(ls -A "$ROOT" 2>/dev/null | grep -Evx 'sbin|sync|python|envs|apps|models|archives|files|blobs|releases|state|runs|etc|var|log|[.]adopt[.].*|[.]DS_Store|.*[.]removed' | head -n 1)
[ -z "$foreign" ] || [ -f "$ROOT/state/layout.json" ] || fail "$ROOT holds $foreign, which is not fleet's: choose another \`root:\` in the inventory"
for name in '' /sbin /sync /python /envs /apps /models /archives /etc /releases /state /runs; do
    folder "$ROOT$name" 0755 "$ADMIN" "$ADMIN_GROUP"
done
for name in files blobs; do
    folder "$ROOT/$name" 0700 "$ADMIN" "$ADMIN_GROUP"
done
# As deploys want them (desired/nodedaemons.py), or each would undo the other.
folder "$ROOT/var" 0750 "$OWNER" "$GROUP"
folder "$ROOT/log" 0755 "$OWNER" "$GROUP"
for old in "$ROOT"/.adopt.*; do # of an adopt that was cut off an hour ago or more
    [ ! -d "$old" ] || [ -z "$(find "$old" -prune -mmin +60 2>/dev/null)" ] || rm -rf "$old"
done
stage=$(mktemp -d "$ROOT/.adopt.XXXXXX") || fail "$ROOT cannot be written"
chmod 0700 "$stage"
tar -xf - -C "$stage" || fail "what was sent does not unpack"
for name in helper layout.json adopted.json apply.plist sync.pyz edge.cnf; do
    [ -f "$stage/$name" ] || fail "$name was not sent"
done
[ "$(digest_of "$stage/sync.pyz")" = "$SYNC_DIGEST" ] || fail "sync did not arrive whole"

install_python
"$INTERPRETER" -I -S -c 'import sys; sys.exit(sys.version_info < (3, 11))' </dev/null ||
    fail "$INTERPRETER is no Python 3.11 or later"
put sync "$stage/sync.pyz" "$ROOT/sync/$SYNC_DIGEST.pyz" 0644
"$INTERPRETER" -I -S "$ROOT/sync/$SYNC_DIGEST.pyz" </dev/null >/dev/null 2>&1 # it wants a verb, and is compiled now
if [ ! -e "$ROOT/sync/current.pyz" ]; then # deploys move it on; an older fleet never moves it back
    ln -s "$SYNC_DIGEST.pyz" "$stage/current" && mv -f "$stage/current" "$ROOT/sync/current.pyz" ||
        fail "$ROOT/sync/current.pyz cannot be written"
fi
put layout "$stage/layout.json" "$ROOT/state/layout.json" 0644
put helper "$stage/helper" "$HELPER" 0755
install_sudoers
edge_key
apply_job
put record "$stage/adopted.json" "$ROOT/state/adopted.json" 0644
echo done
