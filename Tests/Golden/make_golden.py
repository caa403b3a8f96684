#!/usr/bin/env python3
"""Makes the golden test data of Steerscope: tiny random models, tokenizers, SAEs and what other people's code computes with them.

    python3 Tests/Golden/make_golden.py [OUTPUT_FOLDER]      (default: the folder of this script; about 15 seconds)

Nothing is downloaded: weights come from seeded generators, the tokenizers are trained on the text below. The tests of the project
read the committed files and never run this script. README.md beside it says what each file holds.

Python 3.11, 64-bit Linux; into a virtual environment (5 GB of disk):

    pip install --no-deps torch==2.15.0 nvidia-cublas==13.4.1.3 nvidia-cuda-runtime==13.2.86 nvidia-cuda-cupti==13.2.86 \\
        nvidia-cudnn-cu13==9.26.0.51 nvidia-cufft==12.2.0.57 nvidia-cufile==1.17.1.22 nvidia-cusparse==12.7.10.12 \\
        nvidia-cusparselt-cu13==0.8.1 nvidia-nccl-cu13==2.30.7 nvidia-nvshmem-cu13==3.7.2 nvidia-cuda-nvrtc==13.2.86 \\
        nvidia-nvjitlink==13.5.37
    pip install filelock typing-extensions "setuptools>=77.0.3" sympy networkx jinja2 fsspec \\
        numpy==2.4.6 transformers==5.23.0 tokenizers==0.23.3 safetensors==0.8.0 gguf==0.19.0
    pip install --no-deps sae-lens==6.54.12 transformer-lens==3.9.0 accelerate transformers-stream-generator plotly-express better-abc babe==0.0.7
    pip install datasets einops pandas plotly "nltk<4" python-dotenv "simple-parsing<0.2" tenacity requests beartype fancy-einsum jaxtyping \\
        sentencepiece "typeguard<5" protobuf psutil wandb

PyPI's torch is built for CUDA and won't import without NVIDIA's libraries, though no GPU is needed; the list above is what the
import asks for, without triton, cusolver and others that `pip install torch==2.15.0` brings. The second `--no-deps` keeps pip from
adding those through accelerate. A CPU-only build of torch needs no NVIDIA package at all (2.13.0+cpu made the same bytes).
"""

import json
import os
import shutil
import sys
from pathlib import Path

os.environ.update(TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1", WANDB_MODE="disabled", OMP_NUM_THREADS="1")

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import BPE
from transformers import AutoModelForCausalLM, Gemma2Config, LlamaConfig
from transformers.utils.logging import disable_progress_bar

disable_progress_bar()
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)


def normal(seed, *shape):
    """Standard normal float32 values; RandomState's stream is frozen for ever, unlike newer generators."""
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape).astype(np.float32))


def save(tensors, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: torch.as_tensor(value).contiguous() for name, value in tensors.items()}, path)


def write_json(value, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, **options) + "\n", encoding="utf-8")


# ------------------------------------------------------------------------------------------------------------- language models

COEFFICIENT, STEERED_BLOCK = 2.0, 1


def fill(model, seed, gemma):
    """Random weights that show mistakes: logits spread by 1 to 3, norm weights of both signs, attention far from uniform."""
    for index, (name, parameter) in enumerate(sorted(model.named_parameters())):
        value = normal(seed * 1000 + index, *parameter.shape)
        width = parameter.shape[-1]
        if "norm" in name and (name.endswith("model.norm.weight")):
            # Of both signs, or a model with tied embeddings only ever repeats its input. Gemma multiplies by 1 + w.
            value = value + (-0.9 if gemma else 0.1)
        elif "norm" in name:
            value = value * 0.4 + (0.8 if gemma else 1.0)
        elif "embed_tokens" in name:
            value = value * ((4.0 if gemma else 2.0) / width**0.5)
        elif "q_proj" in name or "k_proj" in name:
            value = value * ((1.6 if gemma else 1.3) / width**0.5)
        elif "lm_head" in name:
            value = value * (2.0 / width**0.5)
        else:
            value = value * (1.2 / width**0.5)
        parameter.data.copy_(value)


def logits_of(model, ids, vector=None, positions=slice(None)):
    """Logits [n, vocabulary] and the residual stream after every block, before the final norm. `vector` is added to a block's output."""
    residuals, handles = {}, []

    def hook(layer):
        def run(_module, _inputs, output):
            hidden = output[0] if isinstance(output, tuple) else output
            if vector is not None and layer == STEERED_BLOCK:
                hidden = hidden.clone()
                hidden[:, positions] += COEFFICIENT * vector
            residuals[layer] = hidden[0].detach().clone()
            return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

        return run

    for layer, block in enumerate(model.model.layers):
        handles.append(block.register_forward_hook(hook(layer)))
    try:
        with torch.no_grad():
            logits = model(input_ids=ids[None], use_cache=False).logits[0]
    finally:
        for handle in handles:
            handle.remove()
    return logits, residuals


