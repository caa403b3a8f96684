internal import Foundation
internal import Kernels

/// Measures the kernels on shapes of real models and SAEs.
struct KernelBench {
  /// One comparison: `ratio` is the median of ours over the peer's, above 1 being better than the peer.
  struct Row: Encodable {
    var name: String
    var ours: Double
    var peer: Double
    var peerName: String
    var unit: String
    var ratio: Double
    /// Not finite where there is none.
    var target: Finite

    init(
      name: String, ours: Double, peer: Double, peerName: String, unit: String, ratio: Double, target: Double?
    ) {
      (self.name, self.ours, self.peer, self.peerName) = (name, ours, peer, peerName)
      (self.unit, self.ratio, self.target) = (unit, ratio, Finite(target ?? .nan))
    }
  }

  private let seconds: Double
  /// The largest matrix of weights, in MB.
  private let largest: Int
  private let pool: ThreadPool
  private let one = ThreadPool(threads: 1)
  private var rows: [Row] = []
  private var say: (String) -> Void = { _ in }

  init(seconds: Double, largest: Int, pool: ThreadPool) {
    (self.seconds, self.largest, self.pool) = (seconds, largest, pool)
  }

  /// Rows of activations, inputs and outputs.
  private struct Shape {
    var name: String
    var m: Int
    var k: Int
    var n: Int
    var flops: Double { 2 * Double(m) * Double(k) * Double(n) }
    var text: String { "\(name) \(m) x \(k) x \(n)" }
  }

  private static let layers = [
    Shape(name: "SmolLM2 queries", m: 256, k: 576, n: 576), Shape(name: "SmolLM2 keys", m: 256, k: 576, n: 192),
    Shape(name: "SmolLM2 up", m: 256, k: 576, n: 1536), Shape(name: "SmolLM2 down", m: 256, k: 1536, n: 576),
    Shape(name: "Gemma 2 2B up", m: 192, k: 2304, n: 9216), Shape(name: "Gemma 2 2B down", m: 192, k: 9216, n: 2304),
  ]
  private static let encoders = [
    Shape(name: "SAE 16k", m: 192, k: 2304, n: 16_384), Shape(name: "SAE 65k", m: 64, k: 2304, n: 65_536),
    Shape(name: "SAE 65k", m: 16, k: 2304, n: 65_536),
  ]
  private static let vector = Shape(name: "SAE 65k, one vector", m: 1, k: 2304, n: 65_536)

  /// All rows; `say` hears what is measured next.
  mutating func run(_ say: @escaping (String) -> Void) -> [Row] {
    self.say = say
    for shape in Self.layers where fits(shape) {
      let weights = PackedMatrix(matrix(shape.n, shape.k), pool: pool)
      let x = matrix(shape.m, shape.k)
      var y = Matrix(rows: shape.m, columns: shape.n)
      compare(shape, target: 0.85) { multiply(x, weights, into: &y, pool: $0) }
    }
    for shape in Self.encoders where fits(shape) {
      let (x, encoder) = (matrix(shape.m, shape.k), matrix(shape.k, shape.n))
      compare(shape, target: shape.m > 64 ? 0.85 : nil) { _ = multiply(x, encoder, pool: $0) }
    }
    if fits(Self.vector) { compareWithMemory(Self.vector) }
    return rows
  }

  private func fits(_ shape: Shape) -> Bool { shape.k * shape.n * 4 <= largest * 1_000_000 }

  /// A product against the peak of one thread, and all threads against one.
  private mutating func compare(_ shape: Shape, target: Double?, _ product: (ThreadPool) -> Void) {
    say(shape.text)
    // About a quarter of the product's time in the same instructions.
    let repetitions = max(10_000, min(1_000_000, Int(shape.flops / 4 / 384)))
    let alone = pairs(
      work: shape.flops / 1e9, { product(one) }, { multiplyAddCeiling(repetitions: repetitions, pool: one) / 1e9 })
    rows.append(
      Row(
        name: shape.text + ", one thread", ours: alone.ours, peer: alone.peer, peerName: "peak of one thread",
        unit: "GFLOP/s", ratio: alone.ratio, target: target))
    guard pool.threads > 1 else { return }
    // Products follow one another, as in a model: waking the threads is not what is measured.
    let times = max(1, Int(4e9 / shape.flops))
    let work = Double(times) * shape.flops / 1e9
    let both = pairs(
      work: work, { for _ in 0..<times { product(pool) } },
      {
        for _ in 0..<times { product(one) }
        return work
      })
    rows.append(
      Row(
        name: shape.text + ", \(pool.threads) threads", ours: both.ours, peer: both.peer, peerName: "one thread",
        unit: "GFLOP/s", ratio: both.ratio, target: pool.threads == 2 ? 1.9 : nil))
  }

