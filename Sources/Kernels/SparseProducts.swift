internal import CProcessor

// Sparse rows times a matrix that lies in a file.

/// y = S B: `[m, n]` of entries times B `[n, columns]`, row-major in raw bytes of `type`.
///
/// Every output is one chain of fused multiply-adds over rising index from +0; what S does not hold is skipped. B's rows are
/// read once for all rows of S that have much in common, those that no entry names not at all.
/// - Precondition: `b` holds exactly `s.columns * columns` elements.
package func multiply(
  _ s: SparseRows, rowMajor b: RawSpan, type: ElementType, columns: Int, pool: ThreadPool
) -> Matrix {
  precondition(b.byteCount == s.columns * columns * type.bytes, "the second factor must fit the first")
  return b.withUnsafeBytes { bytes in
    Matrix(rows: s.rows, columns: columns) { output in
      guard let base = bytes.baseAddress, !s.indices.isEmpty else {
        return output.initialize(repeating: 0, count: s.rows * columns)
      }
      for first in stride(from: 0, to: s.rows, by: rowsAtOnce) {
        let some = s.rows <= rowsAtOnce ? s : s.some(first..<min(s.rows, first + rowsAtOnce))
        addRows(of: base, type, columns, to: output + first * columns, some, pool)
      }
    }
  }
}

/// The same for any weights, `[weights.rows, columns]`: the sparse rows' sums, then those of the ladders, as `LadderRows` defines them.
package func multiply(
  _ weights: RowWeights, rowMajor b: RawSpan, type: ElementType, columns: Int, pool: ThreadPool
) -> Matrix {
  if weights.ladders.isEmpty {
    return multiply(weights.sparse, rowMajor: b, type: type, columns: columns, pool: pool)
  }
  let named = weights.named
  precondition(b.byteCount == weights.sparse.columns * columns * type.bytes, "the second factor must fit the first")
  return b.withUnsafeBytes { bytes in
    Matrix(rows: weights.rows, columns: columns) { output in
      guard let base = bytes.baseAddress, !named.isEmpty else {
        return output.initialize(repeating: 0, count: weights.rows * columns)
      }
      let walk = BlockWalk(weights, named: named, rowsPerGroup: LadderRows.rowsPerBlock)
      let sums = SharedRowSums(walk: walk, weights, base: base, type: type, columns: columns)
      defer { sums.deallocate() }
      sums.add(0..<walk.blocks, pool)
      sums.finish(into: output, pool)
    }
  }
}

/// Sparse rows whose sums are made together: those that share take a second copy of their results.
private let rowsAtOnce = 4096

private func addRows(
  of base: UnsafeRawPointer, _ type: ElementType, _ columns: Int, to output: UnsafeMutablePointer<Float>,
  _ s: SparseRows, _ pool: ThreadPool
) {
  s.indices.withUnsafeBufferPointer { indices in
    s.values.withUnsafeBufferPointer { values in
      guard !s.indices.isEmpty, let indices = indices.baseAddress, let values = values.baseAddress else {
        return output.initialize(repeating: 0, count: s.rows * columns)
      }
      if let walk = BlockWalk(sharing: s) {
        let sums = SharedRowSums(walk: walk, RowWeights(sparse: s), base: base, type: type, columns: columns)
        defer { sums.deallocate() }
        sums.add(0..<walk.blocks, pool)
        sums.finish(into: output, pool)
      } else {
        RowSums(s: s, indices: indices, values: values, base: base, type: type, columns: columns, output: output)
          .run(pool)
      }
    }
  }
}

#if X86_64_V4
  private typealias Lanes = SIMD16<Float>
#else
  private typealias Lanes = SIMD8<Float>
#endif

/// The sums of B's rows for sparse rows that have little in common: each reads what it names, where it lies.
private struct RowSums {
  let s: SparseRows
  let indices: UnsafePointer<Int32>
  let values: UnsafePointer<Float>
  let base: UnsafeRawPointer
  let type: ElementType
  let columns: Int
  /// `[s.rows, columns]`.
  let output: UnsafeMutablePointer<Float>

  /// Rows and columns of the output.
  private struct Part {
    var rows: Range<Int>
    var columns: Range<Int>
  }

  /// The columns of a full strip: eight chains a lane hide a multiply-add's latency.
  private static var strip: Int { 8 * Lanes.scalarCount }

