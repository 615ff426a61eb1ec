#!/bin/bash
# Runs the training command of one machine and says by its exit code whether the
# run is done. Checked for syntax and with stand-ins; not run on a cluster.
#
#   bash training/launch/worker.sh RUN_FOLDER COMMAND...
#
# SIGTERM goes on to the command, which saves and exits with 0, as it also does
# when it is done. A manager that starts what failed needs to tell the two
# apart: only a run that is done has a result.json, and else 0 becomes 75.
set -u
run=$1
shift

# Before the command starts: SIGTERM may come at any moment.
command= asked=
trap 'asked=1; [ -z "$command" ] || kill -TERM "$command" 2>/dev/null' TERM
"$@" &
command=$!
[ -z "$asked" ] || kill -TERM "$command" 2>/dev/null
code=
while [ -z "$code" ] || kill -0 "$command" 2>/dev/null; do
  wait "$command" # which a signal ends before the command does
  code=$?
done
[ "$code" -eq 0 ] || exit "$code"

# What another machine wrote can take a minute to be seen here (NFS).
for _ in $(seq "${SEEN_AFTER_SECONDS:-60}"); do
  [ -e "$run/result.json" ] && exit 0
  sleep 1
done
exit 75
