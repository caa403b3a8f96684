internal import Kernels
internal import SweepRecords

/// The code of the zero vector, f(0), and how other codes overlap with it.
struct ZeroCode: Sendable {
  let code: SignedCode
  private let isActive: [Bool]
  /// The sum of squares.
  private let square: Double
  /// How many features of f(0) are higher, of the highest ones; `ranked` for all others.
  private let rank: [UInt8]
  private static let ranked = 100

  init(_ code: SignedCode) {
    self.code = code
    square = dotInDouble(code.values, code.values)
    var isActive = [Bool](repeating: false, count: code.width)
    for index in code.indices { isActive[Int(index)] = true }
    self.isActive = isActive
    var rank = [UInt8](repeating: UInt8(Self.ranked), count: code.width)
    for (place, feature) in code.highest(Self.ranked).enumerated() { rank[Int(feature)] = UInt8(place) }
    self.rank = rank
  }

  func contains(_ feature: Int32) -> Bool { isActive[Int(feature)] }

  /// What the active sets have in common.
  struct SetOverlap: Equatable {
    /// |S(v) and S(0)| / |S(v)|; nil where S(v) is empty.
    var share: Double?
    /// |S(v) and S(0)| / |S(v) or S(0)|; nil where both are empty.
    var jaccard: Double?
  }

  func setOverlap(with other: SignedCode) -> SetOverlap {
    let common = other.indices.reduce(0) { isActive[Int($1)] ? $0 &+ 1 : $0 }
    let union = code.count + other.count - common
    return SetOverlap(
      share: other.count == 0 ? nil : Double(common) / Double(other.count),
      jaccard: union == 0 ? nil : Double(common) / Double(union))
  }

  /// What an encoder's codes have in common.
  struct ValueOverlap: Equatable {
    /// sum min(f(v), f(0)) / sum f(v); nil for the empty code.
    var massShare: Double?
    /// The cosine of the two codes; nil where either is empty.
    var cosine: Double?
  }

  /// Sums run over rising features.
  func valueOverlap(with other: SignedCode) -> ValueOverlap {
    var (mass, least, product, place) = (0.0, 0.0, 0.0, 0)
    for (index, value) in zip(other.indices, other.values) {
      mass += Double(value)
      guard isActive[Int(index)] else { continue }
      while code.indices[place] < index { place += 1 }
      least += Double(min(value, code.values[place]))
      product += Double(value) * Double(code.values[place])
    }
    let norms = square.squareRoot() * dotInDouble(other.values, other.values).squareRoot()
    return ValueOverlap(massShare: mass > 0 ? least / mass : nil, cosine: norms > 0 ? product / norms : nil)
  }

  /// For each k up to 100, the share of the k highest features (of all, where fewer are active) that are among the k highest of
  /// f(0); nil for the empty code.
  func topOverlaps(_ counts: [Int], with other: SignedCode) -> [Double?] {
    precondition(counts.allSatisfy { $0 <= Self.ranked }, "only the highest have a rank")
    let ranks = other.highest(Self.ranked).map { Int(rank[Int($0)]) }
    return counts.map { k in
      let own = ranks.prefix(k)
      return own.isEmpty ? nil : Double(own.count { $0 < k }) / Double(own.count)
    }
  }
}
