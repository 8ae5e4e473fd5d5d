#!/bin/sh
# Start a house that publishes trades by itself (edge_test_fixture) and let every foreign client talk to it. Usage: run.sh FIXTURE
set -eu
here=$(CDPATH= cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
mkfifo "$work/in"
"$1" 0 5000 <"$work/in" >"$work/out" &
house=$!
exec 3>"$work/in" # the house ends when this end is closed
trap 'exec 3>&-; wait "$house" || true; rm -rf "$work"' EXIT
tries=0
until grep -q listening "$work/out"; do
    tries=$((tries + 1))
    [ "$tries" -lt 200 ] || { echo "the house does not start" >&2; exit 1; }
    sleep 0.1
done
url="http://$(sed -n 's/^listening //p' "$work/out")"
status=0
/usr/bin/python3 "$here/python_client.py" "$url" || status=1
node "$here/node_client.mjs" "$url" || status=1
node "$here/browser_client.mjs" "$url" || status=1
exit "$status"
