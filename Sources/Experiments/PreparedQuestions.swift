internal import Steering
internal import SweepRecords

/// Questions that were run up to the steered block, kept from task to task: the variants of a behaviour come in tasks of their own,
/// one after the other, and all start from the same state. Bounded; the one unused for longest goes first.
struct PreparedQuestions {
  /// What the state of a question depends on.
  struct Key: Hashable {
    let model: ModelReference
    let questions: InputReference
    let index: Int
    let layer: Int
    let positions: SteeredPositions
    let score: AnswerScore
  }

  /// The bytes that may be kept.
  static let limit = 1 << 30

  private var entries: [Key: (question: PreparedQuestion, used: Int)] = [:]
  private var bytes = 0
  private var clock = 0

  /// The questions that are there, by index.
  mutating func find(_ keys: [Key]) -> [Int: PreparedQuestion] {
    clock += 1
    var found: [Int: PreparedQuestion] = [:]
    for key in keys {
      guard let entry = entries[key] else { continue }
      entries[key]?.used = clock
      found[key.index] = entry.question
    }
    return found
  }

  /// Keeps questions, and lets older ones go where there is no room.
  mutating func insert(_ questions: [(Key, PreparedQuestion)]) {
    clock += 1
    for (key, question) in questions where entries[key] == nil {
      entries[key] = (question, clock)
      bytes += question.bytes
    }
    while bytes > Self.limit, let oldest = entries.min(by: { $0.value.used < $1.value.used }) {
      entries[oldest.key] = nil
      bytes -= oldest.value.question.bytes
    }
  }
}
