#!/bin/sh
# SIGINT and SIGTERM finish the step, save, and exit with 130 and 143; the save can be resumed, and
# what was written is what an undisturbed run would have had.  Usage: signals.sh FAKE_TRAINER IRIS_CSV
set -eu
trainer=$1 data=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for pair in TERM:143 INT:130; do
    signal=${pair%:*} wanted=${pair#*:} status=0
    rm -f a.safetensors
    # A shell starts background jobs with SIGINT ignored; env gives the default back.
    env --default-signal=INT "$trainer" train --data "$data" --epochs 5000000 --quiet \
        --save a.safetensors 2>err & pid=$!
    sleep 0.3
    kill -s $signal $pid
    wait $pid || status=$?
    [ $status = $wanted ] || { echo "SIG$signal: status $status, not $wanted"; cat err; exit 1; }
    grep -q "stopped by SIG$signal" err
    step=$(sed -n 's/.*after step \([0-9]*\),.*/\1/p' err)
    "$trainer" train --data "$data" --epochs 5000000 --steps $((step + 3)) --resume \
        --save a.safetensors --quiet 2>/dev/null && { echo "--epochs with --steps went through"; exit 1; }
    "$trainer" train --data "$data" --steps $((step + 3)) --resume --save a.safetensors --quiet
done
echo "signals save and can be resumed"
