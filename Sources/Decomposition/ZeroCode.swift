internal import SweepRecords

/// The code of the zero vector, f(0), and how other codes overlap with it.
struct ZeroCode: Sendable {
  let code: SignedCode
  private let isActive: [Bool]

  init(_ code: SignedCode) {
    self.code = code
    var isActive = [Bool](repeating: false, count: code.width)
    for index in code.indices { isActive[Int(index)] = true }
    self.isActive = isActive
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
    return shared(with: other).reduce(0.0) { $0 + min(Double($1.own), Double($1.zero)) } / mass
  }

  /// The cosine of the two codes; nil where either is empty.
  func cosine(with other: SignedCode) -> Double? {
    func square(_ code: SignedCode) -> Double { code.values.reduce(0.0) { $0 + Double($1) * Double($1) } }
    let norms = square(code).squareRoot() * square(other).squareRoot()
    guard norms > 0 else { return nil }
    return shared(with: other).reduce(0.0) { $0 + Double($1.own) * Double($1.zero) } / norms
  }

  /// The share of the k highest features (of all, where fewer are active) that are among the k highest of f(0).
  func topOverlap(_ k: Int, with other: SignedCode) -> Double? {
    guard other.count > 0 else { return nil }
    let ofZero = Set(code.cut(to: .atoms(k)).indices)
    let own = other.cut(to: .atoms(k)).indices
    return Double(own.count { ofZero.contains($0) }) / Double(own.count)
  }

  private func shared(with other: SignedCode) -> [(own: Float, zero: Float)] {
    var pairs: [(own: Float, zero: Float)] = []
    var place = 0
    for (index, value) in zip(other.indices, other.values) where isActive[Int(index)] {
      while code.indices[place] < index { place += 1 }
      pairs.append((value, code.values[place]))
    }
    return pairs
  }
}
