"""The naive loop: a full forward pass for every question, answer, vector and coefficient, in transformers.

`evaluation.py FOLDER THREADS NAME`, NAME being letters or completions. Scores some cases of the whole grid, named in the inputs;
`run(N)` runs N of their forward passes.
"""

import itertools
import sys

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from peer import arguments, load, serve

folder, threads = arguments()
name = sys.argv[3]
torch.set_num_threads(threads)
model = AutoModelForCausalLM.from_pretrained(f"{folder}/model", dtype=torch.float32).eval()
tensors, settings = load(folder, name)
vectors = torch.from_numpy(tensors["vectors"])
layer = model.model.layers[int(settings["layer"])]
steering = {}


def steer(module, inputs, output):
    hidden = output[0] if isinstance(output, tuple) else output
    hidden[:, steering["start"] :] += steering["coefficient"] * vectors[steering["vector"]]
    return output


layer.register_forward_hook(steer)


@torch.inference_mode()
def forward(prompt, answer, vector, coefficient):
    """Log-probabilities at the scored positions."""
    tokens = torch.from_numpy(np.concatenate([prompt, answer[:-1]]))[None]
    steering.update(start=len(prompt) - 1, vector=vector, coefficient=coefficient)
    # Only the scored positions' logits, as a careful loop would ask.
    logits = model(tokens, use_cache=False, logits_to_keep=len(answer)).logits[0]
    return torch.log_softmax(logits, dim=-1)


def passes(case):
    """The forward passes of a case, each giving its part of the propensity."""
    vector, question, index = (int(part) for part in case)
    coefficient = float(tensors["coefficients"][index])
    prompt, positive, negative = (tensors[f"{part}.{question}"] for part in ("prompt", "positive", "negative"))
    if name == "letters":
        common = int((positive == negative).argmin())
        prompt = np.concatenate([prompt, positive[:common]])

        def letters():
            logs = forward(prompt, positive[common : common + 1], vector, coefficient)[-1]
            return float(logs[positive[common]] - logs[negative[common]])

        return [letters]

    def whole(answer, sign):
        logs = forward(prompt, answer, vector, coefficient)
        return sign * float(logs[torch.arange(len(answer)), torch.from_numpy(answer)].mean())

    return [lambda: whole(positive, 1), lambda: whole(negative, -1)]


cases = [passes(case) for case in tensors["cases"]]
propensities = np.array([sum(part() for part in case) for case in cases], np.float32)
endless = itertools.cycle([part for case in cases for part in case])
serve(folder, name, {"propensities": propensities}, lambda line: [next(endless)() for _ in range(int(line))])
