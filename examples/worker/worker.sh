#!/bin/sh
# Does a piece of work every few seconds until it is told to stop.
trap 'echo "stopped"; exit 0' TERM INT
while true; do
  date +'%T did a piece of work'
  sleep 3 &
  wait $!
done
