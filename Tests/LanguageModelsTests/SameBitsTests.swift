import Kernels
import LanguageModels
import Testing

/// However a sequence is run, the bits are the same: whole, token by token, in a batch, after a shared prefix, on more threads,
/// from a stored residual stream, steered.
@Suite struct SameBitsTests {
  static let families = ["llama", "gemma2", "mistral", "qwen2"]

  private func whole(_ model: LanguageModel, _ tokens: [Int]) throws -> BlockRunResult {
    let all = 0..<model.architecture.blocks
    return try model.forward([tokens], BlockRun(blocks: all, capturedLayers: Array(all)))
  }

  @Test(arguments: families) func tokenByTokenIsWhole(_ family: String) throws {
    try TinyModel(family).loaded { model in
      let tokens = prompt(19)
      let expected = try whole(model, tokens).residual
      var caches = [model.emptyCache()]
      var found = Matrix(rows: 0, columns: model.architecture.width)
      for token in tokens {
        found.append(rows: try model.forward([[token]], BlockRun(blocks: 0..<4), caches: &caches).residual)
      }
      #expect(found == expected)
      #expect((0..<4).allSatisfy { caches[0].count(block: $0) == 19 })
      #expect(caches[0].bytes == 19 * model.architecture.cacheBytesPerToken)
    }
  }

  @Test(arguments: families) func inABatchIsAlone(_ family: String) throws {
    try TinyModel(family).loaded { model in
      let prompts = [prompt(17, seed: 1), prompt(1, seed: 2), prompt(30, seed: 3), prompt(5, seed: 4)]
      let batch = try model.forward(prompts, BlockRun(blocks: 0..<4)).residual
      let alone = try prompts.flatMap { try whole(model, $0).residual.elements }
      #expect(batch.elements == alone)
    }
  }

  @Test(arguments: families) func twoThreadsAreOne(_ family: String) throws {
    let tiny = TinyModel(family)
    func logits(threads: Int) throws -> Matrix {
      try tiny.loaded(threads: threads) { model in model.logits(try whole(model, prompt(23)).residual) }
    }
    #expect(try logits(threads: 1) == logits(threads: 2))
  }

  @Test(arguments: families) func afterASharedPrefixIsWhole(_ family: String) throws {
    try TinyModel(family).loaded { model in
      let start = prompt(12)
      let ends = [prompt(4, seed: 5), prompt(7, seed: 6), prompt(1, seed: 7)]
      var prefix = [model.emptyCache()]
      _ = try model.forward([start], BlockRun(blocks: 0..<4, finalRows: []), caches: &prefix)
      var branches = ends.map { _ in prefix[0].branch(at: 12) }
      let found = try model.forward(ends, BlockRun(blocks: 0..<4), caches: &branches).residual
      let expected = try ends.flatMap { try whole(model, start + $0).residual.rows(12..<12 + $0.count).elements }
      #expect(found.elements == expected)

      // Branches of a branch: within its prefix, at its end, within its tail; and the parent goes on unharmed.
      for position in [5, 12, 14] {
        var branch = [branches[0].branch(at: position)]
        let more = prompt(3, seed: 8)
        let found = try model.forward([more], BlockRun(blocks: 0..<4), caches: &branch).residual
        let tokens = Array((start + ends[0]).prefix(position)) + more
        #expect(try whole(model, tokens).residual.rows(position..<position + 3) == found)
      }
      let last = try model.forward([[3]], BlockRun(blocks: 0..<4), caches: &prefix).residual
      #expect(try whole(model, start + [3]).residual.rows(12..<13) == last)
    }
  }

