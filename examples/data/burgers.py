"""Writes burgers.csv: u(x, t) with u_t + u u_x = (0.01 / pi) u_xx, u(x, 0) = -sin(pi x), u(-1, t) = u(1, t) = 0.

The Cole-Hopf transformation makes it a heat equation; its convolution with a Gaussian is summed by
the trapezoidal rule, which is exact to rounding here.  (Basdevant et al. 1986, "Spectral and finite
difference solutions of the Burgers equation".)
"""
import math

nu = 0.01 / math.pi


def solution(x, t):
    if t == 0 or abs(x) in (0, 1):
        return -math.sin(math.pi * x) if abs(x) < 1 else 0.0
    width = math.sqrt(4 * nu * t)
    # What lies further out weighs less than exp(-40).
    points = [-12 + 0.01 * k for k in range(2401)]
    exponents = [-z * z - math.cos(math.pi * (x - width * z)) / (2 * math.pi * nu) for z in points]
    top = max(exponents)
    weights = [math.exp(e - top) for e in exponents]
    moved = sum(w * math.sin(math.pi * (x - width * z)) for w, z in zip(weights, points))
    return -moved / sum(weights)


with open("burgers.csv", "w") as file:
    file.write("x,t,u\n")
    for j in range(21):
        for i in range(101):
            x, t = (i - 50) / 50, j / 20
            file.write(f"{x:g},{t:g},{solution(x, t):.6f}\n")
