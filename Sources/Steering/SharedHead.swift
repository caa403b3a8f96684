internal import Kernels
internal import LanguageModels

/// The tokens with which several sequences begin (a template's system prompt, say), run through the model once.
struct SharedHead {
  let count: Int
  /// Keys and values of the head's positions, to be branched from.
  let cache: KeyValueCache

  /// Runs the longest common beginning of the sequences through `blocks`.
  init(of sequences: [ArraySlice<Int>], blocks: Range<Int>, model: LanguageModel) throws {
    var head = sequences.first ?? []
    for sequence in sequences.dropFirst() { head = head.prefix(zip(head, sequence).prefix { $0 == $1 }.count) }
    count = head.count
    var caches = [model.emptyCache()]
    if !head.isEmpty { _ = try model.forward([Array(head)], BlockRun(blocks: blocks, finalRows: []), caches: &caches) }
    cache = caches[0]
  }
}
