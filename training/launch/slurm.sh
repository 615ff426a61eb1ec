#!/bin/bash
# Trains on four machines under Slurm, one process on each.
# Checked for syntax and with stand-ins; not run on a cluster.
#
#   sbatch training/launch/slurm.sh    # from the root of the clone
#
#SBATCH --job-name=nonlocal
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --output=nonlocal-%j.log
#SBATCH --open-mode=append
#SBATCH --requeue
# To the processes that srun started, 300 s before the time is over. With B: it
# would reach this script alone.
#SBATCH --signal=TERM@300
set -u
RUN=${RUN:-/shared/runs/k400_i3d_nl5_r50_32x2}
RESTARTS_AFTER_FAILURES=20
# . .venv/bin/activate    # or the modules of your cluster

# Another one for each job, for machines that are shared.
PORT=$((20000 + SLURM_JOB_ID % 10000))
hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
export PORT hosts
# What else reaches this script, such as a pre-emption, goes to them too.
trap 'scancel --signal=TERM "$SLURM_JOB_ID"' TERM

# Each process has its machine's number; what follows the script is its command.
# shellcheck disable=SC2016
srun --kill-on-bad-exit=1 bash -c '
  # TF_CONFIG: begin
  names=$(echo "$hosts" | sed "s/.*/\"&:$PORT\"/" | paste -sd, -)
  task="{\"type\": \"worker\", \"index\": $SLURM_NODEID}"
  export TF_CONFIG="{\"cluster\": {\"worker\": [$names]}, \"task\": $task}"
  # TF_CONFIG: end
  exec "$@"' bash \
  nonlocal-tf train --recipe k400_i3d_nl5_r50_32x2 \
  --workdir "$RUN" \
  --set data.root=/shared/kinetics400 \
  --set data.train=/shared/kinetics400/train.csv \
  --set data.validation=/shared/kinetics400/val.csv \
  --set model.weights=/shared/r50_pretrain_c2.pkl &
step=$!
code=
while [ -z "$code" ] || kill -0 "$step" 2>/dev/null; do
  wait "$step" # which a signal ends before srun does
  code=$?
done

# A process that was stopped saves and exits with 0, as one that is done.
for _ in $(seq "${SEEN_AFTER_SECONDS:-60}"); do
  [ -e "$RUN/result.json" ] && exit 0
  sleep 1
done
restarts=${SLURM_RESTART_COUNT:-0}
if [ "$code" -eq 0 ] || [ "$restarts" -lt "$RESTARTS_AFTER_FAILURES" ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
