internal import Kernels

/// Rotary position embedding: which angle each pair of dimensions turns by from one position to the next.
package struct RotaryEmbedding: Sendable, Equatable {
  /// How the frequencies of a model are stretched for contexts longer than it was first trained on.
  package enum Scaling: Sendable, Equatable {
    case none
    /// Every frequency divided by the factor.
    case linear(factor: Double)
    /// Llama 3.1: long wavelengths divided by the factor, short ones kept, those between blended.
    case llama3(factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double, originalContext: Double)
  }

  /// The base b of the frequencies b^(-2i / dimension).
  package var base: Double
  package var scaling: Scaling
  /// A divisor for each frequency, where the file stores them (`rope_freqs.weight` of GGUF); they include the scaling.
  package var divisors: [Float]?

  package init(base: Double, scaling: Scaling = .none, divisors: [Float]? = nil) {
    self.base = base
    self.scaling = scaling
    self.divisors = divisors
  }

  /// Angles per position of the dimension pairs, `[dimension / 2]`, in radians.
  ///
  /// Computed in double and rounded once. The blend for Llama 3.1 is that of its release (`apply_scaling`).
  package func frequencies(dimension: Int) -> [Float] {
    (0..<dimension / 2).map { pair in
      let frequency = Elementary.pow(base, -Double(2 * pair) / Double(dimension))
      return Float(divisors.map { frequency / Double($0[pair]) } ?? scaled(frequency))
    }
  }

  private func scaled(_ frequency: Double) -> Double {
    switch scaling {
    case .none: return frequency
    case .linear(let factor): return frequency / factor
    case .llama3(let factor, let low, let high, let original):
      let turns = original * frequency / (2 * Double.pi)
      if turns < low { return frequency / factor }
      if turns > high { return frequency }
      let share = (turns - low) / (high - low)
      return (1 - share) * frequency / factor + share * frequency
    }
  }
}
