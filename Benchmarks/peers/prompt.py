"""A prompt through transformers, to the logits after its last token."""

import torch
from transformers import AutoModelForCausalLM

from peer import arguments, load, serve

folder, threads = arguments()
torch.set_num_threads(threads)
model = AutoModelForCausalLM.from_pretrained(f"{folder}/model", dtype=torch.float32).eval()
tokens = torch.from_numpy(load(folder, "prompt")[0]["tokens"])[None]


@torch.inference_mode()
def logits(_=None):
    return model(tokens, use_cache=False, logits_to_keep=1).logits[0, -1]


serve(folder, "prompt", {"logits": logits().numpy()}, logits)
