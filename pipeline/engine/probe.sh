#!/bin/sh
# Starts a server, requests a path until it answers with 2xx or 3xx, prints the status and stops the server.
# Usage: probe.sh PORT PATH SECONDS COMMAND [ARGUMENT...]
# Uses the HTTP client that the image has.
port=$1 path=$2 limit=$3
shift 3
if command -v curl >/dev/null 2>&1; then
  ask() { curl -sS -o /dev/null -w '%{http_code}' --noproxy '*' -m 5 "http://127.0.0.1:$port$path"; }
elif command -v wget >/dev/null 2>&1; then
  ask() { wget -S -O /dev/null -T 5 --no-proxy "http://127.0.0.1:$port$path" 2>&1 |
    sed -n 's#^ *HTTP/[0-9.]* \([0-9][0-9][0-9]\).*#\1#p' | tail -n 1; }
elif command -v ruby >/dev/null 2>&1; then
  ask() { ruby -rnet/http -e 'print Net::HTTP.start("127.0.0.1", ARGV[0].to_i, nil) { |h|
    h.open_timeout = h.read_timeout = 5; h.get(ARGV[1]).code }' "$port" "$path"; }
elif command -v python3 >/dev/null 2>&1; then
  ask() { python3 -c 'import http.client, sys
c = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=5)
c.request("GET", sys.argv[2]); print(c.getresponse().status, end="")' "$port" "$path"; }
else
  echo "the image has no curl, wget, ruby or python3 to send a request with" >&2
  exit 97
fi
code=$(ask 2>/dev/null) || code=
case ${code:-000} in 000) ;; *) echo "port $port answers before the server is started" >&2; exit 96 ;; esac
PORT=$port "$@" >&2 &
server=$!
stop() {
  kill "$server" 2>/dev/null
  tries=0
  while kill -0 "$server" 2>/dev/null && [ "$tries" -lt 50 ]; do
    tries=$((tries + 1))
    sleep 0.1
  done
  kill -9 "$server" 2>/dev/null
  wait "$server" 2>/dev/null
}
trap stop EXIT
begin=$(date +%s)
while :; do
  kill -0 "$server" 2>/dev/null || { wait "$server"; echo "the server exited with $?" >&2; exit 98; }
  code=$(ask 2>/dev/null) || code=
  case $code in 2??|3??) printf '%s' "$code"; exit 0 ;; esac
  if [ $(($(date +%s) - begin)) -ge "$limit" ]; then
    echo "no successful response within $limit s; last status: ${code:-none}" >&2
    exit 99
  fi
  sleep 0.1
done
