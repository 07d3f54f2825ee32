"""The library in random programs: one row a definition, by the rank of what it takes."""
from math import ceil


def windows(extent, reach, stride, pad):
    if pad == "same":
        return ceil(extent / stride)
    return (extent + 2 * (0 if pad == "valid" else pad) - reach) // stride + 1


def window(r, extents, dilations=(1, 1, 2)):
    """kernel, stride, pad and dilation, and how many windows lie along each of the extents; None where there are none."""
    kernel, stride, pad, dilation = r.choice([1, 2, 3]), r.choice([1, 1, 2, 3]), r.choice(["same", "valid", 1]), r.choice(dilations)
    counts = [windows(e, dilation * (kernel - 1) + 1, stride, pad) for e in extents]
    text = f"kernel = {kernel}, stride = {stride}, pad = {pad}" + (f", dilation = {dilation}" if dilations != (1,) else "")
    return (text, counts, kernel) if min(counts) >= 1 and (pad != 1 or kernel > 1) else None


def groups(r, channels):
    return r.choice([g for g in (1, 2, 3) if channels % g == 0])


# ---- each gives (call, shape of the result) or None ----------------------------------------------------

def conv(r, x, s):
    w = window(r, s[:-1])
    if not w:
        return None
    g = groups(r, s[-1])
    filters = g * r.choice([1, 2, 3])
    name = f"conv{len(s) - 1}d"
    bias = r.choice(["", ", use_bias = false"])
    return f"{x} |> {name}({filters}, {w[0]}, groups = {g}{bias}) |> tanh", (*w[1], filters)


def conv_transpose(r, x, s):
    kernel, stride, dilation = r.choice([1, 2, 3]), r.choice([1, 2, 3]), r.choice([1, 1, 2])
    places = [(e - 1) * stride + dilation * (kernel - 1) + 1 for e in s[:-1]]
    g = groups(r, s[-1])
    filters = g * r.choice([1, 2])
    if max(places) > 20:
        return None
    return (f"{x} |> conv_transpose{len(s) - 1}d({filters}, kernel = {kernel}, stride = {stride}, dilation = {dilation}, "
            f"groups = {g}) |> tanh"), (*places, filters)


def depthwise(r, x, s):
    w = window(r, s[:-1])
    if not w:
        return None
    m = r.choice([1, 2])
    if r.random() < 0.5:
        return f"{x} |> depthwise_conv2d({w[0]}, multiplier = {m}) |> tanh", (*w[1], s[-1] * m)
    return f"{x} |> separable_conv2d(3, {w[0]}) |> tanh", (*w[1], 3)


def pool(r, x, s):
    kind = r.choice(["max", "max", "avg", "lp"])
    w = window(r, s[:-1], (1,))
    if not w:
        return None
    text = w[0]
    if kind == "lp":
        if "pad = valid" not in text:
            return None
        x, text = f"({x} + 2)", text.replace(", pad = valid", "")
    return f"{x} |> {kind}_pool{len(s) - 1}d({text}) |> tanh", (*w[1], s[-1])


def global_pool(r, x, s):
    return f"{x} |> global_{r.choice(['max', 'avg'])}_pool{len(s) - 1}d", s[-1:]


def adaptive_pool(r, x, s):
    counts = [r.choice([1, 2, 3]) for _ in s[:-1]]
    return f"{x} |> adaptive_{r.choice(['max', 'avg'])}_pool{len(s) - 1}d({', '.join(map(str, counts))})", (*counts, s[-1])


def resize(r, x, s):
    counts = [r.choice([1, 2, 3, 5]) for _ in s[:-1]]
    options = r.choice(["", ", mode = bilinear", ", mode = bilinear, align_corners = true"])
    return f"{x} |> resize({counts[0]}, {counts[1]}{options})", (*counts, s[-1])


