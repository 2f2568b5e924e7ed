#!/bin/sh
# Starts an image's command, checks it until the check succeeds, prints the result and stops the command.
# Usage: probe.sh KIND GRACE PAUSE LIMIT RETRIES PORT PORTS PATH HEALTH COMMAND [ARGUMENT...]
# KIND is health (HEALTH succeeds), http (PATH answers with 2xx or 3xx on one of PORTS), port (one of PORTS accepts
# connections) or up (the command runs for GRACE seconds, or ends with 0). PORT is for the variable of that name, or empty.
kind=$1 grace=$2 pause=$3 limit=$4 retries=$5 given=$6 ports=$7 path=$8 health=$9
shift 9
[ -z "$given" ] || export PORT="$given"
if [ "$kind" != http ]; then
  ask() { :; }
elif command -v curl >/dev/null 2>&1; then
  ask() { curl -sS -o /dev/null -w '%{http_code}' --noproxy '*' -m 5 "http://127.0.0.1:$1$path"; }
elif command -v wget >/dev/null 2>&1; then
  ask() { wget -S -O /dev/null -T 5 --no-proxy "http://127.0.0.1:$1$path" 2>&1 |
    sed -n 's#^ *HTTP/[0-9.]* \([0-9][0-9][0-9]\).*#\1#p' | tail -n 1; }
elif command -v ruby >/dev/null 2>&1; then
  ask() { ruby -rnet/http -e 'print Net::HTTP.start("127.0.0.1", ARGV[0].to_i, nil) { |h|
    h.open_timeout = h.read_timeout = 5; h.get(ARGV[1]).code }' "$1" "$path"; }
elif command -v python3 >/dev/null 2>&1; then
  ask() { python3 -c 'import http.client, sys
c = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=5)
c.request("GET", sys.argv[2]); print(c.getresponse().status, end="")' "$1" "$path"; }
else
  echo "the image has no curl, wget, ruby or python3 to send a request with" >&2
  exit 97
fi

# Prints each listening TCP socket as "PORT INODE".
listening() {
  for table in /proc/net/tcp /proc/net/tcp6; do
    [ -r "$table" ] || continue
    while read -r _ address _ state _ _ _ _ _ inode _; do
      [ "$state" != 0A ] || echo "$((0x${address##*:})) $inode"
    done <"$table"
  done
}
# Prints the first of the expected ports that is in a list of sockets.
open_port() {
  for port in $ports; do
    case "
$1" in *"
$port "*)
      echo "$port"
      return
      ;;
    esac
  done
}
# Prints the ports of the container's own processes; with the host's network, other processes listen too.
own_ports() {
  seen=
  files=$(ls -l /proc/[0-9]*/fd 2>/dev/null)
  echo "$1" | while read -r found inode; do
    case $files in *"socket:[$inode]"*) ;; *) continue ;; esac
    case " $seen " in *" $found "*) ;; *) printf '%s ' "$found" ;; esac
    seen="$seen $found"
  done
}
seconds_now() {
  read -r uptime _ </proc/uptime
  echo "${uptime%.*}"
}
run_health() {
  (eval "exec $health") >&2 &
  check=$!
  tenths=0
  while kill -0 "$check" 2>/dev/null; do
    if [ "$tenths" -ge $((limit * 10)) ]; then
      kill -9 "$check" 2>/dev/null
      wait "$check" 2>/dev/null
      last="the health check did not end within $limit s"
      return 1
    fi
    tenths=$((tenths + 1))
    sleep 0.1
  done
  wait "$check"
  code=$?
  last="the health check exited with $code"
  return "$code"
}
# Whether the server does what it must; sets `result`, or `last` to why not.
good() {
  case $kind in
    health) run_health && result=healthy ;;
    up) [ $(($(seconds_now) - begin)) -ge "$grace" ] && result="still running after $grace s" ;;
    *)
      now=$(listening)
      open=$(open_port "$now")
      if [ -z "$open" ]; then
        last="nothing listens on port $ports"
        elsewhere=$(own_ports "$now")
        return 1
      fi
      elsewhere=
      result="accepts connections"
      [ "$kind" = http ] || return 0
      result=$(ask "$open" 2>/dev/null) || result=
      last="the last answer was ${result:-none}"
      case $result in 2??|3??) return 0 ;; *) return 1 ;; esac
      ;;
  esac
}

taken=$(open_port "$(listening)")
[ -z "$taken" ] || { echo "port $taken answers before the server is started" >&2; exit 96; }
"$@" >&2 &
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
begin=$(seconds_now)
failures=0 elsewhere='' since='' last=''
while :; do
  if ! kill -0 "$server" 2>/dev/null; then
    wait "$server"
    code=$?
    if [ "$kind" = up ] && [ "$code" = 0 ]; then
      printf 'exited with 0'
      exit 0
    fi
    echo "the server exited with $code" >&2
    exit 98
  fi
  if good; then
    printf '%s' "$result"
    exit 0
  fi
  seconds=$(($(seconds_now) - begin))
  # A server on another port will not come to this one; a short wait, as some open a port for themselves first.
  if [ -n "$elsewhere" ]; then
    : "${since:=$seconds}"
    if [ $((seconds - since)) -ge 3 ]; then
      echo "$last, but the server listens on port ${elsewhere% }" >&2
      exit 95
    fi
  fi
  if [ "$kind" != up ] && [ "$seconds" -ge "$grace" ]; then
    failures=$((failures + 1))
    if [ "$failures" -ge "$retries" ]; then
      echo "no successful check within $seconds s: $last" >&2
      exit 99
    fi
    sleep "$pause"
  else
    sleep 0.2
  fi
done
