import Testing

@testable import Tokenization

@Suite struct BytePairModelTests {
  /// Tokens made by joining earlier ones at random, so that merges overlap and compete.
  private static func randomModel(seed: UInt64, letters: Int, merges: Int) -> (model: BytePairModel, order: [[UInt8]]) {
    var generator = SplitMix(state: seed)
    var vocabulary = Vocabulary(capacity: 0)
    var pieces: [[UInt8]] = (0..<letters).map { [UInt8(ascii: "a") + UInt8($0)] }
    for (id, piece) in pieces.enumerated() { _ = vocabulary.insert(piece, id: id, limit: 1 << 20) }
    var pairs: [UInt64: BytePairModel.Merge] = [:]
    while pairs.count < merges {
      let (left, right) = (
        Int.random(in: pieces.indices, using: &generator), Int.random(in: pieces.indices, using: &generator)
      )
      let piece = pieces[left] + pieces[right]
      guard piece.count < 12, pairs[UInt64(left) << 32 | UInt64(right)] == nil else { continue }
      if vocabulary.id(piece) == nil {
        _ = vocabulary.insert(piece, id: pieces.count, limit: 1 << 20)
        pieces.append(piece)
      }
      let id = vocabulary.id(piece) ?? -1
      pairs[UInt64(left) << 32 | UInt64(right)] = BytePairModel.Merge(rank: UInt32(pairs.count), id: id)
    }
    let bytes = (0...255).map { vocabulary.id([UInt8($0)]) ?? -1 }
    return (BytePairModel(vocabulary: vocabulary, rule: .pairs(pairs), alphabet: .bytes(bytes)), pieces)
  }

  /// The definition, word for word: look through all neighbours, merge the best, begin again.
  private static func slowlyEncode(_ word: [UInt8], _ model: BytePairModel) -> [Int] {
    var symbols = word.map { [$0] }
    while true {
      var best: (rank: UInt32, index: Int)?
      for index in symbols.indices.dropLast() {
        guard let rank = rank(symbols[index], symbols[index + 1], model) else { continue }
        if best.map({ rank < $0.rank }) ?? true { best = (rank, index) }
      }
      guard let best else { break }
      symbols[best.index] += symbols.remove(at: best.index + 1)
    }
    return symbols.map { Int(model.vocabulary.id($0) ?? -1) }
  }

  private static func rank(_ left: [UInt8], _ right: [UInt8], _ model: BytePairModel) -> UInt32? {
    switch model.rule {
    case .pairs(let pairs):
      guard let left = model.vocabulary.id(left), let right = model.vocabulary.id(right) else { return nil }
      return pairs[UInt64(left) << 32 | UInt64(right)]?.rank
    case .scores(let ranks, _):
      return model.vocabulary.id(left + right).map { ranks[Int($0)] }
    }
  }

  private static func encode(_ word: [UInt8], _ model: BytePairModel) -> [Int] {
    var workspace = BytePairModel.Workspace()
    var ids: [Int] = []
    model.encode(word, 0..<word.count, workspace: &workspace, into: &ids)
    return ids
  }

  @Test(arguments: 1...6) func fastAgreesWithSlow(seed: UInt64) {
    var (model, pieces) = Self.randomModel(seed: seed, letters: Int(seed % 3) + 1, merges: 40)
    var generator = SplitMix(state: seed)
    for scored in [false, true] {
      if scored {
        // Many equal scores, so that the leftmost of equals decides.
        let ranks = pieces.map { _ in UInt32(generator.next() % 10) }
        model.rule = .scores(ranks: ranks, longestPiece: pieces.map(\.count).max() ?? 0)
        model.alphabet = .characters(
          Dictionary(
            uniqueKeysWithValues: pieces.prefix { $0.count == 1 }.map {
              (Unicode.Scalar($0[0]), model.vocabulary.id($0) ?? -1)
            }))
      }
      for length in 0..<60 {
        let word = (0..<length).map { _ in UInt8(ascii: "a") + UInt8(generator.next() % (seed % 3 + 1)) }
        #expect(Self.encode(word, model) == Self.slowlyEncode(word, model))
      }
    }
  }

  /// Quadratic work on such a word would take minutes in a debug build.
  @Test func oneLongWordIsNotQuadratic() {
    let (model, _) = Self.randomModel(seed: 2, letters: 1, merges: 8)
    let ids = Self.encode([UInt8](repeating: UInt8(ascii: "a"), count: 20_000), model)
    #expect(ids.reduce(0) { $0 + model.vocabulary.pieces[$1].count } == 20_000)
  }

  @Test func wholeWordsGoBeforeMerges() {
    var vocabulary = Vocabulary(capacity: 4)
    for (id, piece) in ["a", "b", "c", "abc"].enumerated() {
      _ = vocabulary.insert(Array(piece.utf8), id: id, limit: 9)
    }
    let bytes = (0...255).map { vocabulary.id([UInt8($0)]) ?? -1 }
    var model = BytePairModel(vocabulary: vocabulary, rule: .pairs([:]), alphabet: .bytes(bytes))
    #expect(Self.encode(Array("abc".utf8), model) == [0, 1, 2])
    model.takesWholeWords = true
    #expect(Self.encode(Array("abc".utf8), model) == [3])
    #expect(Self.encode(Array("abca".utf8), model) == [0, 1, 2, 0])
  }
}
