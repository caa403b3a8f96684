internal import Diagnostics
internal import Kernels
internal import Synchronization

/// Keeps a batch of sequences full: samples a token for each, runs them all as one batch, and refills what ended.
struct BatchSampler {
  /// A sequence under way.
  private struct Slot {
    let request: Int
    var generator: CounterGenerator
    /// The residual stream after the last block at the last position run: what the next token is sampled from.
    var row: [Float]
    var sequence: SampledSequence
    var isFinished = false
  }

  /// A prompt that was run, for all requests that begin with it.
  private struct PreparedPrompt {
    var cache: KeyValueCache
    var row: [Float]
    var residuals: [Int: Matrix]
  }

  private let model: LanguageModel
  private let requests: [SamplingRequest]
  private let batch: Int
  private let layers: [Int]
  private var slots: [Slot] = []
  /// `caches[i]` belongs to `slots[i]`.
  private var caches: [KeyValueCache] = []
  private var prepared: [[Int]: PreparedPrompt] = [:]
  private var usesLeft: [[Int]: Int] = [:]
  private var next = 0
  /// In the order of the requests; placeholders until a request is done.
  private(set) var results: [SampledSequence]
  /// Tokens sampled so far.
  private(set) var sampled = 0

  init(model: LanguageModel, requests: [SamplingRequest], batch: Int, layers: [Int]) {
    self.model = model
    self.requests = requests
    self.batch = batch
    self.layers = layers
    results = requests.map { _ in SampledSequence(tokens: [], isStopped: false, residuals: [:]) }
    for request in requests { usesLeft[request.prompt, default: 0] += 1 }
  }

  /// One token for every sequence under way; false when all requests are done.
  mutating func step() throws(InputError) -> Bool {
    try fill()
    guard !slots.isEmpty else { return false }
    let tokens = chooseTokens()
    for (index, token) in tokens.enumerated() { take(token, slot: index) }
    sampled += tokens.count
    // Without layers to keep, nobody needs the last token to be run.
    if layers.isEmpty { removeFinished() }
    if !slots.isEmpty { try advance() }
    removeFinished()
    return true
  }

  /// Starts requests until the batch is full.
  private mutating func fill() throws(InputError) {
    while slots.count < batch, next < requests.count {
      let new = next..<min(requests.count, next + batch - slots.count)
      next = new.upperBound
      try prepare(new.map { requests[$0].prompt })
      for index in new { start(index) }
    }
  }

  private mutating func start(_ index: Int) {
    let request = requests[index]
    guard let prompt = prepared[request.prompt] else { preconditionFailure("the prompt was run") }
    let uses = (usesLeft[request.prompt] ?? 1) - 1
    usesLeft[request.prompt] = uses
    if uses == 0 { prepared[request.prompt] = nil }
    let sequence = SampledSequence(tokens: [], isStopped: false, residuals: prompt.residuals)
    guard request.maximumTokens > 0 else {
      results[index] = sequence
      return
    }
    slots.append(
      Slot(
        request: index, generator: CounterGenerator(seed: request.seed, stream: request.stream), row: prompt.row,
        sequence: sequence))
    caches.append(prompt.cache.branch(at: request.prompt.count))
  }

  /// Runs those prompts that were not run yet, about 2,048 tokens at a time.
  private mutating func prepare(_ prompts: [[Int]]) throws(InputError) {
    var waiting: [[Int]] = []
    var seen: Set<[Int]> = []
    for prompt in prompts where prepared[prompt] == nil && seen.insert(prompt).inserted { waiting.append(prompt) }
    while !waiting.isEmpty {
      var count = 0
      var tokens = 0
      while count < waiting.count, count == 0 || tokens + waiting[count].count <= 2048 {
        tokens += waiting[count].count
        count += 1
      }
      try run(Array(waiting.prefix(count)))
      waiting.removeFirst(count)
    }
  }