def expectations(model, lengths, seed, full=True):
    """What every implementation of this model must reproduce; the names are listed in README.md."""
    vocabulary, width = model.config.vocab_size, model.config.hidden_size
    result = {}
    if full:
        result["vector"] = normal(seed, width)
        result["coefficient"] = torch.tensor([COEFFICIENT])
    for index, length in enumerate(lengths):
        ids = torch.from_numpy(np.random.RandomState(seed + 1 + index).randint(0, vocabulary, length).astype(np.int64))
        logits, residuals = logits_of(model, ids)
        spread = logits.std().item()
        assert 1.0 <= spread <= 3.5, f"logits are spread by {spread}"
        result |= {f"prompt{index}/ids": ids, f"prompt{index}/logits": logits}
        if not full:
            continue
        result |= {f"prompt{index}/residual{layer}": value for layer, value in residuals.items()}
        extended = ids
        for _ in range(8):
            best = logits_of(model, extended)[0][-1].topk(2)
            assert best.values[0] - best.values[1] > 1e-3, "a greedy choice is too close to call"
            extended = torch.cat([extended, best.indices[:1]])
        result[f"prompt{index}/continuation"] = extended[length:]
        assert len(extended[length:].unique()) >= 4, "the continuation repeats itself"
        result[f"prompt{index}/steered_last"] = logits_of(model, ids, result["vector"], slice(-1, None))[0]
        result[f"prompt{index}/steered_all"] = logits_of(model, ids, result["vector"])[0]
    return result


def difference(model, reference):
    return (logits_of(model, reference["prompt0/ids"])[0] - reference["prompt0/logits"]).abs().max().item()


