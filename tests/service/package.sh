#!/usr/bin/env bash
# The package's own units under a user manager, where the package is installed: package.sh USER, as root in a mount namespace
# of its own, beside manager.sh. The socket is enabled, as docs/packages.md says, and whoever asks first starts the agent.
set -euo pipefail
user=$1
uid=$(id -u "$user") home=$(getent passwd "$user" | cut -d: -f6)
session() {
    setpriv --reuid "$uid" --regid "$uid" --clear-groups env -i PATH=/usr/bin:/bin HOME="$home" XDG_RUNTIME_DIR="/run/user/$uid" "$@"
}
coproc manager { bash "${0%/*}/manager.sh" "$uid" "$home" /usr/lib/systemd/user; }
process=$manager_PID
end() {
    eval "exec ${manager[1]}>&-" # the manager, and all that it started, end with it
    wait "$process"
}
trap end EXIT
read -r ready _ <&"${manager[0]}"
[[ $ready == ready ]]

session systemctl --user --quiet enable --now rotakey.socket
if session systemctl --user --quiet is-active rotakey.service; then
    echo "the agent runs before anybody asked" >&2
    exit 1
fi
said=$(session rotakey status 2>&1)
pid=$(session systemctl --user show --value --property MainPID rotakey.service)
if [[ $pid == 0 || $said != *"pid $pid"* ]]; then
    printf 'not the agent that the socket started (pid %s):\n%s\n' "$pid" "$said" >&2
    exit 1
fi
session systemctl --user --quiet disable --now rotakey.socket rotakey.service
echo "the first question started $(session systemctl --user show --value --property FragmentPath rotakey.service)"
