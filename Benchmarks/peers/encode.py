"""Vectors through a standard SAE's encoder in PyTorch."""

import torch

from peer import arguments, load, serve

folder, threads = arguments()
torch.set_num_threads(threads)
weights = {key: torch.from_numpy(value) for key, value in load(folder, "sae/sae_weights")[0].items()}
vectors = torch.from_numpy(load(folder, "vectors")[0]["vectors"])


@torch.no_grad()
def encode(count):
    x = vectors[:count] - weights["b_dec"]
    return torch.relu(x @ weights["W_enc"] + weights["b_enc"])


serve(
    folder, "encode", {str(count): encode(count).numpy() for count in (1, 16, 64)},
    lambda line: encode(int(line)))