def load(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    return model


def write_model(folder, config, seed, dtype, hub_config=None, shard=None):
    """A Hugging Face folder. `hub_config` replaces the config.json of transformers 5 by one in the style of the published repositories."""
    shutil.rmtree(folder, ignore_errors=True)
    config._attn_implementation = "eager"
    gemma = config.model_type == "gemma2"
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    fill(model, seed, gemma)
    model.to(dtype).save_pretrained(folder, max_shard_size=shard or "1GB")
    (folder / "generation_config.json").unlink(missing_ok=True)
    if hub_config:
        write_json(hub_config, folder / "config.json", indent=2)
    return load(folder)


def check_frequencies(model, theta, dimension, scale=None):
    """The rotary frequencies that the library took from config.json are the ones meant (it silently takes defaults for keys it misses)."""
    frequencies = theta ** -(np.arange(0, dimension, 2) / dimension)
    if scale is not None:
        frequencies = frequencies / scale
    np.testing.assert_allclose(model.model.rotary_emb.inv_freq.numpy(), frequencies, rtol=1e-5)


def llama3_divisors(theta, dimension, factor, low, high, original):
    """What llama.cpp stores as rope_freqs.weight: the divisor of every rotary frequency."""
    wavelengths = 2 * np.pi * theta ** (np.arange(0, dimension, 2) / dimension)
    smooth = np.clip((original / wavelengths - low) / (high - low), 0, 1)
    return 1 / ((1 - smooth) / factor + smooth)


def llama_hub_config(config, theta, dtype, scaling=None, **more):
    return {
        "architectures": ["LlamaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "bos_token_id": config.bos_token_id, "eos_token_id": config.eos_token_id, "hidden_act": "silu", "hidden_size": config.hidden_size,
        "initializer_range": 0.02, "intermediate_size": config.intermediate_size, "max_position_embeddings": config.max_position_embeddings,
        "mlp_bias": False, "model_type": "llama", "num_attention_heads": config.num_attention_heads,
        "num_hidden_layers": config.num_hidden_layers, "num_key_value_heads": config.num_key_value_heads, "pretraining_tp": 1,
        "rms_norm_eps": config.rms_norm_eps, "rope_scaling": scaling, "rope_theta": theta, "tie_word_embeddings": True,
        "torch_dtype": dtype, "transformers_version": "4.45.0", "use_cache": True, "vocab_size": config.vocab_size, **more,
    }  # fmt: skip


CHAT_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def make_llama(out, tokenizer):
    common = dict(num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, vocab_size=300, max_position_embeddings=256)

    # Tied embeddings, float32, rotary base 10,000, config.json as published (rope_theta and torch_dtype at the top, no head_dim).
    config = LlamaConfig(
        hidden_size=48, intermediate_size=80, tie_word_embeddings=True, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, **common,
    )  # fmt: skip
    folder = out / "llama-tied"
    tied = write_model(folder, config, 11, torch.float32, llama_hub_config(config, 10000.0, "float32"))
    check_frequencies(tied, 10000.0, 12)
    save(expectations(tied, (10, 16), 110), folder / "expected.safetensors")
    write_tokenizer(tokenizer, folder / "tokenizer.json", merges_as_text=True)
    write_json(
        {"add_prefix_space": False, "bos_token": "<|im_start|>", "chat_template": CHAT_TEMPLATE, "clean_up_tokenization_spaces": False,
         "eos_token": "<|im_end|>", "model_max_length": 256, "tokenizer_class": "GPT2Tokenizer", "unk_token": "<|endoftext|>"},
        folder / "tokenizer_config.json", indent=2,
    )  # fmt: skip

    # An output matrix of its own, bfloat16 in shards, rotary base 100,000, head_dim not d / heads, config.json as transformers 5 writes it.
    config = LlamaConfig(
        hidden_size=64, intermediate_size=96, head_dim=24, tie_word_embeddings=False, rms_norm_eps=1e-6, bos_token_id=1, eos_token_id=2,
        rope_parameters={"rope_type": "default", "rope_theta": 100000.0}, **common,
    )  # fmt: skip
    folder = out / "llama-untied-sharded"
    untied = write_model(folder, config, 12, torch.bfloat16, shard="120KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1 and (folder / "model.safetensors.index.json").exists()
    check_frequencies(untied, 100000.0, 24)
    save(expectations(untied, (10, 16), 125), folder / "expected.safetensors")

    # Rotary scaling as in Llama 3.1 and 3.2; the original context is short, so that prompts of 16 tokens show it.
    scaling = {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 64, "rope_type": "llama3"}
    config = LlamaConfig(
        hidden_size=64, intermediate_size=96, head_dim=16, tie_word_embeddings=True, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2,
        rope_parameters={**scaling, "rope_theta": 500000.0}, **common,
    )  # fmt: skip
    folder = out / "llama3-rope"
    scaled = write_model(folder, config, 13, torch.bfloat16, llama_hub_config(config, 500000.0, "bfloat16", scaling, head_dim=16))
    divisors = llama3_divisors(500000.0, 16, 32.0, 1.0, 4.0, 64)
    check_frequencies(scaled, 500000.0, 16, divisors)
    expected = expectations(scaled, (10, 16), 130)
    save(expected, folder / "expected.safetensors")
    scaled.model.rotary_emb.inv_freq *= torch.from_numpy(divisors).float()
    assert difference(scaled, expected) > 0.05, "the rotary scaling does not show"
    scaled = load(folder)

    # The first and the third as llama.cpp files, with expected logits of the weights rounded to float16.
    for name, model, freqs in (("llama-f16", tied, None), ("llama3-rope-f16", scaled, divisors)):
        write_gguf(out / f"{name}.gguf", name, model, tokenizer, freqs)
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.data = parameter.data.half().float()
        save(expectations(model, (10, 16), 140, full=False), out / f"{name}-expected.safetensors")


def write_gguf(path, name, model, tokenizer, rope_divisors):
    config, theta = model.config, model.config.rope_parameters["rope_theta"]
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(name)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(theta)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_vocab_size(config.vocab_size)
    data = json.loads(tokenizer.to_str())
    tokens = [token for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])]
    special = {token["content"] for token in data["added_tokens"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in data["model"]["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHAT_TEMPLATE)

    def permuted(weight, count):
        """llama.cpp rotates neighbouring pairs, Hugging Face the two halves of a head: the rows of Q and K move accordingly."""
        return weight.reshape(count, 2, weight.shape[0] // count // 2, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)

    state = {key: value.numpy() for key, value in model.state_dict().items()}
    if rope_divisors is not None:
        writer.add_tensor("rope_freqs.weight", rope_divisors.astype(np.float32))
    writer.add_tensor("token_embd.weight", state["model.embed_tokens.weight"].astype(np.float16))
    for layer in range(config.num_hidden_layers):
        source, target = f"model.layers.{layer}.", f"blk.{layer}."
        for theirs, ours, count in (
            ("input_layernorm", "attn_norm", 0), ("self_attn.q_proj", "attn_q", heads), ("self_attn.k_proj", "attn_k", kv_heads),
            ("self_attn.v_proj", "attn_v", 0), ("self_attn.o_proj", "attn_output", 0), ("post_attention_layernorm", "ffn_norm", 0),
            ("mlp.gate_proj", "ffn_gate", 0), ("mlp.up_proj", "ffn_up", 0), ("mlp.down_proj", "ffn_down", 0),
        ):  # fmt: skip
            weight = state[f"{source}{theirs}.weight"]
            if count:
                weight = permuted(weight, count)
            writer.add_tensor(f"{target}{ours}.weight", weight.astype(np.float16 if weight.ndim == 2 else np.float32))
    writer.add_tensor("output_norm.weight", state["model.norm.weight"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_gemma(out, tokenizer):
    # Every number that the real models leave at a default differs from it here: caps, window, query scale.
    vocabulary = tokenizer.get_vocab_size()
    config = Gemma2Config(
        hidden_size=48, intermediate_size=64, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
        vocab_size=vocabulary, max_position_embeddings=256, sliding_window=4, query_pre_attn_scalar=24, attn_logit_softcapping=6.0,
        final_logit_softcapping=5.0, rms_norm_eps=1e-6, bos_token_id=2, eos_token_id=1, pad_token_id=0,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    )  # fmt: skip
    hub = {
        "architectures": ["Gemma2ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0, "attn_logit_softcapping": 6.0,
        "bos_token_id": 2, "cache_implementation": "hybrid", "eos_token_id": 1, "final_logit_softcapping": 5.0, "head_dim": 16,
        "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 48, "initializer_range": 0.02,
        "intermediate_size": 64, "max_position_embeddings": 256, "model_type": "gemma2", "num_attention_heads": 4,
        "num_hidden_layers": 4, "num_key_value_heads": 2, "pad_token_id": 0, "query_pre_attn_scalar": 24, "rms_norm_eps": 1e-06,
        "rope_theta": 10000.0, "sliding_window": 4, "torch_dtype": "bfloat16", "transformers_version": "4.42.4", "use_cache": True,
        "vocab_size": vocabulary,
    }  # fmt: skip
    folder = out / "gemma2"
    model = write_model(folder, config, 21, torch.bfloat16, hub)
    check_frequencies(model, 10000.0, 16)
    expected = expectations(model, (12, 12), 210)
    save(expected, folder / "expected.safetensors")
    write_tokenizer(tokenizer, folder / "tokenizer.json")
    # Each peculiarity must change the logits, or the files could not show that it is missing.
    for label, change in (
        ("sliding window", dict(sliding_window=64)), ("window by layer", dict(layer_types=["full_attention", "sliding_attention"] * 2)),
        ("attention cap", dict(attn_logit_softcapping=None)), ("final cap", dict(final_logit_softcapping=None)),
        ("query scale", dict(query_pre_attn_scalar=16)),
    ):  # fmt: skip
        changed = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", **change).eval()
        assert difference(changed, expected) > 0.05, f"the {label} does not show"


# ------------------------------------------------------------------------------------------------------------------ GGML types


def make_quants(out):
    types = "F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q4_K Q5_K Q6_K".split()
    writer = gguf.GGUFWriter(out / "quants.gguf", "golden")
    expected = {}
    for index, name in enumerate(types):
        kind = gguf.GGMLQuantizationType[name]
        values = normal(300 + index, 4, 512).numpy() * np.float32(0.7)
        if name in ("F32", "F16", "BF16"):
            values[0, :8] = [0.0, -0.0, 1.0, -2.5, 65504.0, 6.1035156e-05, 5.9604645e-08, -3.5762787e-07]  # largest, smallest, subnormal halves
        elif name in ("Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"):
            values[1, :32] = 0  # a block of scale 0
            values[2, 64:96] *= 1e-5  # a block whose scale is a subnormal half
        if name.endswith("_K"):
            # gguf can't quantise these: random bytes with sensible half-precision scales are as valid as any block.
            random = np.random.RandomState(400 + index)
            block, size = gguf.GGML_QUANT_SIZES[kind]
            raw = random.randint(0, 256, (4, 512 // block, size)).astype(np.uint8)
            scale = (random.uniform(-1, 1, (4, 512 // block)) * 0.02).astype(np.float16).view(np.uint8).reshape(4, -1, 2)
            if name == "Q6_K":
                raw[..., -2:] = scale  # d is last
            else:
                raw[..., :2] = scale  # d, then dmin
                raw[..., 2:4] = (random.uniform(0, 1, (4, 512 // block)) * 0.05).astype(np.float16).view(np.uint8).reshape(4, -1, 2)
            raw = raw.reshape(4, -1)
        elif name == "F32":
            raw = values
        else:
            raw = gguf.quants.quantize(values, kind)
        dequantised = gguf.quants.dequantize(raw, kind)
        assert dequantised.shape == (4, 512) and dequantised.dtype == np.float32 and np.isfinite(dequantised).all()
        expected[name] = torch.from_numpy(np.ascontiguousarray(dequantised))
        writer.add_tensor(name, np.ascontiguousarray(raw), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save(expected, out / "quants.safetensors")


# ------------------------------------------------------------------------------------------------------------------ tokenizers

CORPUS = """\
A steering vector is a direction in the residual stream of a language model. Adding a multiple of it while the model runs changes
what the model says. A sparse autoencoder is a dictionary of directions that people can read, and so it's tempting to read the
vector through the dictionary. That doesn't work as well as one would hope: the vector lies outside the distribution that the
encoder was trained on, and the encoder can't express a negative coefficient. We've measured how much is lost, and we'll say where.

The lighthouse keeper counted the ships each evening: 3 in spring, 12 in summer, 45 in the year 1987. She'd write them down, and they'd
stay written. "You're late," she said to the fog; it hadn't answered in 20 years. I'm told the log is still there, I've seen it, and
it's kept in the harbour office between the tide tables and the other things that nobody has asked for since.

Le café était fermé, mais la fenêtre restait ouverte: on entendait la mer, les mouettes et une chanson d'été. Über den Dächern lag
Schnee, und die Straße war still. El niño pidió un poco más de pan, señora, por favor. Привет, мир! Как дела? 世界 你好 日本語 한국어

def mean_difference(positive, negative):
    \"\"\"The mean of the differences, row by row.\"\"\"
    total = 0
    for left, right in zip(positive, negative):
        total += left - right
    return total / len(positive)


if __name__ == "__main__":
    values = [1, 2, 3, 10, 100, 1000, 2024]
    print(mean_difference(values, values[::-1]))

for (int i = 0; i < 10; ++i) { sum += a[i] * b[i]; }   // the dot product
let answers = questions.map { $0.answer }.filter { !$0.isEmpty }
SELECT layer, method, avg(cosine) FROM decompositions WHERE width = 16384 GROUP BY layer, method ORDER BY layer;

The answer that matches the behaviour is (A); the answer that does not match the behaviour is (B). Choices:
 (A) Yes, I would like to be helpful and honest.
 (B) No, I would rather not say what I think about the question.
The model answers the question, the model answers the other question, and the score is the difference of the two.
"""

# Every kind of text on which a hand-written pre-tokenizer has been seen to go wrong.
HARD = [
    "", " ", "  ", "   ", "\n", "\n\n", "\t", "\r\n", " \n", "\n ", " \n \n  x", "a  b   c    d", "trailing  ", "  leading", "tab\tand\t\ttab ",
    "x\n\n\ny\r\n\r\nz", "Hello, world!", "The model doesn't; I'm, you're, we've, she'd, they'll, it's", "DON'T I'M WE'LL it'S 'tis ''s 'll'",
    "typographic don’t it’s", "0", "42", "1234567890", "3.14159 and 1,000,000", "abc123def456", "v2.0.1-rc3", "٠١٢٣ ۴۵۶ १२३ 123",
    "x²+½=Ⅷ ①②③ ㊿ 〇 一二三", "naïve café Ångström", "nai\u0308ve cafe\u0301 A\u030angstro\u0308m", "e\u0301e\u0301 \u0301x q\u0307\u0323",
    "Привет, мир! Ёлка", "ΑΒΓ αβγ ς", "שלום עולם", "مرحبا بالعالم", "नमस्ते दुनिया", "สวัสดีชาวโลก", "你好，世界。", "日本語のテキスト、カタカナ", "한국어 텍스트 \u1112\u1161\u11ab",
    "😀😃 👍🏽 👩‍👩‍👧‍👦 🇩🇪🇫🇷 ❤️", "a😀b 😀 😀😀", "ﬁ ﬂ Ⅳ ℃ Å ℵ", "nbsp\u00a0x\u00a0\u00a0y\u00a0", "\u2003em\u2009thin\u200azero\u200bwidth\u3000ideographic",
    "line\u2028sep\u2029para\u0085nel\u000bvt\u000cff", "\u00a0\u00a0 \u00a0 x", "a\ufeffb \ufeff", "nul\x00 bell\x07 del\x7f", "a_b __init__ _x_ _ _1",
    "def f(x):\n    return x**2  # square\n\n\nclass A:\n\tpass\n", "for (int i = 0; i < 10; ++i) { a[i] += i; }", "<div class=\"a\">&nbsp;</div>",
    "https://example.org/a/b?c=d&e=f#g user@example.com", "C:\\path\\file.txt", "---===+++***!!!???...,,,;;;", " !?  ## $5.00 50% @x #y", "\"quoted\" 'single' `code` «guillemets» “curly”",
    "(A) Yes (B) No\n\nChoices:\n (A) x\n (B) y\n\nAnswer: (A", "camelCase PascalCase snake_case SCREAMING_CASE kebab-case", "ÀÉÎÕÜ àéîõü ß ẞ ı İ ǅ",
    "propensity propensityx steerability  propensity\n propensity", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "\U0001d4d0\U0001d7d8 \U00020000 \U000e0041 \ue000",
    "the the the The THE tHe", "▁under▁▁lined ▁ x", "<0x41> <unk> <pad>",
]  # fmt: skip
SPECIAL_GPT = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
HARD_GPT = [
    "<|endoftext|>", "<|im_start|>user\nHello there<|im_end|>\n<|im_start|>assistant\n", "a<|im_end|>b <|im_end|> c  <|endoftext|>  ", "<|im_start|><|im_start|>",
    "<|im_start", "<|IM_START|> < |im_end|>", "x<|im_end|>\n\n<|im_end|>\n 1<|im_end|>2's",
]  # fmt: skip
SPECIAL_GEMMA = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>"]
HARD_GEMMA = [
    "<bos>", "<start_of_turn>user\nHello there<end_of_turn>\n<start_of_turn>model\n", "a<end_of_turn>b <end_of_turn> c  <eos>  ", "<bos><bos>", "<start_of_turn",
    "\n\n\n\n x\n\n\n\n\ny", "▁▁ ▁▁▁ a▁▁b",
]  # fmt: skip
LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def write_tokenizer(tokenizer, path, merges_as_text=False):
    """tokenizer.json; `merges_as_text` writes "a b" as libraries before 0.20 did (and GPT-2's and SmolLM2's files have), else ["a", "b"]."""
    data = json.loads(tokenizer.to_str())
    if merges_as_text:
        data["model"]["merges"] = [" ".join(pair) for pair in data["model"]["merges"]]
    write_json(data, path, ensure_ascii=False, indent=1)
    for text in HARD:
        assert Tokenizer.from_file(str(path)).encode(text, add_special_tokens=False).ids == tokenizer.encode(text, add_special_tokens=False).ids


def byte_level(pre_tokenizer, size, unreachable=()):
    """A byte-level BPE. `unreachable` tokens join the vocabulary without merges: only `ignore_merges` (Llama 3 has it) can produce them."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    special = [AddedToken(token, special=True, normalized=False) for token in SPECIAL_GPT]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(
        CORPUS.split("\n\n"),
        trainers.BpeTrainer(vocab_size=size - len(unreachable), initial_alphabet=alphabet, special_tokens=special, show_progress=False),
    )
    if unreachable:
        model = json.loads(tokenizer.to_str())["model"]
        vocabulary = model["vocab"] | {token: len(model["vocab"]) + index for index, token in enumerate(unreachable)}
        tokenizer.model = BPE(vocabulary, [tuple(pair) for pair in model["merges"]], ignore_merges=True)
        tokenizer.add_special_tokens(special)
    tokenizer.decoder = decoders.ByteLevel()
    assert tokenizer.get_vocab_size() == size
    return tokenizer


def gemma_style():
    """The shape of Gemma's tokenizer.json: byte fallback, U+2581 for spaces, runs of spaces and newlines as tokens, <bos> set in front."""
    trained = Tokenizer(BPE())
    trained.normalizer = normalizers.Replace(" ", "▁")
    trained.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    trained.train_from_iterator(CORPUS.split("\n"), trainers.BpeTrainer(vocab_size=230, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    runs = ["\n\n", "\n\n\n", "▁▁", "▁▁▁", "▁▁▁▁"]
    merges = [("▁", "▁"), ("▁▁", "▁"), ("▁▁", "▁▁")] + [tuple(pair) for pair in model["merges"]]
    tokens = SPECIAL_GEMMA + [f"<0x{byte:02X}>" for byte in range(256)] + runs + ["\n"] + list(model["vocab"])
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")  # finds nothing: the spaces are gone by now
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_GEMMA])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in runs[:3]])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos>:0 $A:0", pair="<bos>:0 $A:0 <bos>:1 $B:1", special_tokens=[("<bos>", vocabulary["<bos>"])]
    )
    return tokenizer


def make_tokenizers(out):
    gpt2_split = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    smollm_split = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), gpt2_split])
    llama3_split = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(LLAMA3_PATTERN), "isolated", invert=False), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    made = {
        "tokenizer-gpt2": byte_level(gpt2_split, 600),
        "tokenizer-smollm": byte_level(smollm_split, 600),
        "tokenizer-llama3": byte_level(llama3_split, 600, ["Ġpropensity", "Ġsteerability", "propensity"]),
        "tokenizer-gemma": gemma_style(),
        "llama-tied": byte_level(smollm_split, 300),
    }
    # The published files of GPT-2 and Llama 3 carry a post-processor that only moves offsets; it must not disturb a reader.
    made["tokenizer-gpt2"].post_processor = processors.ByteLevel(trim_offsets=False)
    made["tokenizer-llama3"].post_processor = processors.ByteLevel(trim_offsets=False)
    expected = {}
    for name, tokenizer in made.items():
        if name != "llama-tied":
            write_tokenizer(tokenizer, out / name / "tokenizer.json", merges_as_text=name in ("tokenizer-gpt2", "tokenizer-smollm"))
        cases = []
        for text in HARD + (HARD_GEMMA if name == "tokenizer-gemma" else HARD_GPT):
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            decoded = tokenizer.decode(ids, skip_special_tokens=False)
            cases.append({"text": text, "ids": ids} | ({} if decoded == text else {"decoded": decoded}))
        assert name == "tokenizer-gemma" or all("decoded" not in case for case in cases)
        expected[name] = cases
    lines = [f"{json.dumps(name)}: [\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]" for name, cases in expected.items()]
    (out / "tokenizers.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    return made


# ---------------------------------------------------------------------------------------------------------- sparse autoencoders

D_IN, D_SAE = 16, 48


def sae_tensors(architecture, seed, offset=-0.3):
    """Decoder rows of unequal norm, encoder near the decoder's transpose, biases large enough that leaving one out shows."""
    decoder = normal(seed, D_SAE, D_IN)
    decoder = decoder / decoder.norm(dim=1, keepdim=True) * (0.5 + torch.from_numpy(np.random.RandomState(seed + 1).uniform(0, 1.5, (D_SAE, 1)).astype(np.float32)))
    tensors = {"W_dec": decoder, "W_enc": decoder.T.contiguous() + 0.2 * normal(seed + 2, D_IN, D_SAE), "b_dec": normal(seed + 3, D_IN)}
    bias = normal(seed + 4, D_SAE) * 0.5 + offset
    if architecture == "gated":
        return tensors | {"b_gate": bias, "b_mag": normal(seed + 5, D_SAE) * 0.5, "r_mag": normal(seed + 6, D_SAE) * 0.4}
    if architecture == "jumprelu":
        tensors["threshold"] = normal(seed + 7, D_SAE).abs() + 0.1
    return tensors | {"b_enc": bias}


def make_saes(out):
    import sae_lens
    from sae_lens import SAE, GatedSAEConfig, JumpReLUSAEConfig, StandardSAEConfig, TopKSAEConfig
    from sae_lens.saes.sae import SAEMetadata

    configs = {"standard": StandardSAEConfig, "jumprelu": JumpReLUSAEConfig, "topk": TopKSAEConfig, "gated": GatedSAEConfig}
    expected, root = {}, out / "saes"
    shutil.rmtree(root, ignore_errors=True)

    def record(name, sae, inputs, prefix=""):
        with torch.no_grad():
            codes = sae.encode(inputs)
            expected[f"{name}/{prefix}codes"], expected[f"{name}/{prefix}reconstruction"] = codes, sae.decode(codes)
        active = (codes != 0).sum(dim=1)
        assert 0 < active.float().mean() < D_SAE and torch.isfinite(expected[f"{name}/{prefix}reconstruction"]).all()
        return active

    variants = [  # name, architecture, what differs from SAELens' defaults
        ("standard", "standard", {}),
        ("standard-no-b-dec", "standard", {"apply_b_dec_to_input": False}),
        ("standard-layer-norm", "standard", {"normalize_activations": "layer_norm"}),
        ("standard-constant-norm", "standard", {"normalize_activations": "constant_norm_rescale", "apply_b_dec_to_input": False}),
        ("standard-expected-average", "standard", {"normalize_activations": "expected_average_only_in"}),
        ("jumprelu", "jumprelu", {}),
        ("jumprelu-no-b-dec", "jumprelu", {"apply_b_dec_to_input": False}),
        ("topk", "topk", {"k": 6}),
        ("topk-rescaled", "topk", {"k": 6, "rescale_acts_by_decoder_norm": True}),
        ("topk-layer-norm", "topk", {"k": 6, "normalize_activations": "layer_norm", "apply_b_dec_to_input": False}),
        ("gated", "gated", {}),
        ("gated-constant-norm", "gated", {"normalize_activations": "constant_norm_rescale", "apply_b_dec_to_input": False}),
    ]
    for index, (name, architecture, options) in enumerate(variants):
        seed = 5000 + 20 * index
        metadata = SAEMetadata(
            model_name="golden-tiny", hook_name="blocks.1.hook_resid_post", hook_head_index=None, prepend_bos=True, context_size=64,
            dataset_path="golden/none", sae_lens_version=sae_lens.__version__, sae_lens_training_version=sae_lens.__version__,
        )  # fmt: skip
        sae = SAE.from_dict(configs[architecture](d_in=D_IN, d_sae=D_SAE, metadata=metadata, **options).to_dict())
        sae.load_state_dict(sae_tensors(architecture, seed, -3.5 if name == "topk" else -0.3))
        sae.save_model(root / name)
        loaded = SAE.load_from_disk(root / name)
        inputs = normal(seed + 10, 6, D_IN) * 1.5 + 0.5
        expected[f"{name}/input"] = inputs
        if name == "standard-expected-average":
            # SAELens ignores this setting at inference (`unfolded/...`) until the scale is folded into the weights.
            record(name, loaded, inputs, "unfolded/")
            scale = 0.625
            write_json({"scaling_factor": scale, "has_whitening": False}, root / name / "activation_scaler.json")
            loaded.fold_activation_norm_scaling_factor(scale)
            expected[f"{name}/scale"] = torch.tensor([scale])
        active = record(name, loaded, inputs)
        if architecture == "topk":
            assert active.max() == 6 and (active.min() < 6) == (name == "topk"), "wanted, in one of them: kept values that the ReLU removes"

    # Configurations from before SAELens 6.
    old = {
        "d_in": D_IN, "d_sae": D_SAE, "dtype": "torch.float32", "device": "cpu", "model_name": "golden-tiny", "hook_point": "blocks.1.hook_resid_post",
        "hook_point_layer": 1, "hook_point_head_index": None, "context_size": 64, "prepend_bos": True, "dataset_path": "golden/none",
        "finetuning_scaling_factor": False, "sae_lens_training_version": None,
    }  # fmt: skip
    for index, (name, more) in enumerate((
        ("old-topk", {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 6}, "normalize_activations": "none", "apply_b_dec_to_input": True}),
        ("old-standard", {"activation_fn_str": "relu", "normalize_activations": False, "apply_b_dec_to_input": False}),
    )):  # fmt: skip
        seed = 6000 + 20 * index
        tensors = sae_tensors("topk" if name == "old-topk" else "standard", seed)
        if name == "old-standard":
            tensors["scaling_factor"] = torch.ones(D_SAE)  # written for a while, to be ignored when all ones
        save(tensors, root / name / "sae_weights.safetensors")
        write_json(old | more, root / name / "cfg.json", indent=2)
        expected[f"{name}/input"] = inputs = normal(seed + 10, 6, D_IN) * 1.5 + 0.5
        record(name, SAE.load_from_disk(root / name), inputs)

    # Gemma Scope: stored and deflated archives; the arrays that SAELens calls jumprelu without subtracting b_dec.
    for index, (name, write) in enumerate((("gemma-scope", np.savez), ("gemma-scope-deflated", np.savez_compressed))):
        seed = 7000 + 20 * index
        tensors = sae_tensors("jumprelu", seed)
        tensors["W_dec"] = tensors["W_dec"] / tensors["W_dec"].norm(dim=1, keepdim=True)
        (root / name).mkdir(parents=True)
        write(root / name / "params.npz", **{key: tensors[key].numpy() for key in ("W_enc", "W_dec", "b_enc", "b_dec", "threshold")})
        sae = SAE.from_dict(JumpReLUSAEConfig(d_in=D_IN, d_sae=D_SAE, apply_b_dec_to_input=False).to_dict())
        with np.load(root / name / "params.npz") as arrays:
            sae.load_state_dict({key: torch.from_numpy(arrays[key]) for key in arrays})
        expected[f"{name}/input"] = inputs = normal(seed + 10, 6, D_IN) * 1.5 + 0.5
        record(name, sae, inputs)
    save(expected, out / "sae-expected.safetensors")


# ------------------------------------------------------------------------------------------------------- pursuit and gradients


def gradient_pursuit(vector, dictionary, steps, signed):
    """Supports in order, coefficients [step, atom] in that order, and the norm of the residual, after every step; float64 throughout."""
    rows = dictionary / np.linalg.norm(dictionary, axis=1, keepdims=True)
    codes, support, history, norms, clamped = np.zeros(len(rows)), [], np.zeros((steps, steps)), np.zeros(steps), 0
    for step in range(steps):
        residual = vector - codes @ rows
        projections = rows @ residual
        score = np.abs(projections) if signed else projections.copy()
        score[support] = -np.inf
        ranked = np.argsort(-score, kind="stable")
        assert score[ranked[0]] > 0, "no correlation is positive any more"
        assert score[ranked[0]] - score[ranked[1]] > 1e-4, "the choice of atom is too close to call"
        support.append(int(ranked[0]))
        gradient = np.zeros(len(rows))
        gradient[support] = projections[support]
        direction = gradient @ rows
        codes = codes + (direction @ residual) / (direction @ direction) * gradient
        if not signed:
            clamped += int((codes < 0).sum())
            codes = np.maximum(codes, 0)
        history[step, : step + 1] = codes[support]
        norms[step] = np.linalg.norm(vector - codes @ rows)
    return np.array(support), history, norms, clamped


def make_pursuit(out):
    dictionary = normal(8000, 128, 32) + 0.6 * normal(8004, 32)  # a shared component: without it nothing is ever clamped
    dictionary = dictionary / dictionary.norm(dim=1, keepdim=True)
    random = np.random.RandomState(8001)
    coefficients = np.zeros(128)
    coefficients[random.choice(128, 8, replace=False)] = random.uniform(1, 4, 8) * random.choice([-1, 1], 8)
    vectors = {
        "sparse": torch.from_numpy((coefficients @ dictionary.double().numpy()).astype(np.float32)) + 0.05 * normal(8002, 32),
        "dense": 0.3 * normal(8015, 32),
    }
    expected, clamped = {"dictionary": dictionary, "planted": torch.from_numpy(coefficients)}, 0
    for name, vector in vectors.items():
        expected[f"{name}/vector"] = vector
        for kind in ("nonnegative", "signed"):
            support, history, norms, clamps = gradient_pursuit(vector.double().numpy(), dictionary.double().numpy(), 12, kind == "signed")
            clamped += clamps
            expected |= {
                f"{name}/{kind}/support": torch.from_numpy(support), f"{name}/{kind}/coefficients": torch.from_numpy(history),
                f"{name}/{kind}/residual_norm": torch.from_numpy(norms),
            }  # fmt: skip
    assert clamped > 0, "no coefficient was ever clamped"
    save(expected, out / "pursuit-expected.safetensors")


def make_topk_gradient(out):
    decoder = normal(9000, 32, 16)
    decoder = decoder / decoder.norm(dim=1, keepdim=True)
    given = {
        "x": normal(9001, 8, 16) * 1.3 + 0.4, "W_enc": decoder.T.contiguous() + 0.1 * normal(9002, 16, 32), "b_enc": 0.3 * normal(9003, 32) - 1.2,
        "W_dec": decoder, "b_dec": 0.5 * normal(9004, 16),
    }  # fmt: skip
    expected = dict(given)
    for variant, subtract in (("subtracted", True), ("plain", False)):
        p = {key: value.double().clone().requires_grad_(key != "x") for key, value in given.items()}
        pre = (p["x"] - p["b_dec"] if subtract else p["x"]) @ p["W_enc"] + p["b_enc"]
        best = pre.topk(4, dim=1)
        codes = torch.zeros_like(pre).scatter(1, best.indices, best.values.relu())
        assert (best.values <= 0).any() and (best.values > 0).sum() > 16, "wanted: some kept values that the ReLU removes"
        loss = ((p["x"] - (codes @ p["W_dec"] + p["b_dec"])) ** 2).sum(dim=1).mean()
        loss.backward()
        expected |= {f"{variant}/loss": loss.detach()[None], f"{variant}/codes": codes.detach().float()}
        expected |= {f"{variant}/grad/{key}": p[key].grad.float() for key in ("W_enc", "b_enc", "W_dec", "b_dec")}
    save(expected, out / "topk-gradient-expected.safetensors")


def main():
    out = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent).resolve()
    out.mkdir(parents=True, exist_ok=True)
    tokenizers = make_tokenizers(out)
    make_llama(out, tokenizers["llama-tied"])
    make_gemma(out, tokenizers["tokenizer-gemma"])
    make_quants(out)
    make_saes(out)
    make_pursuit(out)
    make_topk_gradient(out)


if __name__ == "__main__":
    main()
