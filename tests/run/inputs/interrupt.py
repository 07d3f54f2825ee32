"""Trains to stopped.safetensors and interrupts with the signal named, once the log says that it runs.

Further arguments are the trainer's."""
import os
import signal
import subprocess
import sys
import time

command = ["./trainer", "train", "--epochs", "300", "--threads", "1", "--save", "stopped.safetensors", "--log", "log.jsonl"]
resume = ["--resume"] if os.path.exists("stopped.safetensors") else []
if os.path.exists("log.jsonl"):
    os.remove("log.jsonl")
trainer = subprocess.Popen(command + sys.argv[2:] + resume, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
while trainer.poll() is None and not (os.path.exists("log.jsonl") and os.path.getsize("log.jsonl")):
    time.sleep(0.001)
trainer.send_signal(getattr(signal, "SIG" + sys.argv[1]))
output, _ = trainer.communicate(timeout=60)
print(output)
assert os.path.exists("stopped.safetensors"), "nothing saved"