  @Test(arguments: families) func aCacheMadeAPrefixIsWhole(_ family: String) throws {
    try TinyModel(family).loaded { model in
      let blocks = BlockRun(blocks: 0..<4)
      var caches = [model.emptyCache()]
      var tokens: [Int] = []
      // Without a prefix; then with one and a tail, which are joined.
      for count in [9, 6] {
        tokens += prompt(count, seed: UInt64(count))
        _ = try model.forward([Array(tokens.suffix(count))], blocks, caches: &caches)
        caches = [caches[0].asPrefix()]
        #expect(caches[0].count(block: 3) == tokens.count)
        let ends = [prompt(2, seed: 20), prompt(5, seed: 21)]
        var branches = ends.map { _ in caches[0] }
        let found = try model.forward(ends, blocks, caches: &branches).residual
        let start = tokens.count
        let expected = try ends.flatMap {
          try whole(model, tokens + $0).residual.rows(start..<start + $0.count).elements
        }
        #expect(found.elements == expected)
      }
      caches[0].trim(to: 0, block: 2)
      #expect(caches[0].count(block: 2) == 0 && caches[0].count(block: 1) == tokens.count)
      let held = caches[0].bytes
      caches[0].trim(to: 0)
      #expect(held > 0 && caches[0].bytes == 0)
    }
  }

  @Test func aTrimmedCacheGoesOnFromWhereItWasCut() throws {
    try TinyModel("gemma2").loaded { model in
      let tokens = prompt(15)
      var caches = [model.emptyCache()]
      _ = try model.forward([tokens], BlockRun(blocks: 0..<4), caches: &caches)
      for position in [9, 4] {
        caches[0].trim(to: position)
        let again = try model.forward([Array(tokens[position...])], BlockRun(blocks: 0..<4), caches: &caches).residual
        #expect(try whole(model, tokens).residual.rows(position..<15) == again)
        caches = [caches[0].branch(at: 12)]
      }
    }
  }

  @Test(arguments: families) func fromAStoredResidualStreamIsWhole(_ family: String) throws {
    try TinyModel(family).loaded { model in
      let tokens = prompt(14)
      let expected = try whole(model, tokens)
      let stored = try #require(expected.captured[1])
      var caches = [model.emptyCache()]
      let found = try model.run(BlockRun(blocks: 2..<4), residual: stored, parts: [14], caches: &caches)
      #expect(found.residual == expected.residual)
      #expect(caches[0].count(block: 1) == 0 && caches[0].count(block: 2) == 14)
      let early = try model.forward([tokens], BlockRun(blocks: 0..<2))
      #expect(early.residual == stored)
    }
  }

