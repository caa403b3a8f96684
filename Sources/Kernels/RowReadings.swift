internal import CProcessor

// Few vectors times the rows of a matrix that lies in a file: its rows are read once, in step, for products and norms.

/// A matrix read sixteen rows at a time, all of them in step, which the processor's own prefetching follows.
struct RowReading {
  let m: Int
  let k: Int
  let n: Int
  let left: LeftFactor
  let type: ElementType
  let base: UnsafeRawPointer
  let rowBytes: Int
  /// `[m, n]`, a row every `cStride`.
  let c: UnsafeMutablePointer<Float>
  let cStride: Int
  /// `[n]`, or nil where nobody asks.
  let norms: UnsafeMutablePointer<Float>?

  /// Steps of sixteen rows that stay in the first-level cache, in both orders.
  private static let chunk = 256

  /// Panels of sixteen rows.
  var panels: Int { (n + 15) / 16 }

  func run(_ pool: ThreadPool) {
    let packing = packedLeft()
    defer { packing.deallocate() }
    read(0..<panels, packing, pool)
  }

  /// The vectors in the order of the tiles. Free it with `deallocate`.
  func packedLeft() -> LeftPacking {
    let rowBlocks = RowBlocks(rows: m)
    let packing = LeftPacking(
      left: left, k: k, blockLength: Self.chunk, rowBlocks: rowBlocks, blocks: 0..<rowBlocks.count)
    packing.pack(packing.blocks)
    return packing
  }

  /// Reads some of the panels.
  func read(_ panels: Range<Int>, _ packing: LeftPacking, _ pool: ThreadPool) {
    // Some megabytes of rows at most, enough tasks for all threads, and enough work in each.
    let elements = max(1, 16 * k)
    let group = max(
      1, (1 << 15) / (elements * max(1, m)), min((1 << 18) / elements, panels.count / (4 * pool.threads)))
    pool.divide((panels.count + group - 1) / group) { task in
      let scratch = UnsafeMutablePointer<Float>.allocateAligned(Self.chunk * 16 + m * 16 + 256)
      defer { scratch.deallocate() }
      let first = panels.lowerBound + task * group
      for panel in first..<min(panels.upperBound, first + group) { read(panel, packing, scratch) }
    }
  }

  private func read(
    _ panel: Int, _ packing: LeftPacking, _ scratch: UnsafeMutablePointer<Float>
  ) {
    let rows = min(16, n - panel * 16)
    let source = base + panel * 16 * rowBytes
    let chains = scratch + Self.chunk * 16
    let squares = chains + m * 16
    chains.update(repeating: 0, count: m * 16)
    squares.update(repeating: 0, count: 256)
    for first in stride(from: 0, to: k, by: Self.chunk) {
      let steps = min(Self.chunk, k - first)
      let part = source + first * type.bytes
      if m > 0 {
        packTransposed(type, part, rowBytes: rowBytes, steps: steps, rows: rows, into: scratch)
        let operands = TileOperands(
          steps: steps, a: packing.part(row: 0, steps: first..<first + steps), b: UnsafeRawPointer(scratch), c: chains,
          cStride: 16, continuing: true)
        multiplyRowBlocks(packing.rowBlocks, panels: 1, operands)
      }
      if norms != nil {
        for row in 0..<rows { addSquares(type, part + row * rowBytes, steps, to: squares + row * 16) }
      }
    }
    for row in 0..<m { (c + (row * cStride + panel * 16)).update(from: chains + row * 16, count: rows) }
    guard let norms else { return }
    for row in 0..<rows { norms[panel * 16 + row] = sum16(squares + row * 16).squareRoot() }
  }
}

/// Goes on with the sixteen chains of a row's product with itself (see `dot`), from a step that is a multiple of sixteen on.
private func addSquares(
  _ type: ElementType, _ row: UnsafeRawPointer, _ steps: Int, to chains: UnsafeMutablePointer<Float>
) {
  switch type {
  case .float32:
    addSquares(
      row, steps, 4, chains, { $0.loadUnaligned(as: SIMD16<Float>.self) }, { $0.loadUnaligned(as: Float.self) })
  case .bfloat16:
    addSquares(
      row, steps, 2, chains, { processor_load_bfloat16($0) },
      { Float(bitPattern: UInt32($0.loadUnaligned(as: UInt16.self)) << 16) })
  case .float16:
    addSquares(row, steps, 2, chains, { processor_load_half16($0) }, { Float($0.loadUnaligned(as: Float16.self)) })
  }
}

@inline(__always) private func addSquares(
  _ row: UnsafeRawPointer, _ steps: Int, _ bytes: Int, _ chains: UnsafeMutablePointer<Float>,
  _ load16: (UnsafeRawPointer) -> SIMD16<Float>, _ load: (UnsafeRawPointer) -> Float
) {
  var sums = UnsafeRawPointer(chains).loadUnaligned(as: SIMD16<Float>.self)
  var step = 0
  while step &+ 16 <= steps {
    let values = load16(row + step &* bytes)
    sums = processor_fma16(values, values, sums)
    step &+= 16
  }
  UnsafeMutableRawPointer(chains).storeBytes(of: sums, as: SIMD16<Float>.self)
  while step < steps {
    let value = load(row + step &* bytes)
    chains[step & 15].addProduct(value, value)
    step &+= 1
  }
}

/// The sum of sixteen chains in the order of `dot`.
private func sum16(_ chains: UnsafePointer<Float>) -> Float {
  let sixteen = UnsafeRawPointer(chains).loadUnaligned(as: SIMD16<Float>.self)
  let eight = sixteen.lowHalf + sixteen.highHalf
  let four = eight.lowHalf + eight.highHalf
  let two = four.lowHalf + four.highHalf
  return two[0] + two[1]
}