def pad(r, x, s):
    if len(s) == 2:
        a, b = r.choice([(0, 1), (1, 1), (2, 0)])
        mode = r.choice(["constant", "replicate", "circular"] + ["reflect"] * (s[0] > 2))
        return f"{x} |> pad1d({a}, {b}, mode = {mode})", (a + s[0] + b, s[1])
    mode = r.choice(["constant", "replicate", "circular"] + ["reflect"] * (min(s[:2]) > 1))
    return f"{x} |> pad2d(1, mode = {mode})", (s[0] + 2, s[1] + 2, s[2])


def shuffle(r, x, s):
    name = r.choice(["pixel_shuffle", "depth_to_space"])
    if s[-1] % 4 == 0:
        return f"{x} |> {name}(2)", (s[0] * 2, s[1] * 2, s[2] // 4)
    if s[0] % 2 == 0 and s[1] % 2 == 0:
        return f"{x} |> {r.choice(['pixel_unshuffle', 'space_to_depth'])}(2)", (s[0] // 2, s[1] // 2, s[2] * 4)
    return None


def image_block(r, x, s):
    if min(s) < 2:
        return None
    name = r.choice(["residual_block({f})", "squeeze_excite(reduction = 2)", "bottleneck_block({f})"])
    f = r.choice([4, 8]) if "bottleneck" in name else s[-1]
    return f"{x} |> {name.replace('{f}', str(f))} |> tanh", s[:-1] + ((f if "{f}" in name else s[-1]),)


def norm(r, x, s):
    names = ["layer_norm(eps = 0.1)", "rms_norm(eps = 0.1)", "unit_length(eps = 0.1)"]
    names += ["batch_norm(eps = 0.1)"] + ["instance_norm(eps = 0.1, affine = true)", "local_response_norm(window = 3)"] * (len(s) > 1)
    names += [f"group_norm({groups(r, s[-1])}, eps = 0.1)"]
    return f"{x} |> {r.choice(names)}", s


def dense(r, x, s):
    units = r.choice([1, 2, 3, 5])
    name = r.choice(["dense({})", "dense({}, use_bias = false)", "swiglu(3, units = {})"])
    return f"{x} |> {name.replace('{}', str(units))} |> tanh", s[:-1] + (units,)


def experts(r, x, s):
    return f"{x} |> mixture_of_experts(3, 2, top = {r.choice([1, 2])}) |> tanh", s


def along(r, x, s):
    n = s[-1]
    found = [("softmax", n), ("log_softmax |> tanh", n), ("softmin", n), ("cumsum |> tanh", n), ("cumsum(reverse = true) |> tanh", n),
             ("cumprod |> tanh", n), ("flip", n), (f"roll({r.choice([1, 2, -1])})", n), (f"largest({r.randint(1, n)})", r"k"),
             ("logsumexp", 0), ("vector_norm |> tanh", 0), ("gumbel_softmax", n)]
    if n > 1:
        found += [("variance |> tanh", 0)]
    if n % 2 == 0:
        found += [("glu", n // 2)]
    if len(s) > 1:
        found += [("tril", n), ("triu(diagonal = 1)", n)]
        if n % 2 == 0:
            found += [("rotary", n), ("rotary(interleaved = true)", n), ("sinusoidal_positions", n)]
    text, last = r.choice(found)
    if last == "k":
        last = int(text[8:-1])
    return f"{x} |> {text}", s[:-1] + ((last,) if last else ())


def elementwise(r, x, s):
    found = ["relu6", "hardtanh", "hardsigmoid", "hardswish", "selu |> tanh", "celu(alpha = 0.7)", "logsigmoid", "hardshrink(0.3)",
             "softshrink(0.2)", "tanhshrink", "softsign", "threshold(0.2, -0.3)", "mish", "silu", "gelu(approximate = tanh)",
             "clip(-0.4, 0.6)"]
    return f"{x} |> {r.choice(found)}", s


def noise(r, x, s):
    found = ["dropout(0.3)"] + ["spatial_dropout(0.3)"] * (len(s) > 0) + ["drop_path(0.3)", "alpha_dropout(0.2) |> tanh", "rrelu"]
    return f"{x} |> {r.choice(found)}", s


def prelu(r, x, s):
    return f"{x} |> prelu{r.choice(['', '(shared = true)'])}", s


def recurrent(r, x, s):
    units, kind = r.choice([1, 2, 3]), r.choice(["rnn", "lstm", "gru"])
    last, both = r.random() < 0.4, r.random() < 0.3
    options = ", bidirectional = true" if both else r.choice(["", ", reverse = true"])
    options += ", layers = 2" if r.random() < 0.2 else ""
    options += f", length = {r.randint(0, s[0])}" if r.random() < 0.2 else ""
    options += ", reset_after = false" if kind == "gru" and r.random() < 0.5 else ""
    width = units * (1 + both)
    return f"{x} |> {kind}({units}{options}{', steps = last' if last else ''})", ((width,) if last else (s[0], width))


def attention(r, x, s):
    heads = r.choice([h for h in (1, 2, 4) if s[1] % h == 0])
    options = r.choice(["", ", causal = true"])
    if s[1] // heads % 2 == 0:
        options += r.choice(["", ", positions = rotary"])
    if heads > 1:
        options += r.choice(["", ", kv_heads = 1"])
    if r.random() < 0.5:
        return f"{x} |> multi_head_attention({heads}{options}) |> tanh", s
    norm_first = r.choice(["", ", norm_first = true"])
    name = r.choice(["transformer_encoder_block({h}, hidden = 3{o})", "transformer_decoder_block({x}, {h}, hidden = 3)"])
    return f"{x} |> {name.replace('{h}', str(heads)).replace('{o}', options + norm_first).replace('{x}', x)} |> tanh", s


# rank: rows; what keeps the batch's examples apart, and what draws or holds a recurrence, is marked by its name.
ROWS = {
    0: [elementwise, elementwise, noise],
    1: [dense, dense, along, along, norm, elementwise, noise, prelu, experts],
    2: [dense, dense, along, along, norm, elementwise, noise, prelu, conv, pool, global_pool, adaptive_pool, pad,
        conv_transpose, recurrent, recurrent, attention, attention, experts],
    3: [dense, along, norm, elementwise, noise, conv, conv, pool, global_pool, adaptive_pool, pad, conv_transpose, resize,
        shuffle, depthwise, image_block],
    4: [dense, along, norm, elementwise, conv],
}

LOSSES = ["mse({a}, {b})", "mae({a}, {b})", "huber({a}, {b})", "smooth_l1({a}, {b})", "log_cosh({a}, {b})",
          "quantile({a}, {b}, level = 0.3)", "poisson_nll({a}, 1 + {b}^2)", "gaussian_nll({a}, {b}, 1 + {b}^2)",
          "kl_div(log_softmax({a}), softmax({b}))", "binary_cross_entropy({a}, sigmoid({b}))", "focal({a}, sigmoid({b}))",
          "dice({a}, sigmoid({b}))", "triplet({a}, {b}, 0.5 * {b})", "hinge({a}, sigmoid({b}))"]
CLASS_LOSSES = ["cross_entropy({a}, {t})", "cross_entropy({a}, {t}, smoothing = 0.1)", "nll(log_softmax({a}), {t})",
                "multi_margin({a}, {t})"]
METRICS = ["mse({a}, {b})", "rmse({a}, {b})", "mae({a}, {b})", "r2({a}, {b})"]
OPTIMIZERS = ["sgd(lr = 0.05)", "sgd(lr = 0.05, momentum = 0.9)", "sgd(lr = 0.05, momentum = 0.9, nesterov = true, decay = 0.01)",
              "adam(lr = 0.01)", "adamw(lr = cosine(peak = 0.01))", "amsgrad", "adamax", "nadam", "radam", "adagrad", "adadelta",
              "rmsprop(momentum = 0.5, centered = true)", "lion(lr = 1e-3)", "lamb", "lars", "rprop", "muon",
              "sgd(lr = step(start = 0.1, every = 2))", "adam(lr = warmup_cosine(peak = 0.01, warmup = 2))"]
