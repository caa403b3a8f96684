import Diagnostics
import Kernels
import LanguageModels
import Testing

@Suite struct SamplingTests {
  private func requests(_ count: Int) -> [SamplingRequest] {
    (0..<count).map { (index: Int) -> SamplingRequest in
      let start: [Int] = index % 3 == 0 ? [1] : prompt(2 + index % 4, seed: UInt64(index / 2))
      let temperature: Double = index % 4 == 3 ? 0 : 0.5 + Double(index % 2)
      return SamplingRequest(
        prompt: start, maximumTokens: 3 + index * 5 % 11, temperature: temperature, seed: 5, stream: UInt64(index),
        stopTokens: [2, 7, 11])
    }
  }

  @Test(arguments: ["llama", "gemma2"]) func resultsDoNotDependOnTheBatch(_ family: String) throws {
    try TinyModel(family).loaded { model in
      let requests = requests(13)
      let together = try model.sample(requests, batch: 4, capturing: [0, 2])
      let alone = try requests.flatMap { try model.sample([$0], batch: 1, capturing: [0, 2]) }
      #expect(together == alone)
      #expect(try model.sample(requests.reversed(), batch: 13, capturing: [0, 2]) == alone.reversed())
      #expect(try model.sample(requests, batch: 3).map(\.tokens) == alone.map(\.tokens))
      #expect(together.contains { $0.isStopped } && together.contains { !$0.isStopped })
      for (request, sequence) in zip(requests, together) {
        let end = sequence.tokens.firstIndex(where: request.stopTokens.contains)
        #expect(sequence.isStopped == (end != nil))
        #expect(sequence.tokens.count == end.map { $0 + 1 } ?? request.maximumTokens)
      }
    }
  }

  @Test func keptResidualStreamsAreThoseOfAPassOverTheText() throws {
    try TinyModel("gemma2").loaded { model in
      let requests = requests(7)
      for (request, sequence) in zip(requests, try model.sample(requests, batch: 3, capturing: [1, 3])) {
        let text = request.prompt + sequence.tokens
        let whole = try model.forward([text], BlockRun(blocks: 0..<4, capturedLayers: [1, 3]))
        #expect(sequence.residuals == whole.captured)
      }
    }
  }

  @Test func temperatureZeroTakesTheHighestLogit() throws {
    try TinyModel("llama").loaded { model in
      let start = prompt(4)
      let request = SamplingRequest(prompt: start, maximumTokens: 6, temperature: 0)
      var text = start
      for _ in 0..<6 {
        let residual = try model.forward([text], BlockRun(blocks: 0..<4)).residual
        text.append(try #require(argmax(model.logits(residual).row(text.count - 1))))
      }
      #expect(try model.sample([request], batch: 8)[0].tokens == Array(text.dropFirst(4)))
    }
  }

  /// Frequencies of 4,000 draws against the soft-max: each within 4.5 standard deviations.
  @Test(arguments: [0.7, 1.5]) func drawsFollowTheSoftMax(_ temperature: Double) throws {
    try TinyModel("gemma2").loaded { model in
      let start = prompt(3)
      let residual = try model.forward([start], BlockRun(blocks: 0..<4)).residual.rows(2..<3)
      let weights = model.logits(residual).row(0).map { Elementary.exp(Double($0) / temperature) }
      let total = weights.reduce(0, +)
      let draws = 4000
      let requests = (0..<draws).map {
        SamplingRequest(prompt: start, maximumTokens: 1, temperature: temperature, seed: 3, stream: UInt64($0))
      }
      var counts = [Int](repeating: 0, count: weights.count)
      for sequence in try model.sample(requests, batch: 500) { counts[sequence.tokens[0]] += 1 }
      for (count, weight) in zip(counts, weights) {
        let share = weight / total
        let deviation = (Double(draws) * share * (1 - share)).squareRoot()
        #expect(abs(Double(count) - Double(draws) * share) < 4.5 * deviation + 1)
      }
      #expect(counts.filter { $0 > 0 }.count > 5)
    }
  }

  @Test func progressCountsTokensAndCanStop() throws {
    try TinyModel("llama").loaded { model in
      let requests = (0..<3).map {
        SamplingRequest(prompt: [1], maximumTokens: 2 + $0, temperature: 1, stream: UInt64($0))
      }
      var seen: [Int] = []
      _ = try model.sample(requests, batch: 2) { seen.append($0) }
      #expect(seen.last == 9 && seen == seen.sorted())
      let stop = InputError("sampling", expected: "no stop", found: "one")
      #expect(throws: stop) { try model.sample(requests, batch: 2) { _ throws(InputError) in throw stop } }
    }
  }

  @Test func nothingToSampleIsNoError() throws {
    try TinyModel("llama").loaded { model in
      #expect(try model.sample([], batch: 2).isEmpty)
      let none = SamplingRequest(prompt: [4, 5], maximumTokens: 0, temperature: 1)
      let result = try model.sample([none, none], batch: 1, capturing: [2])
      #expect(result.allSatisfy { $0.tokens.isEmpty && !$0.isStopped && $0.residuals[2]?.rows == 2 })
    }
  }

  @Test func wrongRequestsAreRefused() throws {
    try TinyModel("llama").loaded { model in
      func refused(_ prompt: [Int], _ maximum: Int, _ temperature: Double, _ word: String) {
        let request = SamplingRequest(prompt: prompt, maximumTokens: maximum, temperature: temperature)
        let error = #expect(throws: InputError.self) { try model.sample([request], batch: 1) }
        #expect(error?.description.contains(word) == true, "\(String(describing: error))")
      }
      refused([], 1, 1, "at least one token")
      refused([40], 1, 1, "token ids from 0 to 39")
      refused([-1], 1, 1, "token ids from 0 to 39")
      refused(prompt(60), 5, 1, "at most 64 tokens")
      refused([1], Int.max, 1, "at most 64 tokens")
      refused([1], -1, 1, "a number of tokens from 0 up")
      refused([1], 1, -1, "temperature")
      refused([1], 1, .nan, "temperature")
      refused([1], 1, .infinity, "temperature")
    }
  }

  @Test func sequencesThatOutgrowTheContextAreRefused() throws {
    try TinyModel("llama").loaded { model in
      #expect(throws: InputError.self) { try model.check(prompt(65), subject: "--prompt") }
      try model.check(prompt(64), subject: "--prompt")
      var caches = [model.emptyCache()]
      _ = try model.forward([prompt(64)], BlockRun(blocks: 0..<4), caches: &caches)
      let error = #expect(throws: InputError.self) {
        try model.forward([[1]], BlockRun(blocks: 0..<4), caches: &caches)
      }
      #expect(error?.found == "65")
      #expect(throws: InputError.self) { try model.embed([3, 40]) }
    }
  }
}
