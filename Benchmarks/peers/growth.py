"""How time grows with the work: tokens, features, vectors, coefficients, variants. CPU seconds of our side, one thread.

`ops/bench --growth` runs it after the comparisons' inputs are there; writes growth.json and growth.svg beside the results.
"""

import json
import math
import pathlib

import inputs


def measure(bench, name, parts, times=3):
    """The least of a few runs of every part: what else the machine does only adds."""
    side = bench.ours(name, 1)
    side.time(parts[0])
    found = [min(side.time(part)[1] for _ in range(times)) for part in parts]
    side.close()
    return found


def run(bench):
    bench.model()
    series = []

    def add(title, unit, sizes, seconds):
        series.append({"title": title, "unit": unit, "sizes": sizes, "seconds": seconds})
        print(f"  {title}: " + ", ".join(f"{size}: {second:.3g} s" for size, second in zip(sizes, seconds)), flush=True)

    inputs.prompt(bench.folder, bench.options.examples, bench.tokens())
    sizes = [16, 32, 64, 128, 256, 512, 1024]
    add("prompt, SmolLM2-135M", "tokens", sizes, measure(bench, "prompt", [str(size) for size in sizes]))

    widths, one, many = [2048, 4096, 8192, 16384, 32768, 65536], [], []
    for width in widths:
        inputs.sae(bench.folder, width, dimension=576)
        first, second = measure(bench, "encode", ["1", "16"])
        one.append(first), many.append(second)
    add("encode 1 vector, d 576", "features", widths, one)
    add("encode 16 vectors, d 576", "features", widths, many)

    inputs.sae(bench.folder, 16384, dimension=576)
    sizes = [1, 4, 16, 64, 256]
    add("coefficient ladder, F 16,384, d 576", "coefficients", sizes, measure(bench, "ladder", [str(size) for size in sizes]))

    inputs.pursuit(bench.folder, width=4096, dimension=576)
    sizes = [1, 2, 4, 8, 16, 32]
    add("pursuit to 64 atoms, F 4096, d 576", "vectors", sizes, measure(bench, "pursuit", [str(size) for size in sizes]))

    inputs.evaluation(bench.folder, "letters", bench.options.examples, bench.tokens(), 2)
    sizes = [1, 2, 4, 8]
    add("letters, 2 questions, 11 coefficients", "variants", sizes, measure(bench, "letters", [f"{n} 11" for n in sizes]))
    sizes = [2, 6, 11, 21, 41]
    add("letters, 2 questions, 2 variants", "coefficients", sizes, measure(bench, "letters", [f"2 {n}" for n in sizes]))

    folder = pathlib.Path(bench.options.results)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "growth.json").write_text(json.dumps(series, indent=1) + "\n")
    (folder / "growth.svg").write_text(plot(series))


def plot(series):
    """Small log-log charts side by side; the dashed line is what linear growth from the last point would be."""
    width, height, columns = 300, 220, 3
    rows = math.ceil(len(series) / columns)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width * columns} {height * rows}" font-family="sans-serif" '
        f'font-size="11"><rect width="100%" height="100%" fill="white"/>']
    for index, one in enumerate(series):
        left, top = index % columns * width + 46, index // columns * height + 28
        w, h = width - 66, height - 70
        xs = [math.log10(size) for size in one["sizes"]]
        ys = [math.log10(max(second, 1e-6)) for second in one["seconds"]]
        low, high = math.floor(min(ys)), math.ceil(max(ys))
        high = max(high, low + 1)

        def px(x):
            return left + (x - xs[0]) / (xs[-1] - xs[0]) * w

        def py(y):
            return top + h - (min(max(y, low), high) - low) / (high - low) * h

        parts.append(f'<text x="{left}" y="{top - 10}" font-weight="bold">{one["title"]}</text>')
        for power in range(low, high + 1):
            label = f"{10.0 ** power:g} s"
            parts.append(
                f'<path d="M{left} {py(power):.1f}h{w}" stroke="#ddd"/>'
                f'<text x="{left - 4}" y="{py(power) + 4:.1f}" text-anchor="end" fill="#555">{label}</text>')
        for size, x in zip(one["sizes"], xs):
            parts.append(f'<text x="{px(x):.1f}" y="{top + h + 14}" text-anchor="middle" fill="#555">{short(size)}</text>')
        parts.append(f'<text x="{left + w}" y="{top + h + 28}" text-anchor="end" fill="#555">{one["unit"]}</text>')
        linear = [ys[-1] - (xs[-1] - x) for x in xs]
        line = " ".join(f"{px(x):.1f},{py(y):.1f}" for x, y in zip(xs, linear) if y >= low)
        parts.append(f'<polyline points="{line}" fill="none" stroke="#999" stroke-dasharray="4 3"/>')
        line = " ".join(f"{px(x):.1f},{py(y):.1f}" for x, y in zip(xs, ys))
        parts.append(f'<polyline points="{line}" fill="none" stroke="#1763a6" stroke-width="2"/>')
        parts += [f'<circle cx="{px(x):.1f}" cy="{py(y):.1f}" r="3" fill="#1763a6"/>' for x, y in zip(xs, ys)]
    return "\n".join(parts) + "\n</svg>\n"


def short(size):
    return f"{size // 1024}k" if size >= 2048 else str(size)
