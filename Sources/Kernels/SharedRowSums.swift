internal import CProcessor

#if X86_64_V4
  private typealias Lanes = SIMD16<Float>
#else
  private typealias Lanes = SIMD8<Float>
#endif

// The lanes and their multiply-add are those of RowSums again: without whole-module optimisation nothing is inlined across files.

/// The sums of B's rows for sparse rows that have much in common: a block of B's rows after the other, a strip of columns after
/// the other, each copied to where its rows lie side by side, for all sparse rows.
///
/// In B, rows lie a multiple of a power of two apart more often than not, and share a few of the cache's sets.
struct SharedRowSums {
  let walk: BlockWalk
  private let values: UnsafePointer<Float>
  private let base: UnsafeRawPointer
  private let type: ElementType
  private let columns: Int
  /// The chains so far, `[strips][rows][strip]`.
  private let sums: UnsafeMutablePointer<Float>

  /// The columns of a strip: eight chains a lane hide a multiply-add's latency.
  private static var strip: Int { 8 * Lanes.scalarCount }

  private var strips: Int { (columns + Self.strip - 1) / Self.strip }

  /// Free it with `deallocate`.
  /// - Parameters:
  ///   - values: of the entries that the walk is made of.
  ///   - base: B, of `columns` columns, row-major, of any alignment.
  init(
    walk: BlockWalk, values: UnsafePointer<Float>, base: UnsafeRawPointer, type: ElementType, columns: Int
  ) {
    (self.walk, self.values, self.base, self.type, self.columns) = (walk, values, base, type, columns)
    let count = (columns + Self.strip - 1) / Self.strip * walk.rows * Self.strip
    sums = .allocateAligned(count)
    sums.initialize(repeating: 0, count: count)
  }

  func deallocate() { sums.deallocate() }

  /// Goes on with all chains by some of the walk's blocks, which must follow those before. Threads take strips of their own, or,
  /// where there are too few, rows.
  func add(_ blocks: Range<Int>, _ pool: ThreadPool) {
    let entries =
      walk.cuts[blocks.upperBound * walk.rows..<(blocks.upperBound + 1) * walk.rows].reduce(0, +)
      - walk.cuts[blocks.lowerBound * walk.rows..<(blocks.lowerBound + 1) * walk.rows].reduce(0, +)
    if pool.threads == 1 || entries * columns < 1 << 16 { return add(blocks, strips: 0..<strips, rows: 0..<walk.rows) }
    let across = min(pool.threads, strips)
    let down = min(walk.rows, (pool.threads + across - 1) / across)
    pool.divide(across * down) { part in
      let (i, j) = (part / across, part % across)
      add(
        blocks, strips: strips * j / across..<strips * (j + 1) / across,
        rows: walk.rows * i / down..<walk.rows * (i + 1) / down)
    }
  }

  /// Writes the sums, `[rows, columns]`.
  func finish(into output: UnsafeMutablePointer<Float>, _ pool: ThreadPool) {
    forEachRowGroup(walk.rows, columns, pool) { row in
      for strip in 0..<strips {
        let first = strip * Self.strip
        (output + (row * columns + first)).initialize(
          from: sums + (strip * walk.rows + row) * Self.strip, count: min(Self.strip, columns - first))
      }
    }
  }

  private func add(_ blocks: Range<Int>, strips: Range<Int>, rows: Range<Int>) {
    switch type {
    case .float32:
      add(blocks, strips, rows, 4, { $0.loadUnaligned(as: Float.self) }, { $0.loadUnaligned(as: Lanes.self) })
    case .float16:
      add(blocks, strips, rows, 2, { Float($0.loadUnaligned(as: Float16.self)) }) {
        #if X86_64_V4
          processor_load_half16($0)
        #else
          processor_load_half8($0)
        #endif
      }
    case .bfloat16:
      add(blocks, strips, rows, 2, { Float(bitPattern: UInt32($0.loadUnaligned(as: UInt16.self)) << 16) }) {
        #if X86_64_V4
          processor_load_bfloat16($0)
        #else
          processor_load_bfloat8($0)
        #endif
      }
    }
  }

