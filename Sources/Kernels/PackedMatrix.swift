internal import Synchronization

/// Constant weights `[outputs, inputs]`, packed once into panels of 16 outputs and kept in their stored type.
///
/// Panel p holds outputs 16 p to 16 p + 15 (what stands for missing ones is
/// unspecified) as `[inputs][16]`. In bfloat16 a step is eight 32-bit words
/// whose lower halves are outputs 0-7 and whose upper halves are outputs 8-15.
///
/// Sendable, because the memory is written only in `init` and freed in `deinit`.
package final class PackedMatrix: @unchecked Sendable {
  /// How the weights are kept: their stored type, expanded to float32 on the way to the registers.
  package enum Storage: Sendable, Hashable {
    case float32, bfloat16, float16

    var type: ElementType {
      switch self {
      case .float32: .float32
      case .bfloat16: .bfloat16
      case .float16: .float16
      }
    }
  }

  package let outputs: Int
  package let inputs: Int
  package let storage: Storage
  let base: UnsafeMutableRawPointer

  /// The size of the packed weights in memory.
  package var bytes: Int { (outputs + 15) / 16 * 16 * inputs * storage.type.bytes }

  /// Packs what `fill` delivers. The sizes must come from something that exists (a checked file): their product is allocated.
  ///
  /// - Parameters:
  ///   - storage: the type kept. Values that it can't represent exactly lose bits (bfloat16 cuts, float16 rounds).
  ///   - fill: writes the float32 values of a range of output rows, row-major, `range.count * inputs`. Called concurrently for
  ///     disjoint ranges of at most 16 rows, each once.
  /// - Throws: the first error of `fill`, in row order.
  package init<Failure: Error>(
    outputs: Int, inputs: Int, storage: Storage, pool: ThreadPool,
    fill: @Sendable (Range<Int>, inout MutableSpan<Float>) throws(Failure) -> Void
  ) throws(Failure) {
    precondition(outputs >= 0 && inputs >= 0, "a matrix has no negative side")
    self.outputs = outputs
    self.inputs = inputs
    self.storage = storage
    let panels = (outputs + 15) / 16
    base = Self.allocate(panels * 16 * inputs * storage.type.bytes)
    let failures = Mutex<[Int: Failure]>([:])
    pool.divide(panels) { panel in
      let rows = panel * 16..<min(outputs, panel * 16 + 16)
      let values = UnsafeMutablePointer<Float>.allocateAligned(16 * inputs)
      let transposed = UnsafeMutablePointer<Float>.allocateAligned(16 * inputs)
      defer {
        values.deallocate()
        transposed.deallocate()
      }
      values.initialize(repeating: 0, count: 16 * inputs)
      do throws(Failure) {
        var span = UnsafeMutableBufferPointer(start: values, count: rows.count * inputs).mutableSpan
        try fill(rows, &span)
      } catch {
        failures.withLock { $0[panel] = error }
        return
      }
      packTransposed(.float32, values, rowBytes: inputs * 4, steps: inputs, rows: rows.count, into: transposed)
      storePanel(storage.type, transposed, steps: inputs, into: base + panel * 16 * inputs * storage.type.bytes)
    }
    if let first = failures.withLock({ failures in failures.min { $0.key < $1.key }?.value }) { throw first }
  }

  /// Packs rows that are in memory: `outputs` = `rows.rows`.
  package convenience init(_ rows: Matrix, storage: Storage = .float32, pool: ThreadPool) {
    self.init(outputs: rows.rows, inputs: rows.columns, storage: storage, pool: pool) { range, target in
      let values = rows.elements.span.extracting(range.lowerBound * rows.columns..<range.upperBound * rows.columns)
      for i in values.indices { target[i] = values[i] }
    }
  }

  /// Packs rows that lie row-major in raw bytes of any alignment as float32, every element divided by its row's divisor.
  /// - Precondition: `rows` holds exactly `divisors.count * inputs` elements of `type`.
  package init(rows: RawSpan, type: ElementType, inputs: Int, dividedBy divisors: [Float], pool: ThreadPool) {
    precondition(rows.byteCount == divisors.count * inputs * type.bytes, "the bytes must be rows * inputs elements")
    outputs = divisors.count
    self.inputs = inputs
    storage = .float32
    let (outputs, panels) = (outputs, (outputs + 15) / 16)
    let base = Self.allocate(panels * 16 * inputs * 4)
    self.base = base
    rows.withUnsafeBytes { bytes in
      guard let source = bytes.baseAddress else { return }
      pool.divide(panels) { panel in
        let rows = panel * 16..<min(outputs, panel * 16 + 16)
        var divisor = SIMD16<Float>(repeating: 1)
        for (lane, row) in rows.enumerated() { divisor[lane] = divisors[row] }
        let target = (base + panel * 16 * inputs * 4).assumingMemoryBound(to: Float.self)
        for first in stride(from: 0, to: inputs, by: 256) {
          let steps = min(256, inputs - first)
          packTransposed(
            type, source + (rows.lowerBound * inputs + first) * type.bytes, rowBytes: inputs * type.bytes, steps: steps,
            rows: rows.count, into: target + first * 16)
          dividePanel(target + first * 16, by: divisor, steps: steps)
        }
      }
    }
  }

  private static func allocate(_ bytes: Int) -> UnsafeMutableRawPointer {
    let base = UnsafeMutableRawPointer.allocate(byteCount: max(64, bytes), alignment: 64)
    adviseHugePages(base, bytes)
    return base
  }

  deinit { base.deallocate() }

  /// The values of one output row, `[inputs]`, as float32.
  package func row(_ output: Int) -> [Float] {
    precondition(output >= 0 && output < outputs, "no such output")
    let gathered = gather([output])
    defer { gathered.deallocate() }
    return (0..<inputs).map { gathered[$0 * 16] }
  }

  /// Up to 16 outputs as one float32 panel; free it with `deallocate`.
  func gather(_ rows: [Int]) -> UnsafeMutablePointer<Float> {
    let panel = UnsafeMutablePointer<Float>.allocateAligned(16 * inputs)
    panel.initialize(repeating: 0, count: 16 * inputs)
    let bytes = storage.type.bytes
    for (column, output) in rows.enumerated() {
      precondition(output >= 0 && output < outputs, "no such output")
      let lane = output % 16
      let source = base + (output / 16 * 16 * inputs) * bytes
      switch storage {
      case .float32:
        for step in 0..<inputs {
          panel[step * 16 + column] = source.load(fromByteOffset: (step * 16 + lane) * 4, as: Float.self)
        }
      case .bfloat16:
        let offset = lane % 8 * 4 + lane / 8 * 2
        for step in 0..<inputs {
          let half = source.load(fromByteOffset: step * 32 + offset, as: UInt16.self)
          panel[step * 16 + column] = Float(bitPattern: UInt32(half) << 16)
        }
      case .float16:
        for step in 0..<inputs {
          panel[step * 16 + column] = Float(source.load(fromByteOffset: (step * 16 + lane) * 2, as: Float16.self))
        }
      }
    }
    return panel
  }
}
