#!/usr/bin/env bash
# A systemd user manager of its own, for one test: manager.sh UID HOME [FOLDER with more units]. Run by
#     unshare --mount bash manager.sh ...
# as root. It sees a /run of its own, in which systemd seems to have booted, and a cgroup of its own. It says "ready" when the
# manager is up, and ends the manager, and whatever that started, when its standard input ends.
set -euo pipefail
uid=$1 home=$2
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -p /run/systemd/system "/run/user/$uid"
chown "$uid" "/run/user/$uid"
chmod 700 "/run/user/$uid"
mount -t cgroup2 cgroup2 /sys/fs/cgroup
group=/sys/fs/cgroup/rotakey-test-$$
mkdir "$group" "$group/manager"
chown -R "$uid" "$group"

end() {
    # The kernel kills all that is in the group, and only that.
    echo 1 >"$group/cgroup.kill"
    for _ in $(seq 100); do
        if find "$group" -depth -type d -exec rmdir {} + 2>/dev/null; then break; fi
        sleep 0.05
    done
}
trap end EXIT

as_user() {
    setpriv --reuid "$uid" --regid "$uid" --clear-groups --inh-caps=-all --bounding-set=-all \
        env -i PATH=/usr/bin:/bin HOME="$home" XDG_RUNTIME_DIR="/run/user/$uid" "$@"
}

# No units of this machine's but those that a session is made of.
mkdir -p /run/units
for unit in basic.target default.target sockets.target timers.target paths.target shutdown.target exit.target \
    systemd-exit.service app.slice session.slice; do
    cp "/usr/lib/systemd/user/$unit" /run/units/
done
(
    echo "$BASHPID" >"$group/manager/cgroup.procs"
    exec setpriv --reuid "$uid" --regid "$uid" --clear-groups --inh-caps=-all --bounding-set=-all \
        env -i PATH=/usr/bin:/bin HOME="$home" XDG_RUNTIME_DIR="/run/user/$uid" \
        SYSTEMD_UNIT_PATH="$home/.config/systemd/user.control:$home/.config/systemd/user:/run/units${3:+:$3}" \
        /usr/lib/systemd/systemd --user --log-target=console --log-level="${LOG_LEVEL:-notice}"
) </dev/null >"$home/manager.log" 2>&1 &
disown

for _ in $(seq 200); do
    if state=$(as_user systemctl --user is-system-running 2>/dev/null) || [[ $state == degraded ]]; then
        echo "ready $$"
        cat >/dev/null
        exit 0
    fi
    sleep 0.05
done
echo "no user manager: $(tail -n 20 "$home/manager.log")" >&2
exit 1
