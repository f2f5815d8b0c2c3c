#!/bin/sh
# A session of this simulated Mac: both SSH doors run every command through here, with the command in
# SSH_ORIGINAL_COMMAND (none = a shell). The environment is the one that a Mac's sshd gives (FACTS section 2.6):
# a minimal PATH, no profile read, 256 open files.
node=${0%/sim/exec}
state=$node/sim/state
read -r user <"$state/user"
read -r marker <"$state/marker"
umask 022
ulimit -S -n 256
if [ -e "$state/disk-full" ]; then # the kernel refuses every byte past 32 KiB: EFBIG where a full disk says ENOSPC
    trap '' XFSZ
    ulimit -f 64
fi
cd "$node/home" || exit 1
[ ! -e "$state/noise" ] || cat "$state/noise"

command=${SSH_ORIGINAL_COMMAND-}
set -- HOME="$node/home" USER="$user" LOGNAME="$user" SHELL=/bin/sh TMPDIR="$node/tmp/" FLEET_SIM="$marker" \
    PATH="$node/sim/bin:/usr/bin:/bin:/usr/sbin:/sbin" LANG="${LANG:-en_US.UTF-8}" \
    ${LC_ALL:+"LC_ALL=$LC_ALL"} ${TERM:+"TERM=$TERM"} ${SSH_TTY:+"SSH_TTY=$SSH_TTY"} \
    ${SSH_CONNECTION:+"SSH_CONNECTION=$SSH_CONNECTION"} ${SSH_CLIENT:+"SSH_CLIENT=$SSH_CLIENT"}
if [ -n "$command" ]; then
    exec env -i "$@" /bin/sh -c "$command"
fi
if [ -t 0 ]; then
    echo "This is a simulated Mac (fleet sim)."
    exec env -i "$@" PS1="${node##*/} (simulated) \$ " /bin/sh -i
fi
exec env -i "$@" /bin/sh
