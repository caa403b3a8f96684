package import Diagnostics
package import Kernels

/// A text that the model is to continue.
package struct SamplingRequest: Sendable, Equatable {
  package var prompt: [Int]
  /// Generation ends here at the latest.
  package var maximumTokens: Int
  /// What logits are divided by before the soft-max; 0 takes the highest logit (the lower id of equal ones).
  package var temperature: Double
  /// Draw i of this sequence is draw i of this stream of the seed, whatever else is sampled.
  package var seed: UInt64
  package var stream: UInt64
  /// Tokens after which generation ends.
  package var stopTokens: Set<Int>

  package init(
    prompt: [Int], maximumTokens: Int, temperature: Double, seed: UInt64 = 0, stream: UInt64 = 0,
    stopTokens: Set<Int> = []
  ) {
    self.prompt = prompt
    self.maximumTokens = maximumTokens
    self.temperature = temperature
    self.seed = seed
    self.stream = stream
    self.stopTokens = stopTokens
  }
}

/// What the model wrote.
package struct SampledSequence: Sendable, Equatable {
  /// The tokens after the prompt, a stop token included.
  package var tokens: [Int]
  /// Whether a stop token ended it.
  package var isStopped: Bool
  /// By captured layer, the residual stream at every position of prompt and tokens: `[prompt + tokens, width]`.
  package var residuals: [Int: Matrix]
}

extension LanguageModel {
  /// Continues many texts at once; the results are in the order of the requests, the bits those of one request alone.
  ///
  /// - Parameters:
  ///   - batch: sequences under way at the same time; one that ends makes room for the next. Equal prompts are run once.
  ///   - layers: whose residual streams are kept; they cost memory only, being computed anyway.
  ///   - progress: told the number of tokens sampled so far, after every step; throws to stop.
  /// - Throws: `InputError` for an empty prompt, ids outside the vocabulary, prompt and tokens longer than the context, or a
  ///   temperature other than 0 or 0.001 to 1000.
  package func sample(
    _ requests: [SamplingRequest], batch: Int, capturing layers: [Int] = [],
    progress: (Int) throws(InputError) -> Void = { _ in }
  ) throws(InputError) -> [SampledSequence] {
    precondition(batch > 0, "a batch has sequences")
    precondition(layers.allSatisfy { (0..<architecture.blocks).contains($0) }, "no such layer")
    for (index, request) in requests.enumerated() {
      let subject = "\(name): text \(index) to continue"
      try check(request.prompt, subject: subject)
      guard request.temperature == 0 || (0.001...1000).contains(request.temperature) else {
        throw InputError(subject, expected: "a temperature of 0 or from 0.001 to 1000", found: "\(request.temperature)")
      }
      guard request.maximumTokens >= 0 else {
        throw InputError(subject, expected: "a number of tokens from 0 up", found: "\(request.maximumTokens)")
      }
      let (length, overflow) = request.prompt.count.addingReportingOverflow(request.maximumTokens)
      try checkContext(overflow ? Int.max : length, subject: subject)
    }
    var sampler = BatchSampler(model: self, requests: requests, batch: batch, layers: layers)
    while try sampler.step() { try progress(sampler.sampled) }
    return sampler.results
  }
}
