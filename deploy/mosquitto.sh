#!/bin/sh
# Mosquitto in a container: those who write its rights and the revocation list are in other containers and cannot signal
# it, so it is told from here. Arguments: the broker's command. Source: mosquitto(8), SIGHUP.
set -eu
watched="${WATCHED:?files to watch}"
stamps() {
    # shellcheck disable=SC2086 # several files
    stat -L -c '%i %Y %s' $watched 2>/dev/null || true
}
known=$(stamps)
"$@" &
broker=$!
trap 'kill -TERM "$broker" 2>/dev/null; wait "$broker"; exit 0' TERM INT
while kill -0 "$broker" 2>/dev/null; do
    sleep 1 &
    wait $! || true
    now=$(stamps)
    if [ "$now" != "$known" ]; then
        known=$now
        kill -HUP "$broker" 2>/dev/null || true
    fi
done
wait "$broker"
