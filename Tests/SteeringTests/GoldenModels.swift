import Foundation
import Kernels
import LanguageModels
import Steering
import Tokenization

/// The tiny models of Tests/Golden, with their tokenizers.
struct GoldenModel {
  let model: LanguageModel
  let tokenizer: Tokenizer

  /// Plain attention, and windows with capped logits.
  static let names = ["llama-tied", "gemma2"]

  init(_ name: String, threads: Int = 1) throws {
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Golden/\(name)").path
    model = try LanguageModel(path: path, pool: ThreadPool(threads: threads))
    tokenizer = try Tokenizer(directory: path)
  }

  var blocks: Int { model.architecture.blocks }

  /// Pairs of token ids: prompts that share a beginning and differ in length, whole answers and letters.
  var pairs: [TokenizedPair] {
    let limit = model.architecture.vocabulary
    func tokens(_ seed: Int, _ count: Int) -> [Int] {
      (0..<count).map { 5 + (seed * 37 + $0 * 11 + $0 * $0) % (limit - 5) }
    }
    let head = tokens(1, 4)
    return [
      TokenizedPair(prompt: head + tokens(2, 5), positive: tokens(3, 3), negative: tokens(4, 5)),
      TokenizedPair(prompt: head + tokens(5, 1), positive: tokens(6, 1), negative: tokens(7, 1)),
      // Answers with a common beginning.
      TokenizedPair(prompt: head + tokens(8, 9), positive: [9, 10] + tokens(9, 2), negative: [9, 10] + tokens(10, 3)),
      // (A) and (B).
      TokenizedPair(
        prompt: head + tokens(11, 3), positive: [12, 34, 13], negative: [12, 35, 13], isLetterChoice: true),
      // The same, but what follows counts.
      TokenizedPair(prompt: head + tokens(11, 3), positive: [12, 34, 13], negative: [12, 35, 13]),
      TokenizedPair(prompt: head + tokens(12, 7), positive: tokens(13, 6), negative: tokens(14, 2)),
      // Nothing but the shared head and one token.
      TokenizedPair(prompt: Array(head.prefix(1)), positive: tokens(15, 2), negative: tokens(16, 2)),
    ]
  }

  /// Made-up steering vectors of the model's width.
  func directions(_ count: Int) -> [[Float]] {
    (0..<count).map {
      SteeringVectors.random(dimension: model.architecture.width, norm: 3, seed: 5, stream: UInt64($0))
    }
  }
}

extension Array {
  subscript(wrapping index: Int) -> Element { self[index % count] }
}
