internal import Kernels

/// Gradient pursuit (Blumensath and Davies 2008) as methods.md, section 3, defines it: at each step the atom that
/// correlates most with the residual joins the support, and the code moves along the gradient on the support, by the
/// length that is best there. Without signs, negative coefficients are then set to 0.
struct GradientPursuit: Pursuit {
  let isSigned: Bool
  var hasEnded = false
  private(set) var residual: [Float]
  private(set) var support: [Int] = []
  private(set) var coefficients: [Float] = []
  private let vector: [Float]
  /// The rows of the support, in its order.
  private var atoms: [[Float]] = []

  init(_ vector: [Float], isSigned: Bool) {
    self.vector = vector
    self.isSigned = isSigned
    residual = vector
  }

  mutating func add(_ atom: Int, row: [Float], gradient: [Float]) {
    support.append(atom)
    coefficients.append(0)
    atoms.append(row)
    var direction = [Float](repeating: 0, count: vector.count)
    for (component, atom) in zip(gradient, atoms) { Kernels.add(component, atom, to: &direction) }
    let squared = dotInDouble(direction, direction)
    // The gradient's components can cancel in the span of the atoms, or vanish below the smallest number: no direction,
    // no step.
    guard squared > 0 else { return }
    let length = dotInDouble(direction, residual) / squared
    for index in coefficients.indices {
      let moved = Float(Double(coefficients[index]) + length * Double(gradient[index]))
      coefficients[index] = isSigned ? moved : max(moved, 0)
    }
    residual = vector
    for (coefficient, atom) in zip(coefficients, atoms) where coefficient != 0 {
      Kernels.add(-coefficient, atom, to: &residual)
    }
  }
}
