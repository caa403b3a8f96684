internal import Kernels
internal import LanguageModels

/// The tokens with which several sequences begin (a template's system prompt, say), run through the model once.
struct SharedHead {
  let count: Int
  /// Keys and values of the head's positions, to be branched from.
  let cache: KeyValueCache

  /// Runs the longest common beginning of the sequences through `blocks`.
  init(of sequences: [ArraySlice<Int>], blocks: Range<Int>, model: LanguageModel) throws {
    let head = Self.commonBeginning(of: sequences)
    var caches = [model.emptyCache()]
    if !head.isEmpty { _ = try model.forward([head], BlockRun(blocks: blocks, finalRows: []), caches: &caches) }
    self.init(count: head.count, cache: caches[0])
  }

  private init(count: Int, cache: KeyValueCache) {
    self.count = count
    self.cache = cache.asPrefix()
  }

  /// Runs the longest common beginning through the blocks up to `layer`, from where an earlier run of it ended. The stream is nil
  /// where there is no common beginning.
  static func advanced(
    _ sequences: [ArraySlice<Int>], to layer: Int, from earlier: ResidualStream?, model: LanguageModel
  ) throws -> (head: SharedHead, stream: ResidualStream?) {
    let head = commonBeginning(of: sequences)
    var caches = [model.emptyCache()]
    guard !head.isEmpty else { return (SharedHead(count: 0, cache: caches[0]), nil) }
    let stream = try model.advance([head], to: [layer], from: earlier, caches: &caches).stream
    return (SharedHead(count: head.count, cache: caches[0]), stream)
  }

  private static func commonBeginning(of sequences: [ArraySlice<Int>]) -> [Int] {
    var head = sequences.first ?? []
    for sequence in sequences.dropFirst() { head = head.prefix(zip(head, sequence).prefix { $0 == $1 }.count) }
    return Array(head)
  }
}
