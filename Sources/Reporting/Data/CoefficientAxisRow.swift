internal import Diagnostics
internal import TensorFiles

/// L0 and zero-overlap of a vector's code as step functions of the coefficient, as a decomposition left them.
struct CoefficientAxisRow: Sendable, Equatable {
  var sae: String
  /// Where each step begins, rising; the first at minus infinity where the decomposition says the lowest number there is.
  var starts: [Float]
  var l0: [Int]
  /// Nan where nothing is active.
  var zeroOverlap: [Float]

  /// Nil where the file has no axis of this behaviour.
  init?(_ file: SafetensorsFile, behaviour: String, sae: String) throws(InputError) {
    func name(_ part: String) -> String { "\(behaviour)/coefficient-axis/\(part)" }
    guard file.contains(name("starts")) else { return nil }
    self.sae = sae
    starts = try file.tensor(named: name("starts")).floats(requireFinite: true)
    l0 = try file.tensor(named: name("l0")).integers()
    zeroOverlap = try file.tensor(named: name("zero-overlap")).floats()
    if starts.first == -Float.greatestFiniteMagnitude { starts[0] = -.infinity }
    guard !starts.isEmpty, l0.count == starts.count, zeroOverlap.count == starts.count else {
      throw InputError(
        "\(file.name): \(name("l0"))", expected: "\(starts.count) numbers, one a step", found: "\(l0.count)")
    }
  }

  /// The step that a coefficient lies on.
  func step(at coefficient: Float) -> Int {
    var (low, high) = (0, starts.count)
    while low < high {
      let middle = (low + high) / 2
      if starts[middle] <= coefficient { low = middle + 1 } else { high = middle }
    }
    return max(0, low - 1)
  }

  /// The lines of a table of all steps.
  var csv: String {
    var text = CSVText.line(["from_coefficient", "l0", "zero_overlap"])
    for index in starts.indices {
      let overlap = zeroOverlap[index].isNaN ? "" : "\(zeroOverlap[index])"
      text += "\(starts[index]),\(l0[index]),\(overlap)\n"
    }
    return text
  }
}
