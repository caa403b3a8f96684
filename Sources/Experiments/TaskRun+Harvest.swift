internal import Diagnostics
internal import Foundation
internal import Kernels
internal import LanguageModels
internal import Steering
internal import SweepRecords
internal import TensorFiles
internal import Tokenization

/// Activations of text, read or sampled by the model itself.
extension TaskRun {
  func harvest(_ work: HarvestWork) throws -> TaskResult {
    let prompted = try model(work.model, layers: work.layers)
    let contexts: [HarvestContext]
    switch work.source {
    case .sample(let seed, let from, let to, let length, let temperature):
      return try sample(prompted, sequences: from..<to, seed: seed, length: length, temperature: temperature)
    case .text(let text, let from, let to, let context):
      contexts = try self.contexts(prompted, text: text, tokens: from..<to, length: context)
    case .sampled(let tokens): contexts = try sampledContexts(tokens)
    }
    let activations = try read(contexts, prompted, work)
    var writer = SafetensorsWriter()
    for (layer, matrix) in activations { try writer.add("layer.\(layer)", matrix) }
    return TaskResult(
      artifacts: [Artifact(name: "activations", bytes: writer.bytes())],
      effort: TaskEffort(tokens: contexts.reduce(0) { $0 + $1.tokens.count }))
  }

  /// The contexts of a slice of a text's tokens; the first position of each says little and is left out.
  private func contexts(
    _ prompted: PromptedModel, text: InputReference, tokens: Range<Int>, length: Int
  ) throws -> [HarvestContext] {
    let all = try prompted.tokenizer.encode(bytes: try bytes(text))
    let slice = Array(all[min(tokens.lowerBound, all.count)..<min(tokens.upperBound, all.count)])
    let start = prompted.tokenizer.wantsBeginningOfText ? [prompted.tokenizer.beginningOfText].compactMap { $0 } : []
    let own = max(length - start.count, 1)
    return stride(from: 0, to: slice.count, by: own).map {
      HarvestContext(tokens: start + slice[$0..<min($0 + own, slice.count)], skipped: 1)
    }
  }

  /// The residual stream of the contexts, without the positions that are skipped, by layer: [tokens, d].
  private func read(
    _ contexts: [HarvestContext], _ prompted: PromptedModel, _ work: HarvestWork
  ) throws -> [Int: Matrix] {
    let (model, layers) = (prompted.model, work.layers)
    let width = model.architecture.width
    let earlier = executor.streams(of: work.source, model: work.model, below: layers.min() ?? 0)
    var streams: [ResidualStream] = []
    var result = Dictionary(uniqueKeysWithValues: layers.map { ($0, Matrix(rows: 0, columns: width)) })
    for index in stride(from: 0, to: contexts.count, by: 8) {
      let chosen = Array(contexts[index..<min(index + 8, contexts.count)])
      var caches = chosen.map { _ in model.emptyCache() }
      let (captured, stream) = try model.advance(
        chosen.map(\.tokens), to: layers, from: earlier?[index / 8], caches: &caches, keepsCache: false)
      streams.append(stream)
      var row = 0
      for context in chosen {
        let rows = row + min(context.skipped, context.tokens.count)..<row + context.tokens.count
        for layer in layers {
          if let kept = captured[layer]?.rows(rows) { result[layer]?.append(rows: kept) }
        }
        row += context.tokens.count
      }
      guard advance(Double(index + chosen.count) / Double(contexts.count)) else { throw CancellationError() }
    }
    executor.keep(streams, of: work.source, model: work.model)
    return result
  }

  /// Sequences that the model writes itself: even ones after the end-of-text token, odd ones as the user's turn of a
  /// conversation, which the model goes on with. What it was started with is there too, marked as skipped.
  private func sample(
    _ prompted: PromptedModel, sequences: Range<Int>, seed: UInt64, length: Int, temperature: Double
  ) throws -> TaskResult {
    let starts = try SampledText.starts(prompted)
    let requests = sequences.map { index in
      SamplingRequest(
        prompt: starts[index % starts.count], maximumTokens: length, temperature: temperature, seed: seed,
        stream: UInt64(index), stopTokens: [])
    }
    let total = requests.count * length
    let sampled = try prompted.model.sample(requests, batch: 64) { tokens throws(InputError) in
      guard advance(Double(tokens) / Double(total)) else {
        throw InputError("sampling", expected: "to go on", found: "a request to stop")
      }
    }
    let texts = zip(requests, sampled).map { $0.prompt + $1.tokens }
    var writer = SafetensorsWriter()
    let tokens = texts.flatMap { $0 }
    try writer.add("tokens", shape: [tokens.count], integers: tokens)
    try writer.add("lengths", shape: [texts.count], integers: texts.map(\.count))
    try writer.add("skipped", shape: [texts.count], integers: requests.map(\.prompt.count))
    return TaskResult(
      artifacts: [Artifact(name: "tokens", bytes: writer.bytes())], effort: TaskEffort(tokens: tokens.count))
  }

