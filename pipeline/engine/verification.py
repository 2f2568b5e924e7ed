"""Runs a published image: what was pulled by its digest must answer, or it is not fit to be deployed."""

from __future__ import annotations

import secrets

import dagger
from dagger import dag

from pipeline.engine.builder import EngineAccess
from pipeline.engine.failures import pull_error
from pipeline.rules.errors import UsageError, VerificationError
from pipeline.rules.image_name import DIGEST, ImageName
from pipeline.rules.runtime_checks import Expectation, Verified
from pipeline.rules.text import last_lines, quoted

# Starts the image's own command, asks for the path until it answers, and stops what it started. $1 is the port,
# $2 the path, $3 the seconds to wait; the command follows. The client is whichever the image has.
_PROBE = r"""
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
  echo "the image has no curl, wget, ruby or python3 to ask with" >&2
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
  kill -0 "$server" 2>/dev/null || { wait "$server"; echo "the server ended by itself with $?" >&2; exit 98; }
  code=$(ask 2>/dev/null) || code=
  case $code in 2??|3??) printf '%s' "$code"; exit 0 ;; esac
  if [ $(($(date +%s) - begin)) -ge "$limit" ]; then
    echo "no good answer in $limit s, the last was ${code:-none}" >&2
    exit 99
  fi
  sleep 0.1
done
"""


async def verify_image(image: ImageName, digest: str, access: EngineAccess, expectation: Expectation) -> Verified:
    """Pull an image by digest, run a command in it, start its server and ask it.

    Args:
        image: The image.
        digest: Which one, as `sha256:` and 64 hex digits.
        access: How the engine reaches the registry.
        expectation: What it must do.

    Raises:
        UsageError: The digest is not one.
        RegistryError: The image could not be pulled.
        VerificationError: It does not do what it must.
    """
    if DIGEST.fullmatch(digest) is None:
        msg = f"{quoted(digest)} is not a digest."
        raise UsageError(msg, hint="Give sha256: and 64 hex digits, as build-and-push prints it.")
    reference = image.at(digest)
    container = access.signed_in(dag.container(), image).from_(reference, registry_service=access.service)
    # An engine keeps the results of commands; one that only looks like an answer of today would be none.
    container = container.with_env_variable("VERIFICATION", secrets.token_hex(8))
    try:
        entrypoint = await container.entrypoint()
        arguments = await container.default_args()
    except dagger.DaggerError as error:
        raise pull_error(error, image, reference) from error
    output = await _run(container, list(expectation.command), reference)
    probe = ["sh", "-c", _PROBE, "probe", str(expectation.port), expectation.path, str(expectation.seconds)]
    status = await _run(container, [*probe, *entrypoint, *arguments], f"{expectation.path} of {reference}")
    return Verified(reference=reference, output=output.strip(), status=status.strip())


async def _run(container: dagger.Container, command: list[str], what: str) -> str:
    try:
        return await container.with_exec(command).stdout()
    except dagger.ExecError as error:
        output = last_lines(error.stderr) or last_lines(error.stdout)
        shown_command = " ".join(command[:2] if command[0] == "sh" else command)
        msg = f"{what} does not pass: `{shown_command}` exited with {error.exit_code}: {output or 'no output'}"
        raise VerificationError(msg, hint="It is published, but do not deploy it.") from error
    except dagger.DaggerError as error:
        msg = f"{what} could not be run: {error}"
        raise VerificationError(msg) from error