  @inline(__always) private func add(
    _ blocks: Range<Int>, _ strips: Range<Int>, _ rows: Range<Int>, _ stride: Int,
    _ load: (UnsafeRawPointer) -> Float, _ lanes: (UnsafeRawPointer) -> Lanes
  ) {
    let most = blocks.reduce(0) { max($0, walk.bounds[$1 + 1] - walk.bounds[$1]) }
    let copy = UnsafeMutablePointer<Float>.allocateAligned(most * Self.strip)
    defer { copy.deallocate() }
    // What a last, narrower strip leaves free.
    copy.initialize(repeating: 0, count: most * Self.strip)
    walk.named.withUnsafeBufferPointer { named in
      walk.cuts.withUnsafeBufferPointer { cuts in
        walk.places.withUnsafeBufferPointer { places in
          guard let places = places.baseAddress else { return }
          for block in blocks {
            let own = UnsafeBufferPointer(rebasing: named[walk.bounds[block]..<walk.bounds[block &+ 1]])
            let next = walk.bounds[block &+ 1]..<walk.bounds[min(block &+ 2, blocks.upperBound)]
            let first = strips.lowerBound &* Self.strip
            var ahead = Prefetch(
              rows: UnsafeBufferPointer(rebasing: named[next]), base: base + first &* stride,
              rowBytes: columns &* stride, bytes: (min(columns, strips.upperBound &* Self.strip) &- first) &* stride,
              visits: rows.count &* strips.count)
            for strip in strips {
              copyStrip(strip, of: own, to: copy, stride, load, lanes)
              for row in rows {
                let entries = cuts[block &* walk.rows &+ row]..<cuts[(block &+ 1) &* walk.rows &+ row]
                ahead.advance()
                if entries.isEmpty { continue }
                add(entries, of: copy, places, to: sums + (strip &* walk.rows &+ row) &* Self.strip)
              }
            }
          }
        }
      }
    }
  }

  @inline(__always) private func copyStrip(
    _ strip: Int, of rows: UnsafeBufferPointer<Int32>, to copy: UnsafeMutablePointer<Float>, _ stride: Int,
    _ load: (UnsafeRawPointer) -> Float, _ lanes: (UnsafeRawPointer) -> Lanes
  ) {
    let first = strip &* Self.strip
    let width = min(Self.strip, columns &- first)
    var target = UnsafeMutableRawPointer(copy)
    for row in rows {
      let source = base + (Int(row) &* columns &+ first) &* stride
      if width == Self.strip {
        for lane in 0..<8 {
          target.storeBytes(
            of: lanes(source + lane &* Lanes.scalarCount &* stride), toByteOffset: lane &* MemoryLayout<Lanes>.size,
            as: Lanes.self)
        }
      } else {
        for place in 0..<width {
          target.storeBytes(of: load(source + place &* stride), toByteOffset: 4 &* place, as: Float.self)
        }
      }
      target += 4 &* Self.strip
    }
  }

  /// - Parameter places: which row of the copy each entry takes.
  @inline(__always) private func add(
    _ entries: Range<Int>, of copy: UnsafePointer<Float>, _ places: UnsafePointer<Int32>,
    to target: UnsafeMutablePointer<Float>
  ) {
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
      let row = UnsafeRawPointer(copy + Int(places[entry]) &* Self.strip)
      let weight = Lanes(repeating: values[entry])
      s0 = fused(weight, row.loadUnaligned(as: Lanes.self), s0)
      s1 = fused(weight, row.loadUnaligned(fromByteOffset: 1 &* size, as: Lanes.self), s1)
      s2 = fused(weight, row.loadUnaligned(fromByteOffset: 2 &* size, as: Lanes.self), s2)
      s3 = fused(weight, row.loadUnaligned(fromByteOffset: 3 &* size, as: Lanes.self), s3)
      s4 = fused(weight, row.loadUnaligned(fromByteOffset: 4 &* size, as: Lanes.self), s4)
      s5 = fused(weight, row.loadUnaligned(fromByteOffset: 5 &* size, as: Lanes.self), s5)
      s6 = fused(weight, row.loadUnaligned(fromByteOffset: 6 &* size, as: Lanes.self), s6)
      s7 = fused(weight, row.loadUnaligned(fromByteOffset: 7 &* size, as: Lanes.self), s7)
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
}

@inline(__always) private func fused(_ a: Lanes, _ b: Lanes, _ c: Lanes) -> Lanes {
  #if X86_64_V4
    processor_fma16(a, b, c)
  #else
    processor_fma8(a, b, c)
  #endif
}

/// Brings the rows of the next block into the second-level cache, a share at each visit to a row of the output.
private struct Prefetch {
  private let rows: UnsafeBufferPointer<Int32>
  private let base: UnsafeRawPointer
  private let rowBytes: Int
  private let linesPerRow: Int
  private let quota: Int
  private var row = 0
  private var line = 0

  init(rows: UnsafeBufferPointer<Int32>, base: UnsafeRawPointer, rowBytes: Int, bytes: Int, visits: Int) {
    self.rows = rows
    self.base = base
    self.rowBytes = rowBytes
    linesPerRow = (bytes + 63) / 64
    quota = (rows.count * linesPerRow + visits - 1) / max(1, visits)
  }

  @inline(__always) mutating func advance() {
    var left = quota
    while left > 0 && row < rows.count {
      let start = base + (Int(rows[row]) &* rowBytes &+ line &* 64)
      let count = min(left, linesPerRow &- line)
      for step in 0..<count { processor_prefetch_second(start + step &* 64) }
      left &-= count
      line &+= count
      if line == linesPerRow {
        line = 0
        row &+= 1
      }
    }
  }
}
