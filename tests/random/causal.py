"""Random language models whose positions read no later ones: what generate() gives a position at a time is
what predict() gives for the whole sequence; where there is no last position, also far beyond the context.

    causal.py STEM [COUNT [FIRST SEED]]       needs gradc and cc in PATH, std/harness.py in PYTHONPATH
"""

import os
import random
import sys

import numpy as np

from harness import PARAM, build, close

# From the tensor I[T, D] to O[T, D]; K tells blocks apart, H is D / 2.
BLOCKS = [
    "O = I + lstm(I, D)",
    "O = I + gru(I, D)",
    "O = I + rnn(I, D)",
    "O = I |> transformer_encoder_block(2, causal = true, norm_first = true, rate = 0.2)",
    "O = I |> transformer_encoder_block(2, causal = true, positions = rotary, activation = gelu)",
    "O = I + multi_head_attention(I, 2, kv_heads = 1, causal = true)",
    "O = I + multi_head_attention(I, 2, causal = true, positions = alibi)",
    "O = I |> layer_norm |> dense(D) |> tanh",
    "O = I |> rms_norm",
    "O = I |> batch_norm",
    "O = I * sigmoid(dense(I, D))",
    "O = I + mixture_of_experts(I, 4, 6)",
    # Windows of the past.
    """param wK[D, D, 3] ~ normal(0, 0.3)
  O[t: T, f: D] = I[t, f] + sum[u, c] wK[f, c, u] * (I[t - u, c] else 0)""",
    """param wK[D, D, 2] ~ normal(0, 0.3)
  O[t: T, f: D] = tanh(sum[u, c] wK[f, c, u] * (I[t + 3 * u - 3, c] else 0.5))""",
    "O[t: T, c: D] = tanh(I[t, c]) * (I[t - 1, c] else 1)",
    "O[t: T, c: D] = I[t, c] - (I[t - 2, c] else I[t, c])",
    "O[t: T, c: D] = I[t, c] + (if t > 3 then I[t - 4, c] else 0.25)",
    # All of the past.
    "O[t: T, f: D] = I[t, f] + sum[s: T] (if s <= t then I[s, f] else 0) / (t + 1)",
    """cK[t: T, f: D] = sum[s: T] (if s < t then I[s, f] else 0)
  O[t, f] = tanh(cK[t, f] / 3) + I[t, f]""",
    "O[t: T, f: D] = max[s: T] (if s <= t then I[s, f] else 0.1)",
    "O[t: T, c: D] = sum[s: T] (if s <= t then 0.5^(t - s) * I[s, c] else 0)",
    """sK[t: T, s: T] = sum[c] I[t, c] * I[s, c]
  eK[t, s] = if t - 4 <= s and s <= t then exp(tanh(sK[t, s])) else 0
  O[t, c] = sum[s] eK[t, s] * I[s, c] / sum[s] eK[t, s]""",
    # Carries, tables of the position, data as subscripts, positions in the middle.
    """scan t: T with aK[D] = 0, bK = 1 {
    bK <- 0.9 * bK + I[t, 0]
    aK[f: D] <- tanh(I[t, f] + 0.5 * aK[f] + 0.1 * bK)
  }
  O = aK over t""",
    """qK = dense(I, 4)
  vK = dense(I, D)
  scan t: T with mK[4, D] = 0 {
    mK[a, b] <- 0.8 * mK[a, b] + 0.3 * qK[t, a] * vK[t, b]
    rK[b] = sum[a] qK[t, a] * mK[a, b]
  }
  O = tanh(rK over t)""",
    "O[t: T, c: D] = I[t, c] * cos(t / 4 + c)",
    """gK[t] = argmax[c] I[t, c]
  param tabK[D, D] ~ normal(0, 0.5)
  O[t, c] = I[t, c] + tabK[gK[t], c]""",
    """pK[g: 2, t: T, c: H] = I[t, H * g + c]
  O[t: T, c: D] = pK[c / H, t, c % H] + I[t, c]""",
]


def fill(text, values):
    for name, value in values.items():
        text = "".join(str(value) if c == name else c for c in text)
    return text


def model(name, seed, stretch=1):
    """The text, its length and its number of tokens; `stretch` makes the same with a longer context."""
    pick = random.Random(seed)
    length, width, tokens = pick.choice([5, 8, 16, 17]) * stretch, pick.choice([4, 8, 16]), pick.choice([4, 8, 11, 17])
    lines, count = [], pick.randint(1, 5)
    for k in range(1, count + 1):
        text = fill(pick.choice(BLOCKS), {"D": width, "T": length, "H": width // 2, "K": k})
        lines.append("  " + text.replace("I", f"h{k - 1}").replace("O", f"h{k}"))
    body = "\n".join(lines)
    return f"""model {name} {{
  input x[{length}] : token({tokens})
  h0 = embedding(x, {tokens}, {width})
{body}
  logits = dense(h{count}, {tokens})
  output logits
  generate x from logits
}}
""", length, tokens


def compare(what, whole, one, sequence):
    want = whole.predict(x=[sequence])["logits"][0]
    one.spoil_workspace()
    close(what, [one.generate(t, token) for t, token in enumerate(sequence)], want, 1e-4)


def check(stem, seed):
    text, length, tokens = model(f"causal{seed}", seed)
    made = build(text, stem)
    a, numbers = made.instance(), np.random.default_rng(seed)
    for name in a.names(PARAM):
        a[name][:] = numbers.normal(0, 0.4, a[name].shape)
    compare(f"seed {seed}", a, a, numbers.integers(0, tokens, length))
    if made.d.endless:
        text, length, tokens = model(f"longer{seed}", seed, 3)
        longer = build(text, stem).instance()
        for name in a.names(PARAM):
            longer[name][:] = a[name]
        compare(f"seed {seed}, beyond its context", longer, a, numbers.integers(0, tokens, length))


if __name__ == "__main__":
    wanted = int(sys.argv[2]) if len(sys.argv) > 2 else int(os.environ.get("GRADC_RANDOM", 12))
    first = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    for seed in range(first, first + wanted):
        check(sys.argv[1], seed)
