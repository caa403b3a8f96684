internal import Foundation

/// A linear or logarithmic scale with ticks at round numbers.
struct Axis: Sendable {
  /// The interval of values that is shown.
  let domain: ClosedRange<Double>
  let isLogarithmic: Bool
  let ticks: [Double]
  private let step: Double

  /// A linear axis that covers all values; `rounded` widens it to the next ticks, `padding` by a share of itself where there is
  /// something beyond 0. Degenerate data get a unit of room.
  init(covering values: [Double], ticks wanted: Int = 5, rounded: Bool = true, padding: Double = 0) {
    let finite = values.filter { $0.isFinite && abs($0) < 1e300 }
    var low = finite.min() ?? 0
    var high = finite.max() ?? 1
    // Less than a billionth apart is no interval: labels could not tell the ticks from one another.
    if high - low <= max(abs(low), abs(high)) * 1e-9 {
      let room = low == 0 ? 1 : abs(low) * 0.5
      (low, high) = (low - room, high + room)
    }
    let room = (high - low) * padding
    (low, high) = (low == 0 ? 0 : low - room, high == 0 ? 0 : high + room)
    let step = Self.niceStep((high - low) / Double(max(wanted, 1)))
    if rounded { (low, high) = (floor(low / step + 1e-9) * step, ceil(high / step - 1e-9) * step) }
    domain = low...high
    self.step = step
    isLogarithmic = false
    let first = Int(ceil(low / step - 1e-9))
    let last = Int(floor(high / step + 1e-9))
    ticks = first <= last ? (first...last).map { Double($0) * step } : []
  }

  /// A logarithmic axis from `low` > 0 to `high`, ticks at 1, 2, 5, or at powers of ten where those are many.
  init(logarithmicFrom low: Double, to high: Double) {
    let low = max(low, 1e-12)
    let high = max(high, low * 1.5)
    domain = low...high
    isLogarithmic = true
    step = 0
    let exponents = Int(floor(log10(low)))...Int(ceil(log10(high)))
    let factors: [Double] = exponents.count <= 4 ? [1, 2, 5] : [1]
    let candidates: [Double] = exponents.flatMap { exponent -> [Double] in
      let power: Double = pow(10, Double(exponent))
      return factors.map { $0 * power }
    }
    let shown: ClosedRange<Double> = low * (1 - 1e-9)...high * (1 + 1e-9)
    ticks = candidates.filter { shown.contains($0) }
  }

  /// 1, 2 or 5 times a power of ten, at least `rough`.
  private static func niceStep(_ rough: Double) -> Double {
    guard rough.isFinite, rough > 0 else { return 1 }
    let power = pow(10, floor(log10(rough)))
    let fraction = rough / power
    return (fraction <= 1.0001 ? 1 : fraction <= 2.0001 ? 2 : fraction <= 5.0001 ? 5 : 10) * power
  }

  /// Where a value lies, 0 at the beginning and 1 at the end; what lies outside is not clamped.
  func position(_ value: Double) -> Double {
    let (low, high) = (domain.lowerBound, domain.upperBound)
    guard isLogarithmic else { return (value - low) / (high - low) }
    return log(max(value, 1e-300) / low) / log(high / low)
  }

  /// A tick's label, with the decimals that the step needs.
  func label(_ tick: Double) -> String {
    if isLogarithmic { return Figure.typographic(Figure.significant(tick, 1)) }
    if tick == 0 { return "0" }
    let exponent = Int(floor(log10(step) + 1e-9))
    if exponent < -6 || abs(tick) >= 1e7 { return Figure.typographic(Figure.significant(tick, 2)) }
    return Figure.typographic(Figure.fixed(tick, max(-exponent, 0)))
  }

  /// A tick's label in percent, for axes of shares.
  func percentLabel(_ tick: Double) -> String {
    Figure.typographic(Figure.fixed(tick * 100, step < 0.0099 ? 1 : 0)) + " %"
  }
}
