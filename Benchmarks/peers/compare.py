"""Runs the comparisons: both sides take turns, piece by piece; a row's ratio is the median of the turns' ratios.

Called by `ops/bench`, which installs what this needs.
"""

import argparse
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np

import growth
import inputs
from peer import load

HERE = pathlib.Path(__file__).resolve().parent


class Side:
    """One process that computes its result and then works piece by piece."""

    def __init__(self, command, environment):
        self.name = " ".join(pathlib.Path(part).name for part in command[-4:])
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
        self.command = command

    def wait(self):
        line = self.process.stdout.readline()
        if line.strip() != "ready":
            raise SystemExit(f"{self.name}: {line.strip() or 'ended'} (status {self.process.wait()})")

    def time(self, piece):
        """Seconds of one piece: wall clock, CPU."""
        self.process.stdin.write(f"{piece}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if len(answer) != 2:
            raise SystemExit(f"{self.name}: ended during {piece}")
        return float(answer[0]), float(answer[1])

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Bench:
    def __init__(self, options):
        self.options = options
        self.folder = str(options.folder)
        self.rows = []

    # Both sides.

    def ours(self, name, threads):
        side = Side([self.options.comparisons, name, self.folder, str(threads)], {})
        side.wait()
        return side

    def peer(self, script, threads, *more):
        side = Side(
            [sys.executable, str(HERE / f"{script}.py"), self.folder, str(threads), *more],
            {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false",
             "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_OFFLINE": "1"})
        side.wait()
        return side

    def agree(self, name, tolerance, pairs=None, norm=None):
        """Refuses to time what does not compute the same numbers: the difference over the peer's, by largest magnitude or `norm`."""
        norm = norm or (lambda x: np.abs(x).max())
        ours, peer = load(self.folder, f"{name}.ours")[0], load(self.folder, f"{name}.peer")[0]
        worst = 0.0
        for key, (a, b) in (pairs(ours, peer) if pairs else {key: (ours[key], peer[key]) for key in peer}).items():
            a, b = np.asarray(a, np.float64).ravel(), np.asarray(b, np.float64).ravel()
            error = norm(a - b) / norm(b)
            if not error <= tolerance:
                raise SystemExit(f"{name}: {key} differs by {error:.2e} of the peer's, {tolerance:.0e} is allowed")
            worst = max(worst, error)
        print(f"  {name}: both sides agree within {worst:.1e} (allowed {tolerance:.0e})", file=sys.stderr)

    def turns(self, first, second, piece, other=None, seconds=None, scale=1.0):
        """Alternates two sides; medians of both and of the ratios second / first, the second's seconds times `scale`."""
        other = piece if other is None else other
        first.time(piece)
        second.time(other)
        times, cpus, end = [], [], time.monotonic() + (seconds or self.options.seconds)
        while len(times) < self.options.turns or (time.monotonic() < end and len(times) < 400):
            # Whoever comes first is warmed by nobody: swap.
            if len(times) % 2:
                b, a = second.time(other), first.time(piece)
            else:
                a, b = first.time(piece), second.time(other)
            clock = 0 if self.options.clock == "wall" else 1
            times.append((a[clock], b[clock] * scale))
            cpus.append((a[1], b[1] * scale))
        ratio = statistics.median(b / a for a, b in times)
        spread = statistics.quantiles([b / a for a, b in times], n=4) if len(times) > 1 else [ratio] * 3
        cpu = statistics.median(b / a for a, b in cpus if a > 0) if any(a > 0 for a, _ in cpus) else float("nan")
        print(
            f"  {piece}: ratio {ratio:.3f} (quartiles {spread[0]:.3f} to {spread[2]:.3f}, CPU {cpu:.3f}, {len(times)} turns)",
            file=sys.stderr)
        return statistics.median(a for a, _ in times), statistics.median(b for _, b in times), ratio

    def add(self, name, measured, peer_name, unit, target):
        ours, peer, ratio = measured
        self.rows.append({
            "name": name, "ours": ours, "peer": peer, "peer_name": peer_name, "unit": unit, "ratio": ratio,
            "target": target})

    # Comparisons.

    def gemm(self):
        inputs.gemm(self.folder)
        ours, peer = self.ours("gemm", 1), self.peer("gemm", 1)
        self.agree("gemm", 1e-4)
        ratios = []
        for shape in inputs.SHAPES:
            measured = self.turns(ours, peer, shape, seconds=self.options.seconds / 3)
            ratios.append(measured[2])
            self.add(f"GEMM {shape}, 1 thread", measured, "OpenBLAS", "s", 1.05)
        self.add(
            "GEMM, all shapes (geometric mean), 1 thread",
            (1.0, statistics.geometric_mean(ratios), statistics.geometric_mean(ratios)), "OpenBLAS", "relative time", 1.05)
        ours.close(), peer.close()

    def encode(self):
        inputs.sae(self.folder, 65536)
        ours, peer = self.ours("encode", 1), self.peer("encode", 1)
        self.agree("encode", 1e-4)
        for count, target in ((16, 3.0), (64, 2.0)):
            measured = self.turns(ours, peer, str(count))
            self.add(f"encode {count} vectors, F 65,536, d 2304, 1 thread", measured, "PyTorch", "s", target)
        ours.close(), peer.close()

    def ladder(self):
        inputs.sae(self.folder, 16384)
        ours, peer = self.ours("ladder", 1), self.peer("ladder", 1)
        self.agree("ladder", 1e-4, lambda a, b: {
            "codes": (a["codes"][np.argsort(a["coefficients"])], b["codes"][np.argsort(b["coefficients"])])})
        peer.close()
        again = self.ours("ladder", 1)
        measured = self.turns(ours, again, "64", "1")
        self.add("64 coefficients against 1, F 16,384, d 2304", measured, "1 coefficient", "s", round(1 / 1.3, 3))
        ours.close(), again.close()

    def pursuit(self):
        inputs.pursuit(self.folder)
        ours, peer = self.ours("pursuit", 1), self.peer("pursuit", 1)
        self.agree("pursuit", 1e-3, lambda a, b: {key: (a["reconstructions"], b[key]) for key in b})
        title = "gradient pursuit to 64 atoms, F 16,384, d 2304, 32 vectors, 1 thread"
        self.add(title, self.turns(ours, peer, "all", "dense"), "PyTorch", "s", 4.0)
        self.add(title, self.turns(ours, peer, "all", "gathered"), "PyTorch, chosen atoms gathered", "s", None)
        ours.close(), peer.close()

    def training(self):
        inputs.training(self.folder)
        for threads in (1, self.options.threads):
            ours = self.ours("training", threads)
            peer = self.peer("training", threads)
            # Adam divides a gradient by its own size: where it is all but 0, rounding decides the sign of a whole step.
            self.agree("training", 1e-2, norm=np.linalg.norm)
            measured = self.turns(ours, peer, "2", scale=1)
            self.add(
                f"SAE training step, d 576, F 4096, batch 1024, {threads} thread{'s' * (threads > 1)}",
                (measured[0] / 2, measured[1] / 2, measured[2]), "PyTorch", "s", 1.3)
            ours.close(), peer.close()

    def prompt(self):
        self.model()
        inputs.prompt(self.folder, self.options.examples, self.tokens())
        for threads in (1, self.options.threads):
            ours, peer = self.ours("prompt", threads), self.peer("prompt", threads)
            self.agree("prompt", 1e-4)
            measured = self.turns(ours, peer, "all")
            self.add(
                f"prompt processing, SmolLM2-135M, 256 tokens, {threads} thread{'s' * (threads > 1)}", measured,
                "PyTorch + transformers", "s", 1.3)
            ours.close(), peer.close()

    def letters(self):
        self.evaluation("letters", "letter-answer evaluation", 100.0)

    def completions(self):
        self.evaluation("completions", "whole-completion evaluation", 12.0)

    def evaluation(self, name, title, target):
        questions = 8 if name == "letters" else 1
        self.model()
        inputs.evaluation(self.folder, name, self.options.examples, self.tokens(), questions)
        threads = self.options.threads
        ours, peer = self.ours(name, threads), self.peer("evaluation", threads, name)
        given = load(self.folder, name)[0]
        self.agree(name, 1e-3, lambda a, b: {
            "propensities": ([a["propensities"][tuple(case)] for case in given["cases"]], b["propensities"])})
        passes = len(given["vectors"]) * questions * len(given["coefficients"]) * (1 if name == "letters" else 2)
        each = 4
        measured = self.turns(ours, peer, "all", str(each), seconds=2 * self.options.seconds, scale=passes / each)
        self.add(
            f"{title}, 94-token prompts, {questions} questions, 41 coefficients x 10 variants, {threads} threads", measured,
            "naive loop in PyTorch", "s", target)
        if name == "completions":
            again = self.ours(name, threads)
            measured = self.turns(ours, again, "all", "floor")
            self.add(
                f"{title}, against the work that can't be shared", measured, "the same multiply-adds as one GEMM shape", "s",
                round(1 / 1.3, 3))
            again.close()
        ours.close(), peer.close()

    def load(self):
        inputs.sae(self.folder, 65536)
        vector = f"{self.folder}/vectors.safetensors:vector"
        inputs.store(self.folder, "vector", {"vector": inputs.gaussian(4, 2304)})
        command = [
            self.options.steerscope, "decompose", "--sae", f"{self.folder}/sae", "--vector",
            f"{self.folder}/vector.safetensors:vector", "--method", "encode", "--threads", "1", "--format", "json"]
        weights = pathlib.Path(self.folder) / "sae" / "sae_weights.safetensors"
        measured, most = [], 0
        for _ in range(6):
            reading = read_once(weights)
            seconds, anonymous = watch(command)
            measured.append((seconds, reading))
            most = max(most, anonymous)
        ours, peer = (statistics.median(part) for part in zip(*measured[1:]))
        ratio = statistics.median(b / a for a, b in measured[1:])
        self.add(
            "load of a 65k SAE (1.2 GB) to the first result, warm cache, 1 thread", (ours, peer, ratio),
            "reading the file once", "s", None)
        self.add(
            "peak anonymous memory of that", (most, 200.0, 200.0 / most), "the allowed 200 MB", "MB", 1.0)

    def wide(self):
        path = inputs.wide(self.folder)
        inputs.store(self.folder, "vector", {"vector": inputs.gaussian(4, 2304)})
        most, total = 0, 0.0
        for method in ("encode", "gradient-pursuit-signed"):
            command = [
                self.options.steerscope, "decompose", "--sae", str(path), "--vector",
                f"{self.folder}/vector.safetensors:vector", "--method", method, "--format", "json"]
            if method != "encode":
                command += ["--sparsity", "4"]
            seconds, anonymous = watch(command)
            print(f"  {method}: {seconds:.1f} s, {anonymous:.0f} MB of anonymous memory", file=sys.stderr)
            most, total = max(most, anonymous), total + seconds
        self.add(
            "F 1,048,576, d 2304 (19 GB): peak anonymous memory of decompose", (most, 2048.0, 2048.0 / most),
            "the allowed 2 GB", "MB", 1.0)
        for file in path.iterdir():
            file.unlink()

    def machine(self):
        """What `steerscope bench` measures against this machine's own peak and bandwidth."""
        answer = subprocess.run(
            [self.options.steerscope, "bench", "--format", "json"], capture_output=True, text=True)
        if answer.returncode != 0:
            raise SystemExit(f"steerscope bench: {answer.stderr.strip().splitlines()[-1:]}")
        self.rows += json.loads(answer.stdout)["comparisons"]

    def model(self):
        inputs.model(self.folder, self.options.gguf)

    def tokens(self):
        return inputs.Tokens(self.options.steerscope, self.options.gguf)


def read_once(path):
    """Seconds to read a file from the page cache, one thread."""
    buffer = bytearray(1 << 20)
    start = time.perf_counter()
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
    return time.perf_counter() - start


def watch(command):
    """Seconds of a command, and the most megabytes of anonymous memory that it had."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    most = 0
    while process.poll() is None:
        try:
            with open(f"/proc/{process.pid}/status") as status:
                for line in status:
                    if line.startswith("RssAnon:"):
                        most = max(most, int(line.split()[1]))
        except OSError:
            break
        time.sleep(0.002)
    if process.wait() != 0:
        raise SystemExit(f"{' '.join(command)}: status {process.returncode}")
    return time.perf_counter() - start, most / 1024


NAMES = ["machine", "gemm", "encode", "ladder", "prompt", "letters", "completions", "pursuit", "training", "load", "wide"]


def machine(threads, clock):
    text = pathlib.Path("/proc/cpuinfo").read_text()
    facts = dict(
        (key.strip(), value.strip())
        for key, _, value in (line.partition(":") for line in text.splitlines()) if key.strip())
    return {
        "cpu": facts.get("model name", "unknown"), "family": facts.get("cpu family"), "model": facts.get("model"),
        "threads": threads, "level": os.environ.get("STEERSCOPE_CPU") or "x86-64-v3",
        "clock": clock,
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)}


def main():
    parser = argparse.ArgumentParser()
    for name in ("folder", "comparisons", "steerscope", "gguf", "examples", "results"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--only", action="append", choices=NAMES, help="one comparison; several times for several")
    parser.add_argument("--growth", action="store_true", help="instead: how time grows with the work")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--seconds", type=float, default=12, help="of turns for each row")
    parser.add_argument("--turns", type=int, default=5, help="at least, whatever the seconds")
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall",
        help="cpu: compare CPU seconds, for a machine that does other things too")
    options = parser.parse_args()
    bench = Bench(options)
    if options.growth:
        growth.run(bench)
        return
    for name in options.only or NAMES:
        print(name, file=sys.stderr)
        getattr(bench, name)()
    print(f"\n{'':76}{'ours':>10}{'peer':>10}  {'ratio':>7} {'target':>7}")
    for row in bench.rows:
        target = f"{row['target']:7.2f}" if row["target"] is not None else "      -"
        print(f"{row['name'][:75]:76}{row['ours']:10.4g}{row['peer']:10.4g}  {row['ratio']:7.2f} {target}  {row['peer_name']}")
    if not options.only:
        facts = machine(options.threads, options.clock)
        name = f"{datetime.date.today()}-family{facts['family']}-model{facts['model']}.json"
        path = pathlib.Path(options.results) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"machine": facts, "comparisons": bench.rows}, indent=1) + "\n")
        print(f"\nwritten: {path}")


main()
