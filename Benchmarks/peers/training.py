"""Training steps of a TopK SAE in PyTorch with autograd and Adam, from the state that the other side started from."""

import torch

from peer import arguments, load, serve

folder, threads = arguments()
torch.set_num_threads(threads)
tensors, settings = load(folder, "training")
start, _ = load(folder, "training.state")
sparsity, batch, steps = (int(settings[key]) for key in ("sparsity", "batch", "steps"))
activations = torch.from_numpy(tensors["activations"])[:batch]
x = activations * (activations.shape[1] ** 0.5 / activations.norm(dim=1).mean())
parameters = {
    key: torch.nn.Parameter(torch.from_numpy(start["parameter." + key].copy()))
    for key in ("encoder", "decoder", "encoder_bias", "decoder_bias")}
optimizer = torch.optim.Adam(parameters.values(), lr=1e-3)


def step():
    encoder, decoder, encoder_bias, decoder_bias = parameters.values()
    pre = (x - decoder_bias) @ encoder.T + encoder_bias
    values, indices = torch.relu(pre).topk(sparsity, dim=1)
    code = torch.zeros_like(pre).scatter(1, indices, values)
    loss = ((code @ decoder + decoder_bias - x) ** 2).sum(1).mean()
    optimizer.zero_grad()
    loss.backward()
    with torch.no_grad():
        decoder.grad -= (decoder.grad * decoder).sum(1, keepdim=True) * decoder
    optimizer.step()
    with torch.no_grad():
        decoder /= decoder.norm(dim=1, keepdim=True)


for _ in range(steps):
    step()
result = {"parameter." + key: value.detach().numpy().copy() for key, value in parameters.items()}
serve(folder, "training", result, lambda line: [step() for _ in range(int(line or 1))])
