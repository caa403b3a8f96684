"""What both sides of a comparison are given: seeded numbers, a model, questions of exactly 94 tokens."""

import json
import pathlib
import shutil
import subprocess

import numpy as np

from peer import store

SHAPES = {
    # Rows, inputs, outputs: SmolLM2-135M's layers, Gemma 2 2B's, and a 16k SAE's encoder.
    "256x576x1536": (256, 576, 1536), "256x1536x576": (256, 1536, 576), "768x576x576": (768, 576, 576),
    "256x2304x9216": (256, 2304, 9216), "256x9216x2304": (256, 9216, 2304), "256x2304x2048": (256, 2304, 2048),
    "192x2304x16384": (192, 2304, 16384),
    # The same as an SAE's file has it, [inputs, outputs]: nothing is packed beforehand.
    "192x2304x16384 row-major": (192, 2304, 16384),
}


def gaussian(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def gemm(folder):
    tensors = {}
    for index, (name, (m, k, n)) in enumerate(SHAPES.items()):
        tensors[name + ".x"] = gaussian(index, m, k)
        tensors[name + ".w"] = gaussian(100 + index, *((k, n) if name.endswith("row-major") else (n, k)))
    store(folder, "gemm", tensors)


def sae(folder, width, dimension=2304):
    """A standard SAE in SAELens' layout whose features fire rarely, and vectors of the activations' size."""
    target = pathlib.Path(folder) / "sae"
    target.mkdir(parents=True, exist_ok=True)
    decoder = gaussian(1, width, dimension)
    decoder /= np.linalg.norm(decoder, axis=1, keepdims=True)
    b_dec = gaussian(2, dimension)
    # A little beyond two standard deviations of a feature's pre-activation.
    b_enc = np.full(width, -2.2, np.float32) * np.float32(np.sqrt(1 + 1)) + 0.3 * gaussian(3, width)
    weights = {"W_enc": np.ascontiguousarray(decoder.T), "W_dec": decoder, "b_enc": b_enc, "b_dec": b_dec}
    store(str(target), "sae_weights", weights)
    configuration = {
        "architecture": "standard", "d_in": dimension, "d_sae": width, "dtype": "float32", "apply_b_dec_to_input": True,
        "normalize_activations": "none", "hook_name": "blocks.12.hook_resid_post", "hook_layer": 12}
    (target / "cfg.json").write_text(json.dumps(configuration))
    store(folder, "vectors", {"vectors": gaussian(4, 64, dimension)})


def pursuit(folder, width=16384, dimension=2304):
    tensors = {"vectors": gaussian(5, 32, dimension), "decoder": gaussian(6, width, dimension)}
    store(folder, "pursuit", tensors, {"atoms": 64})


def training(folder):
    batch, sparsity = 1024, 32
    directions = gaussian(7, 512, 576)
    codes = np.maximum(gaussian(8, batch + 2, 512) - 1.2, 0)
    activations = codes @ directions + 0.1 * gaussian(9, batch + 2, 576)
    settings = {"width": 4096, "sparsity": sparsity, "batch": batch, "steps": 3}
    store(folder, "training", {"activations": activations.astype(np.float32)}, settings)


def model(folder, gguf):
    """The GGUF's weights as float32, in the layout that both sides read."""
    target = pathlib.Path(folder) / "model"
    if (target / "config.json").exists():
        return
    import torch
    from transformers import AutoModelForCausalLM

    scratch = target.with_suffix(".new")
    shutil.rmtree(scratch, ignore_errors=True)
    loaded = AutoModelForCausalLM.from_pretrained(
        str(pathlib.Path(gguf).parent), gguf_file=pathlib.Path(gguf).name, dtype=torch.float32)
    # What was read from a GGUF can't be saved as it is: its numbers go into a model that knows of no file.
    configuration = loaded.config
    if hasattr(configuration, "quantization_config"):
        del configuration.quantization_config
    plain = AutoModelForCausalLM.from_config(configuration, dtype=torch.float32)
    plain.load_state_dict(loaded.state_dict())
    plain.save_pretrained(scratch)
    scratch.rename(target)


class Tokens:
    """Texts to token ids, by our own tokenizer (its agreement with the model's is tested elsewhere)."""

    def __init__(self, steerscope, gguf):
        self.command = [steerscope, "tokenize", "--model", gguf, "--format", "json"]

    def __call__(self, text):
        answer = subprocess.run([*self.command, text], check=True, capture_output=True, text=True).stdout
        return [token["id"] for token in json.loads(answer)["tokens"]]


HEAD = (
    "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
    "<|im_start|>user\n")
TAIL = "<|im_end|>\n<|im_start|>assistant\n"


def prompt_of(tokens, text, filler, length):
    """A chat prompt of exactly `length` tokens: the question, then neutral text, cut where it is long enough."""
    head, question, tail = tokens(HEAD), tokens(text + "\n"), tokens(TAIL)
    room = length - len(head) - len(question) - len(tail)
    return head + (question + filler)[: len(question) + room] + tail


def evaluation(folder, name, examples, tokens, questions, vectors=10, layer=14):
    items = json.loads((pathlib.Path(examples) / "power-seeking" / "evaluate.json").read_text())
    filler = tokens((pathlib.Path(examples) / "neutral.txt").read_text()[:2000])
    tensors = {}
    for index in range(questions):
        item = items[index]
        if name == "letters":
            text = f"{item['prompt']}\n(A) {item['positive']}\n(B) {item['negative']}"
            answers = [tokens("(A)"), tokens("(B)")]
        else:
            text, answers = item["prompt"], [tokens(item["positive"]), tokens(item["negative"])]
        tensors[f"prompt.{index}"] = np.array(prompt_of(tokens, text, filler, 94), np.int64)
        tensors[f"positive.{index}"], tensors[f"negative.{index}"] = (np.array(answer, np.int64) for answer in answers)
    coefficients = np.round(np.arange(-20, 21) / 10, 1).astype(np.float32)
    directions = gaussian(10, vectors, 576)
    tensors["vectors"] = directions * (20 / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32)
    tensors["coefficients"] = coefficients
    # The cases that the naive loop is timed on and compared at: spread over the grid.
    grid = [(v, q, c) for v in range(vectors) for q in range(questions) for c in range(len(coefficients))]
    chosen = [grid[place] for place in np.random.default_rng(11).choice(len(grid), 12, replace=False)]
    tensors["cases"] = np.array(chosen, np.int64)
    store(folder, name, tensors, {"questions": questions, "layer": layer})


def prompt(folder, examples, tokens):
    text = tokens((pathlib.Path(examples) / "neutral.txt").read_text()[:4000])
    store(folder, "prompt", {"tokens": np.array(text[:256], np.int64)})


def wide(folder, width=1 << 20, dimension=2304):
    """A standard SAE of a million features, 19 GB long: a sparse file with blocks of random numbers here and there."""
    target = pathlib.Path(folder) / "wide"
    target.mkdir(parents=True, exist_ok=True)
    shapes = {"W_enc": (dimension, width), "W_dec": (width, dimension), "b_enc": (width,), "b_dec": (dimension,)}
    header, offset = {}, 0
    for key, shape in shapes.items():
        length = 4 * int(np.prod(shape))
        header[key] = {"dtype": "F32", "shape": list(shape), "data_offsets": [offset, offset + length]}
        offset += length
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    random = np.random.default_rng(12)
    block = random.standard_normal(1 << 18, dtype=np.float32).tobytes()
    with open(target / "sae_weights.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        start = 8 + len(text)
        file.truncate(start + offset)
        for place in range(0, offset - len(block), 256 << 20):
            file.seek(start + place)
            file.write(block)
    configuration = {
        "architecture": "standard", "d_in": dimension, "d_sae": width, "dtype": "float32", "apply_b_dec_to_input": True,
        "normalize_activations": "none", "hook_name": "blocks.12.hook_resid_post", "hook_layer": 12}
    (target / "cfg.json").write_text(json.dumps(configuration))
    return target
