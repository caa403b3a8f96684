/// How the variants of a decomposition are named: the plan asks for tensors by these names, the decompose task writes them.
package enum DecompositionNaming {
  /// Whether a method stops at k atoms (and has no uncut code).
  package static func isPursuit(_ method: String) -> Bool { method.contains("pursuit") }

  /// Whether a method's reconstruction can carry b_dec, so that both conventions exist.
  package static func hasBias(_ method: String) -> Bool { method == "encode" || method == "encode-scaled" }

  /// The conventions in which a method's reconstructions are stored.
  package static func conventions(of method: String) -> [String] {
    hasBias(method) ? ["with-bias", "without-bias"] : ["without-bias"]
  }

  /// The convention that the model is steered with: the decoder's own output for what the encoder made of the vector.
  package static func steeredConvention(of method: String) -> String { hasBias(method) ? "with-bias" : "without-bias" }

  /// The sparsities at which a method is decomposed: pursuits at every k, others also whole.
  package static func sparsities(of method: String, in list: [Sparsity]) -> [Sparsity] {
    isPursuit(method) ? list.filter { $0 != .all } : list
  }

  /// The sparsities at which a method is steered with: for a pursuit, `all` is the largest k it was run to.
  package static func sparsities(of method: String, steered: [Sparsity], all: [Sparsity]) -> [Sparsity] {
    guard isPursuit(method) else { return steered }
    var list = steered.filter { $0 != .all }
    let largest = all.compactMap { if case .atoms(let k) = $0 { k } else { nil } }.max()
    if steered.contains(.all), let largest, !list.contains(.atoms(largest)) { list.append(.atoms(largest)) }
    return list
  }

  /// `BEHAVIOUR/METHOD/SPARSITY/CONVENTION`.
  package static func tensor(_ behaviour: String, _ method: String, _ sparsity: Sparsity, _ convention: String)
    -> String
  { "\(behaviour)/\(method)/\(sparsity)/\(convention)" }
}
