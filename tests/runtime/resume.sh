#!/bin/sh
# kill -9 in the middle, again and again, then --resume: the files end equal to those of a run that
# nobody disturbed.  Usage: resume.sh FAKE_TRAINER IRIS_CSV
set -eu
trainer=$1 data=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
common="train --data $data --epochs 6000 --save-every 40steps --quiet --threads 1"
"$trainer" $common --save whole.safetensors
for attempt in 1 2 3 4 5; do
    resume=$([ -e torn.safetensors ] && echo --resume || true)
    "$trainer" $common --save torn.safetensors $resume & pid=$!
    sleep 0.0$((attempt * 2))
    kill -9 $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
done
killed=$([ -e torn.safetensors ] && echo yes || echo no)
"$trainer" $common --save torn.safetensors $([ $killed = yes ] && echo --resume)
cmp whole.safetensors torn.safetensors
cmp whole.best.safetensors torn.best.safetensors
echo "equal after kill -9 and --resume (a checkpoint was there: $killed)"
