#!/bin/sh
# Mosquitto in a container: those who write its rights and the revocation list are in other containers and cannot signal
# it, so it is told from here. A signal that comes while it reads is lost: who wrote sees that, and writes again. Arguments: the broker's command. Source: mosquitto(8), SIGHUP.
set -eu
watched="${WATCHED:?files to watch}"
stamps() {
    # shellcheck disable=SC2086 # several files
    stat -L -c '%i %Y %s' $watched 2>/dev/null || true
}
# The signal ends a broker that does not handle it yet; proc_pid_status(5), the last bit of `SigCgt`.
listens() {
    case $(sed -n 's/^SigCgt:.*\(.\)$/\1/p' "/proc/$broker/status" 2>/dev/null) in
        [13579bdf]) true ;;
        *) false ;;
    esac
}
known=$(stamps)
"$@" &
broker=$!
trap 'kill -TERM "$broker" 2>/dev/null; wait "$broker"; exit 0' TERM INT
while kill -0 "$broker" 2>/dev/null; do
    sleep 1 &
    wait $! || true
    now=$(stamps)
    if [ "$now" != "$known" ] && listens; then
        known=$now
        kill -HUP "$broker" 2>/dev/null || true
    fi
done
wait "$broker"
