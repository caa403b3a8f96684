"""One vector at many coefficients, each through encoder and decoder by itself."""

import numpy as np
import torch

from peer import arguments, load, serve

folder, threads = arguments()
torch.set_num_threads(threads)
weights = {key: torch.from_numpy(value) for key, value in load(folder, "sae/sae_weights")[0].items()}
vector = torch.from_numpy(load(folder, "vectors")[0]["vectors"][0])
coefficients = [1.0] + [sign * step / 8 for step in range(1, 33) for sign in (-1, 1) if sign * step != 8]


@torch.no_grad()
def code(coefficient):
    return torch.relu((coefficient * vector - weights["b_dec"]) @ weights["W_enc"] + weights["b_enc"])


@torch.no_grad()
def decompose(line):
    for coefficient in coefficients[: int(line)]:
        code(coefficient) @ weights["W_dec"]


serve(
    folder, "ladder",
    {"coefficients": np.array(coefficients, np.float32),
     "codes": torch.stack([code(c) for c in coefficients]).numpy()}, decompose)