  @Test(arguments: families) func wantedRowsAreThoseOfAll(_ family: String) throws {
    try TinyModel(family).loaded { model in
      let prompts = [prompt(11, seed: 1), prompt(6, seed: 2), prompt(9, seed: 3)]
      let all = try model.forward(prompts, BlockRun(blocks: 0..<4, capturedLayers: [1, 3]))
      let rows = [25, 3, 4, 10, 17]
      let run = BlockRun(blocks: 0..<4, capturedLayers: [1, 3], capturedRows: [20, 2], finalRows: rows)
      let some = try model.forward(prompts, run)
      #expect(some.residual == all.residual.gathering(rows: rows))
      for layer in [1, 3] { #expect(some.captured[layer] == all.captured[layer]?.gathering(rows: [20, 2])) }
      let lastOnly = try model.forward(prompts, BlockRun(blocks: 0..<4, capturedLayers: [3], finalRows: [0]))
      #expect(lastOnly.captured[3] == all.captured[3] && lastOnly.residual == all.residual.rows(0..<1))
    }
  }

  @Test(arguments: families) func wantedTokensAndBlocksOfRowsAreThoseOfAllLogits(_ family: String) throws {
    try TinyModel(family).loaded { model in
      let tokens = prompt(8)
      let residual = try whole(model, tokens).residual
      let logits = model.logits(residual)
      let wanted = [39, 0, 7, 7, 16]
      let some = model.logits(residual, tokens: wanted)
      #expect((0..<8).allSatisfy { row in some.row(row) == wanted.map { logits[row, $0] } })
      let together = model.logProbabilities(residual, of: tokens)
      let apart = (0..<8).flatMap { model.logProbabilities(residual.rows($0..<$0 + 1), of: [tokens[$0]]) }
      #expect(together == apart)
      #expect(together == model.logProbabilities(residual, of: tokens, rowsAtOnce: 3))
    }
  }

  /// Steering the scored positions only, from a shared prefix and a stored stream, is what the naive full pass gives.
  @Test(arguments: families) func steeringFromWhatIsSharedIsTheFullPass(_ family: String) throws {
    try TinyModel(family).loaded { model in
      let tokens = prompt(16)
      let vector = (0..<24).map { Float($0) * 0.1 - 1 }
      let scored = Array(10..<15)
      let coefficients: [Float] = [-2, -0.3, 0, 1.7]

      var prefix = [model.emptyCache()]
      _ = try model.forward([Array(tokens[..<10])], BlockRun(blocks: 0..<4, finalRows: []), caches: &prefix)
      var once = [prefix[0].branch(at: 10)]
      let answer = Array(tokens[10..<15])
      let stored = try model.forward([answer], BlockRun(blocks: 0..<2), caches: &once).residual
      var batch = Matrix(rows: 0, columns: 24)
      for _ in coefficients { batch.append(rows: stored) }
      for (index, coefficient) in coefficients.enumerated() {
        let rows = Array(index * 5..<index * 5 + 5)
        ResidualAddition(layer: 1, vector: vector, coefficient: coefficient, rows: rows).apply(to: &batch)
      }
      var branches = coefficients.map { _ in prefix[0].branch(at: 10) }
      let fast = try model.run(
        BlockRun(blocks: 2..<4), residual: batch, parts: coefficients.map { _ in 5 }, caches: &branches)

      for (index, coefficient) in coefficients.enumerated() {
        let addition = ResidualAddition(layer: 1, vector: vector, coefficient: coefficient, rows: scored)
        let naive = try model.forward([tokens], BlockRun(blocks: 0..<4, additions: [addition])).residual
        #expect(fast.residual.rows(index * 5..<index * 5 + 5) == naive.rows(10..<15))
        let gathered = BlockRun(blocks: 0..<4, additions: [addition], finalRows: [14])
        #expect(try model.forward([tokens], gathered).residual == naive.rows(14..<15))
      }
    }
  }

  @Test func steeringAddsFusedAndIsSeenByWhatIsKept() throws {
    try TinyModel("llama").loaded { model in
      let tokens = prompt(6)
      let vector = (0..<24).map { Float($0).squareRoot() }
      let plain = try #require(try whole(model, tokens).captured[3])
      for final in [nil, [2, 5]] as [[Int]?] {
        let addition = ResidualAddition(layer: 3, vector: vector, coefficient: 0.7, rows: [5, 2])
        let run = BlockRun(blocks: 0..<4, additions: [addition], capturedLayers: [3], finalRows: final)
        let steered = try #require(try model.forward([tokens], run).captured[3])
        for row in 0..<6 {
          let expected =
            [2, 5].contains(row) ? zip(plain.row(row), vector).map { $0.addingProduct(0.7, $1) } : plain.row(row)
          #expect(steered.row(row) == expected)
        }
      }
    }
  }

  @Test func droppedKeysAndValuesLeaveTheCachesAsTheyWere() throws {
    try TinyModel("llama").loaded { model in
      var caches = [model.emptyCache()]
      _ = try model.forward([prompt(5)], BlockRun(blocks: 0..<4), caches: &caches)
      let more = prompt(3, seed: 2)
      let first = try model.forward([more], BlockRun(blocks: 0..<4, keepsCache: false), caches: &caches).residual
      #expect((0..<4).allSatisfy { caches[0].count(block: $0) == 5 })
      let second = try model.forward([more], BlockRun(blocks: 0..<4), caches: &caches).residual
      #expect(first == second)
      #expect(try whole(model, prompt(5) + more).residual.rows(5..<8) == first)
    }
  }
}
