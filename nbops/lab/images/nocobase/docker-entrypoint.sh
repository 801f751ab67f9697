#!/bin/sh
# Starts NocoBase as the official image does. yarn ends at once on SIGTERM and would leave
# the app to be killed with the container, so the signal goes to pm2, which stops the app.
stop() {
    stopping=1
    kill -TERM "$(cat "$HOME/.nocobase/pm2/pm2.pid" 2>/dev/null || echo "$app")"
}
trap stop TERM INT
cd /app/nocobase || exit 1
yarn start --quickstart &
app=$!
wait "$app"
status=$?
if [ -n "${stopping:-}" ]; then
    wait "$app"
    status=$?
fi
exit "$status"