  /// A product that reads its weights once against reading alone, and 16-bit weights against 32-bit ones.
  private mutating func compareWithMemory(_ shape: Shape) {
    say(shape.text)
    let (x, encoder) = (matrix(1, shape.k), matrix(shape.k, shape.n))
    let halfBytes = shape.k * shape.n * 2
    let gigabytes = Double(2 * halfBytes) / 1e9
    // Two numbers of bfloat16 in every word: the lower halves of float32 would be denormal here and there, which is slow.
    let halves = encoder.elements.prefix(halfBytes / 4).map {
      Float(bitPattern: $0.bitPattern & 0xFFFF_0000 | $0.bitPattern >> 16)
    }
    func half(_ pool: ThreadPool) {
      let stored = halves.span.bytes
      _ = multiply(x, rowMajor: stored, type: .bfloat16, columns: shape.n, pool: pool)
    }
    let alone = pairs(
      work: gigabytes, { _ = multiply(x, encoder, pool: one) },
      {
        readCeiling(encoder.elements.span.bytes, pool: one)
        return gigabytes
      })
    rows.append(
      Row(
        name: shape.text + ", float32, one thread", ours: alone.ours, peer: alone.peer, peerName: "reading, one thread",
        unit: "GB/s", ratio: alone.ratio, target: 0.85))
    let stored = pairs(
      work: 1, { half(one) },
      {
        _ = multiply(x, encoder, pool: one)
        return 1
      })
    rows.append(
      Row(
        name: shape.text + ", bfloat16, one thread", ours: stored.ours, peer: stored.peer, peerName: "float32",
        unit: "1/s", ratio: stored.ratio, target: 1.8))
    guard pool.threads > 1 else { return }
    let both = pairs(
      work: gigabytes, { _ = multiply(x, encoder, pool: pool) },
      {
        readCeiling(encoder.elements.span.bytes, pool: pool)
        return gigabytes
      })
    rows.append(
      Row(
        name: shape.text + ", float32, \(pool.threads) threads", ours: both.ours, peer: both.peer,
        peerName: "reading, \(pool.threads) threads", unit: "GB/s", ratio: both.ratio, target: 0.85))
  }

  /// Measures ours, the peer, ours, the peer, for the time given and at least three times; all three results are medians.
  ///
  /// - Parameters:
  ///   - work: what one run of `ours` does, in the unit.
  ///   - peer: returns what it did.
  private func pairs(work: Double, _ ours: () -> Void, _ peer: () -> Double) -> (
    ours: Double, peer: Double, ratio: Double
  ) {
    let clock = ContinuousClock()
    func rate(_ body: () -> Double) -> Double {
      var done = 0.0
      let time = clock.measure { done = body() }
      return done / max(1e-9, time / .seconds(1))
    }
    ours()
    var (mine, others, ratios) = ([Double](), [Double](), [Double]())
    let end = clock.now + .seconds(seconds)
    while ratios.count < 3 || clock.now < end {
      let first = rate {
        ours()
        return work
      }
      let second = rate(peer)
      mine.append(first)
      others.append(second)
      ratios.append(first / second)
    }
    func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
    return (median(mine), median(others), median(ratios))
  }

  /// Numbers between -1 and 1, the same every time.
  private func matrix(_ rows: Int, _ columns: Int) -> Matrix {
    var state: UInt32 = 1
    let elements = [Float](unsafeUninitializedCapacity: rows * columns) { buffer, count in
      for index in 0..<rows * columns {
        state = state &* 1_664_525 &+ 1_013_904_223
        buffer.initializeElement(at: index, to: Float(Int32(bitPattern: state)) * 0x1p-31)
      }
      count = rows * columns
    }
    return Matrix(rows: rows, columns: columns, elements: elements)
  }
}