  func run(_ pool: ThreadPool) {
    let parts = parts(threads: pool.threads)
    pool.divide(parts.count) { run(parts[$0]) }
  }

  /// Threads make rows of their own where there are enough, else columns.
  private func parts(threads: Int) -> [Part] {
    let strips = (columns + Self.strip - 1) / Self.strip
    if s.indices.count * columns < 1 << 16 || threads == 1 {
      return [Part(rows: 0..<s.rows, columns: 0..<columns)]
    }
    let across = s.rows >= 8 * threads ? 1 : min(threads, strips)
    let down = across == 1 ? min(s.rows, 4 * threads) : min(s.rows, (threads + across - 1) / across)
    return (0..<across * down).map { part in
      let (i, j) = (part / across, part % across)
      return Part(
        rows: s.rows * i / down..<s.rows * (i + 1) / down,
        columns: min(columns, strips * j / across * Self.strip)..<min(columns, strips * (j + 1) / across * Self.strip))
    }
  }

  private func run(_ part: Part) {
    for row in part.rows {
      (output + row * columns + part.columns.lowerBound).initialize(repeating: 0, count: part.columns.count)
    }
    switch type {
    case .float32:
      add(part, stride: 4, { $0.loadUnaligned(as: Float.self) }, { $0.loadUnaligned(as: Lanes.self) })
    case .float16:
      add(part, stride: 2, { Float($0.loadUnaligned(as: Float16.self)) }) {
        #if X86_64_V4
          processor_load_half16($0)
        #else
          processor_load_half8($0)
        #endif
      }
    case .bfloat16:
      add(part, stride: 2, { Float(bitPattern: UInt32($0.loadUnaligned(as: UInt16.self)) << 16) }) {
        #if X86_64_V4
          processor_load_bfloat16($0)
        #else
          processor_load_bfloat8($0)
        #endif
      }
    }
  }

  @inline(__always) private func add(
    _ part: Part, stride: Int, _ load: (UnsafeRawPointer) -> Float, _ lanes: (UnsafeRawPointer) -> Lanes
  ) {
    for row in part.rows {
      let entries = s.rowStarts[row]..<s.rowStarts[row &+ 1]
      if entries.isEmpty { continue }
      var column = part.columns.lowerBound
      while column < part.columns.upperBound {
        let piece = piece(at: column, of: part.columns, stride)
        let target = output + (row &* columns &+ piece.start)
        let source = base + piece.start &* stride
        if piece.width == Self.strip {
          if piece.kept.count == Self.strip {
            addStrip(source, stride, entries, target, lanes)
          } else {
            // The chains of columns that another strip takes care of come to nothing.
            withUnsafeTemporaryAllocation(of: Float.self, capacity: Self.strip) { sums in
              guard let sums = sums.baseAddress else { return }
              sums.initialize(from: target, count: Self.strip)
              addStrip(source, stride, entries, sums, lanes)
              let skipped = piece.kept.lowerBound &- piece.start
              (target + skipped).update(from: sums + skipped, count: piece.kept.count)
            }
          }
        } else if piece.width == Lanes.scalarCount {
          addLanes(source, stride, entries, target, lanes)
        } else {
          addElement(source, stride, entries, target, load)
        }
        column = piece.kept.upperBound
      }
    }
  }

  /// Columns that are worked on together, and those of them whose sums are kept.
  private struct Piece {
    var start: Int
    var width: Int
    var kept: Range<Int>
  }

  /// The next piece: full strips, which overlap at the first and the last so that those between are aligned in B, where all rows
  /// lie alike; narrower ones where there is no room for a strip.
  private func piece(at column: Int, of range: Range<Int>, _ stride: Int) -> Piece {
    let left = range.upperBound - column
    guard range.count >= Self.strip else {
      let width = left >= Lanes.scalarCount ? Lanes.scalarCount : 1
      return Piece(start: column, width: width, kept: column..<column + width)
    }
    if left < Self.strip {
      return Piece(start: range.upperBound - Self.strip, width: Self.strip, kept: column..<range.upperBound)
    }
    let bytes = Lanes.scalarCount * stride
    let over = Int(bitPattern: base + column * stride) % bytes
    let isOver = over != 0 && over % stride == 0 && columns * stride % bytes == 0
    return Piece(
      start: column, width: Self.strip, kept: column..<column + Self.strip - (isOver ? over / stride : 0))
  }

