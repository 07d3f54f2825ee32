# Trains to torn.safetensors, killed four times on the way.
for delay in 0.02 0.05 0.05 0.05; do
    resume=$([ -e torn.safetensors ] && echo --resume)
    ./trainer train --epochs 40 --threads 1 --quiet --save-every 5steps --save torn.safetensors $resume & pid=$!
    sleep $delay
    kill -9 $pid 2>/dev/null || true
    wait $pid 2>/dev/null
done
resume=$([ -e torn.safetensors ] && echo --resume)
./trainer train --epochs 40 --threads 1 --quiet --save-every 5steps --save torn.safetensors $resume