  /// The sequences that a sampling task wrote.
  private func sampledContexts(_ reference: InputReference) throws -> [HarvestContext] {
    let file = try tensors(reference)
    let tokens = try file.tensor(named: "tokens").integers()
    let lengths = try file.tensor(named: "lengths").integers()
    let skipped = try file.tensor(named: "skipped").integers()
    guard lengths.count == skipped.count, lengths.allSatisfy({ $0 >= 0 }), lengths.reduce(0, +) == tokens.count else {
      throw InputError(file.name, expected: "lengths that add up to the tokens", found: "others")
    }
    var start = 0
    return zip(lengths, skipped).map { length, skipped in
      start += length
      return HarvestContext(tokens: Array(tokens[start - length..<start]), skipped: skipped)
    }
  }

  func statistics(_ work: StatisticsWork) throws -> TaskResult {
    var writer = SafetensorsWriter()
    var rows: [TableRow] = []
    for (index, layer) in work.layers.enumerated() {
      let activations = try stacked("layer.\(layer)", slices: work.slices)
      let norms = ActivationNorms(activations, pool: pool)
      try writer.add("mean.\(layer)", norms.mean)
      try writer.add("norms.\(layer)", norms.sorted)
      rows.append(norms.row(layer: layer))
      guard advance(Double(index + 1) / Double(work.layers.count)) else { throw CancellationError() }
    }
    return TaskResult(artifacts: [Artifact(name: "statistics", bytes: writer.bytes())], rows: rows)
  }

  /// A layer's norms as a statistics task left them.
  func norms(_ reference: InputReference, layer: Int) throws -> ActivationNorms {
    ActivationNorms(
      sorted: try vector("norms.\(layer)", in: reference), mean: try vector("mean.\(layer)", in: reference), excluded: 0
    )
  }
}

/// A sequence that is run for its activations.
private struct HarvestContext {
  var tokens: [Int]
  /// How many first positions don't count: a beginning-of-text token, or what the model was given rather than wrote.
  var skipped: Int
}

/// How the model is started when it writes its own text.
enum SampledText {
  /// The end-of-text token, and where the tokenizer knows a chat template the beginning of a conversation's user turn.
  static func starts(_ prompted: PromptedModel) throws(InputError) -> [[Int]] {
    let tokenizer = prompted.tokenizer
    guard let end = tokenizer.id(ofToken: "<|endoftext|>") ?? tokenizer.beginningOfText ?? tokenizer.endOfText else {
      throw InputError(
        "activations.sample", expected: "a tokenizer with an end-of-text token to start from", found: "none",
        remedy: "give a text file instead: activations: {text: ..., tokens: ...}")
    }
    let marker = "\u{1}"
    let turn = prompted.template.render(prompt: marker)
    guard prompted.template.family != .raw, let place = turn.range(of: marker) else { return [[end]] }
    let conversation = try tokenizer.encode(
      String(turn[..<place.lowerBound]), addingBeginningOfText: prompted.template.beginsWithBeginningOfText)
    return conversation.isEmpty ? [[end]] : [[end], conversation]
  }
}

extension ActivationNorms {
  /// The `activation_statistics` row of a layer.
  func row(layer: Int) -> TableRow {
    var cells: [String: Cell] = [
      "layer": .integer(layer), "tokens": .integer(sorted.count), "excluded": .integer(excluded),
      "mean_norm": Cell(sorted.reduce(0.0) { $0 + Double($1) } / Double(sorted.count)),
      "norm_min": Cell(sorted.first), "norm_max": Cell(sorted.last), "mean_vector_norm": Cell(norm(mean)),
      "norm_histogram": .text(histogram(bins: 40)),
    ]
    for percent in [1, 5, 25, 50, 75, 95, 99] {
      cells["norm_p" + (percent < 10 ? "0" : "") + "\(percent)"] = Cell(percentile(Double(percent)))
    }
    return TableRow(.activationStatistics, cells)
  }

  /// {"edges": [...], "counts": [...]} over equal bins from the smallest to the largest norm.
  private func histogram(bins: Int) -> String {
    guard let low = sorted.first, let high = sorted.last, high > low else { return #"{"edges":[],"counts":[]}"# }
    let edges = (0...bins).map { Double(low) + Double($0) * (Double(high) - Double(low)) / Double(bins) }
    var counts = [Int](repeating: 0, count: bins)
    for norm in sorted {
      let place = (Double(norm) - Double(low)) / (Double(high) - Double(low)) * Double(bins)
      counts[min(Int(place), bins - 1)] += 1
    }
    return #"{"edges":\#(edges),"counts":\#(counts)}"#
  }
}