  private mutating func run(_ prompts: [[Int]]) throws(InputError) {
    var caches = prompts.map { _ in model.emptyCache() }
    var ends: [Int] = []
    for prompt in prompts { ends.append((ends.last ?? 0) + prompt.count) }
    let run = BlockRun(
      blocks: 0..<model.architecture.blocks, capturedLayers: layers, finalRows: ends.map { $0 - 1 })
    let result = try model.forward(prompts, run, caches: &caches)
    for (index, prompt) in prompts.enumerated() {
      let rows = ends[index] - prompt.count..<ends[index]
      prepared[prompt] = PreparedPrompt(
        cache: caches[index], row: result.residual.row(index), residuals: result.captured.mapValues { $0.rows(rows) })
    }
  }

  /// Draws a token for every slot.
  private mutating func chooseTokens() -> [Int] {
    let rows = Matrix(slots.map(\.row), columns: model.architecture.width)
    let logits = model.logits(rows)
    var choices: [TokenChoice] = []
    for index in slots.indices {
      let temperature = requests[slots[index].request].temperature
      // A greedy sequence draws nothing, so that its stream does not matter.
      choices.append(
        TokenChoice(temperature: temperature, draw: temperature > 0 ? slots[index].generator.uniform() : 0))
    }
    let tokens = Mutex([Int](repeating: 0, count: slots.count))
    let pool = model.pool
    pool.forEach(slots.count) { [choices] index in
      let token = choices[index].token(logits.rows(index..<index + 1), pool: pool)
      tokens.withLock { $0[index] = token }
    }
    return tokens.withLock { $0 }
  }

  private mutating func take(_ token: Int, slot index: Int) {
    let request = requests[slots[index].request]
    slots[index].sequence.tokens.append(token)
    slots[index].sequence.isStopped = request.stopTokens.contains(token)
    slots[index].isFinished =
      slots[index].sequence.isStopped || slots[index].sequence.tokens.count == request.maximumTokens
  }

  /// Runs the new tokens, all sequences as one batch.
  private mutating func advance() throws(InputError) {
    let going = slots.indices.filter { !slots[$0].isFinished }
    // When nobody goes on, only what is kept has to be computed.
    let top = going.isEmpty ? (layers.max() ?? -1) + 1 : model.architecture.blocks
    let run = BlockRun(blocks: 0..<top, capturedLayers: layers, finalRows: going)
    let tokens = slots.map { [$0.sequence.tokens[$0.sequence.tokens.count - 1]] }
    let result = try model.forward(tokens, run, caches: &caches)
    for (row, index) in going.enumerated() { slots[index].row = result.residual.row(row) }
    for (layer, matrix) in result.captured {
      for index in slots.indices {
        slots[index].sequence.residuals[layer]?.append(rows: matrix.rows(index..<index + 1))
      }
    }
  }

  private mutating func removeFinished() {
    for index in slots.indices.reversed() where slots[index].isFinished {
      results[slots[index].request] = slots[index].sequence
      slots.remove(at: index)
      caches.remove(at: index)
    }
  }
}

/// How one token is drawn from its logits.
struct TokenChoice: Sendable {
  /// 0 for the highest logit.
  var temperature: Double
  /// A uniform number in [0, 1).
  var draw: Double

  /// The token at which the cumulated probabilities pass the draw; `logits` is one row.
  func token(_ logits: Matrix, pool: ThreadPool) -> Int {
    guard temperature > 0 else { return argmax(logits.elements) ?? 0 }
    var probabilities = logits
    scale(&probabilities, by: Float(1 / temperature), pool: pool)
    softmaxRows(&probabilities, pool: pool)
    var total = 0.0
    for probability in probabilities.elements { total += Double(probability) }
    let target = draw * total
    var passed = 0.0
    for (token, probability) in probabilities.elements.enumerated() {
      passed += Double(probability)
      if passed > target { return token }
    }
    // Only the rounding of the target leads here: the last token that has any probability.
    return probabilities.elements.lastIndex { $0 > 0 } ?? 0
  }
}
