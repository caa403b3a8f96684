internal import Kernels
internal import SweepRecords

/// The code of the zero vector, f(0), and how other codes overlap with it.
struct ZeroCode: Sendable {
  let code: SignedCode
  private let isActive: [Bool]
  /// The sum of squares.
  private let square: Double
  /// How many features of f(0) are higher, of the highest ones.
  private let rank: [Int32: Int]
  private static let ranked = 100

  init(_ code: SignedCode) {
    self.code = code
    square = Self.square(code)
    var isActive = [Bool](repeating: false, count: code.width)
    for index in code.indices { isActive[Int(index)] = true }
    self.isActive = isActive
    rank = Dictionary(uniqueKeysWithValues: code.highest(Self.ranked).enumerated().map { ($1, $0) })
  }

  func contains(_ feature: Int32) -> Bool { isActive[Int(feature)] }

  private func common(with other: SignedCode) -> Int { other.indices.reduce(0) { isActive[Int($1)] ? $0 + 1 : $0 } }

  /// |S(v) and S(0)| / |S(v)|; nil where S(v) is empty.
  func overlap(with other: SignedCode) -> Double? {
    other.count == 0 ? nil : Double(common(with: other)) / Double(other.count)
  }

  /// |S(v) and S(0)| / |S(v) or S(0)|; nil where both are empty.
  func jaccard(with other: SignedCode) -> Double? {
    let common = common(with: other)
    let union = code.count + other.count - common
    return union == 0 ? nil : Double(common) / Double(union)
  }

  /// sum min(f(v), f(0)) / sum f(v), for codes of an encoder; nil for the empty code.
  func massShare(of other: SignedCode) -> Double? {
    let mass = other.values.reduce(0.0) { $0 + Double($1) }
    guard mass > 0 else { return nil }
    return sum(over: other) { min($0, $1) } / mass
  }

  /// The cosine of the two codes; nil where either is empty.
  func cosine(with other: SignedCode) -> Double? {
    let norms = square.squareRoot() * Self.square(other).squareRoot()
    guard norms > 0 else { return nil }
    return sum(over: other) { $0 * $1 } / norms
  }

  /// For each k up to 100, the share of the k highest features (of all, where fewer are active) that are among the k highest of
  /// f(0); nil for the empty code.
  func topOverlaps(_ counts: [Int], with other: SignedCode) -> [Double?] {
    precondition(counts.allSatisfy { $0 <= Self.ranked }, "only the highest have a rank")
    let ranks = other.highest(Self.ranked).map { rank[$0] ?? Self.ranked }
    return counts.map { k in
      let own = ranks.prefix(k)
      return own.isEmpty ? nil : Double(own.count { $0 < k }) / Double(own.count)
    }
  }

  private static func square(_ code: SignedCode) -> Double {
    dotInDouble(code.values, code.values)
  }

  /// The sum over the features that both codes have, rising.
  @inline(__always) private func sum(
    over other: SignedCode, _ term: (_ own: Double, _ zero: Double) -> Double
  ) -> Double {
    var sum = 0.0
    var place = 0
    for (index, value) in zip(other.indices, other.values) where isActive[Int(index)] {
      while code.indices[place] < index { place += 1 }
      sum += term(Double(value), Double(code.values[place]))
    }
    return sum
  }
}
