#!/usr/bin/env bash
# A minimal Debian (python3, python3-venv, make, ca-certificates; no compiler, no package of ours) in a chroot, an
# ordinary user, a clean clone: `make demo`, then a question by plain curl, then both sidecars held down and released.
# Wants root, debootstrap and curl outside. The chroot is kept in $ROOM for the next run; FRESH_ROOM=1 makes it anew.
set -euo pipefail

here=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
room=${ROOM:-/var/tmp/fleet-fresh-machine}
home=/home/tester
[ "$(id -u)" = 0 ] || { echo "show-fresh-machine wants root, for the chroot" >&2; exit 2; }
command -v debootstrap >/dev/null || { echo "show-fresh-machine wants debootstrap" >&2; exit 2; }

[ -z "${FRESH_ROOM:-}" ] || rm -rf --one-file-system "$room"
if [ ! -x "$room/usr/bin/python3" ]; then
    echo "making a minimal Debian in $room"
    debootstrap --variant=minbase --include=python3,python3-venv,make,ca-certificates bookworm "$room" >/dev/null
fi
if chroot "$room" sh -c 'command -v g++ || command -v gcc || command -v curl || command -v git'; then
    echo "the room has more than it should" >&2
    exit 1
fi

inside() { # a command of the ordinary user inside, in the clone
    chroot --userspec=tester:tester "$room" /usr/bin/env -i HOME=$home USER=tester LOGNAME=tester LANG=C.UTF-8 \
        PATH=/usr/local/bin:/usr/bin:/bin PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
        SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt /bin/sh -c "cd $home/fleet && $1"
}
leave() {
    inside 'make demo-down' >/dev/null 2>&1 || true
    umount "$room/dev/pts" "$room/dev" "$room/proc" 2>/dev/null || true
}

mountpoint -q "$room/proc" || mount -t proc proc "$room/proc"
mountpoint -q "$room/dev" || mount --bind /dev "$room/dev"
cp /etc/ssl/certs/ca-certificates.crt "$room/etc/ssl/certs/" # whatever this machine trusts
cp /etc/resolv.conf /etc/hosts "$room/etc/"
chroot "$room" id tester >/dev/null 2>&1 || chroot "$room" useradd --create-home --shell /bin/sh tester
[ ! -d "$room$home/fleet" ] || inside 'make demo-down' >/dev/null 2>&1 || true
rm -rf "$room$home/fleet" "$room$home/.cache" "$room$home/.local"
git clone --quiet "$here" "$room$home/fleet"
chroot "$room" chown -R tester:tester "$home"
trap leave EXIT

echo "== make demo, with downloads"
inside 'make demo'

echo "== make demo again, everything downloaded: under 4 minutes"
inside 'make demo-down'
began=$(date +%s)
inside 'make demo' >/dev/null
took=$(($(date +%s) - began))
echo "took $took s"
[ "$took" -lt 240 ]

fleet() { inside "cd .demo && ../.venv/bin/fleet $1"; }
ask() { # the user's own question, by plain curl from outside
    (cd "$room$home/fleet/.demo" && sh -c "$(fleet "ask --curl '$1'" | sed '1s/^curl /curl -sS /')")
}

echo "== a question of one's own by plain curl"
answer=$(ask 'What is 2+2?')
echo "$answer"
echo "$answer" | grep -q '"content"'

echo "== both sidecars held down: a clear refusal within 3 s"
fleet 'sim fault mac-2 hold=sidecar --dir .' && fleet 'sim fault mac-3 hold=sidecar --dir .'
began=$(date +%s%N)
answer=$(ask 'What is 2+2?')
took_ms=$((($(date +%s%N) - began) / 1000000))
echo "$answer ($took_ms ms with curl's own start)"
echo "$answer" | grep -q '"error"'
[ "$took_ms" -lt 3000 ]

echo "== released: answered again"
fleet 'sim fault mac-2 --clear --dir .' && fleet 'sim fault mac-3 --clear --dir .'
for _ in $(seq 60); do
    if ask 'What is 2+2?' | grep -q '"content"'; then
        echo "answered"
        inside 'make demo-down'
        exit 0
    fi
    sleep 1
done
echo "not answered within a minute" >&2
exit 1