  @inline(__always) private func addStrip(
    _ source: UnsafeRawPointer, _ stride: Int, _ entries: Range<Int>, _ target: UnsafeMutablePointer<Float>,
    _ lanes: (UnsafeRawPointer) -> Lanes
  ) {
    let (rowBytes, step) = (columns &* stride, Lanes.scalarCount &* stride)
    let sums = UnsafeMutableRawPointer(target)
    let size = MemoryLayout<Lanes>.size
    var s0 = sums.loadUnaligned(fromByteOffset: 0, as: Lanes.self)
    var s1 = sums.loadUnaligned(fromByteOffset: size, as: Lanes.self)
    var s2 = sums.loadUnaligned(fromByteOffset: 2 &* size, as: Lanes.self)
    var s3 = sums.loadUnaligned(fromByteOffset: 3 &* size, as: Lanes.self)
    var s4 = sums.loadUnaligned(fromByteOffset: 4 &* size, as: Lanes.self)
    var s5 = sums.loadUnaligned(fromByteOffset: 5 &* size, as: Lanes.self)
    var s6 = sums.loadUnaligned(fromByteOffset: 6 &* size, as: Lanes.self)
    var s7 = sums.loadUnaligned(fromByteOffset: 7 &* size, as: Lanes.self)
    var entry = entries.lowerBound
    while entry < entries.upperBound {
      let row = source + Int(indices[entry]) &* rowBytes
      let weight = Lanes(repeating: values[entry])
      s0 = fused(weight, lanes(row), s0)
      s1 = fused(weight, lanes(row + step), s1)
      s2 = fused(weight, lanes(row + 2 &* step), s2)
      s3 = fused(weight, lanes(row + 3 &* step), s3)
      s4 = fused(weight, lanes(row + 4 &* step), s4)
      s5 = fused(weight, lanes(row + 5 &* step), s5)
      s6 = fused(weight, lanes(row + 6 &* step), s6)
      s7 = fused(weight, lanes(row + 7 &* step), s7)
      entry &+= 1
    }
    sums.storeBytes(of: s0, toByteOffset: 0, as: Lanes.self)
    sums.storeBytes(of: s1, toByteOffset: size, as: Lanes.self)
    sums.storeBytes(of: s2, toByteOffset: 2 &* size, as: Lanes.self)
    sums.storeBytes(of: s3, toByteOffset: 3 &* size, as: Lanes.self)
    sums.storeBytes(of: s4, toByteOffset: 4 &* size, as: Lanes.self)
    sums.storeBytes(of: s5, toByteOffset: 5 &* size, as: Lanes.self)
    sums.storeBytes(of: s6, toByteOffset: 6 &* size, as: Lanes.self)
    sums.storeBytes(of: s7, toByteOffset: 7 &* size, as: Lanes.self)
  }

  @inline(__always) private func addLanes(
    _ source: UnsafeRawPointer, _ stride: Int, _ entries: Range<Int>, _ target: UnsafeMutablePointer<Float>,
    _ lanes: (UnsafeRawPointer) -> Lanes
  ) {
    let sums = UnsafeMutableRawPointer(target)
    var sum = sums.loadUnaligned(as: Lanes.self)
    for entry in entries {
      sum = fused(Lanes(repeating: values[entry]), lanes(source + Int(indices[entry]) &* columns &* stride), sum)
    }
    sums.storeBytes(of: sum, as: Lanes.self)
  }

  @inline(__always) private func addElement(
    _ source: UnsafeRawPointer, _ stride: Int, _ entries: Range<Int>, _ target: UnsafeMutablePointer<Float>,
    _ load: (UnsafeRawPointer) -> Float
  ) {
    var sum = target.pointee
    for entry in entries { sum.addProduct(values[entry], load(source + Int(indices[entry]) &* columns &* stride)) }
    target.pointee = sum
  }
}

@inline(__always) private func fused(_ a: Lanes, _ b: Lanes, _ c: Lanes) -> Lanes {
  #if X86_64_V4
    processor_fma16(a, b, c)
  #else
    processor_fma8(a, b, c)
  #endif
}
