internal import CProcessor

#if X86_64_V4
  private typealias Lanes = SIMD16<Float>
#else
  private typealias Lanes = SIMD8<Float>
#endif

// The lanes and their multiply-add are those of RowSums again: without whole-module optimisation nothing is inlined across files.

/// The sums of B's rows for weights that have much in common: a block of B's rows after the other, a strip of columns after the other,
/// for all sparse rows and ladders. Where these are many, they find the strip copied to where its rows lie side by side: in B, rows lie a
/// multiple of a power of two apart more often than not, and share a few of the cache's sets.
struct SharedRowSums {
  let walk: BlockWalk
  private let weights: RowWeights
  private let base: UnsafeRawPointer
  private let type: ElementType
  private let columns: Int
  private let climbs: [Climb]
  /// Rows of the result.
  private let rows: Int
  /// The chains so far, `[strips][rows][strip]`.
  private let sums: UnsafeMutablePointer<Float>

  /// The columns of a strip: eight chains a lane hide a multiply-add's latency.
  private static var strip: Int { 8 * Lanes.scalarCount }

  private let strips: Int

  /// Free it with `deallocate`.
  /// - Parameters:
  ///   - walk: made of the weights.
  ///   - base: B, of `columns` columns, row-major, of any alignment.
  init(walk: BlockWalk, _ weights: RowWeights, base: UnsafeRawPointer, type: ElementType, columns: Int) {
    (self.walk, self.weights, self.base, self.type, self.columns) = (walk, weights, base, type, columns)
    rows = weights.rows
    var firstRow = weights.sparse.rows
    climbs = weights.ladders.indices.map { place in
      let (ladder, places) = (weights.ladders[place], walk.ladderPlaces[place])
      defer { firstRow += ladder.coefficients.count }
      return Climb(ladder, counting: places.counting, ending: places.ending, firstRow: firstRow)
    }
    strips = (columns + Self.strip - 1) / Self.strip
    let count = strips * rows * Self.strip
    sums = .allocateAligned(count)
    sums.initialize(repeating: 0, count: count)
  }

  func deallocate() {
    sums.deallocate()
    for climb in climbs { climb.deallocate() }
  }

  /// Goes on with all chains by some of the walk's blocks, which must follow those before. Threads take strips of their own, or,
  /// where there are too few, sparse rows and ladders.
  func add(_ blocks: Range<Int>, _ pool: ThreadPool) {
    let entries =
      walk.cuts[blocks.upperBound * walk.rows..<(blocks.upperBound + 1) * walk.rows].reduce(0, +)
      - walk.cuts[blocks.lowerBound * walk.rows..<(blocks.lowerBound + 1) * walk.rows].reduce(0, +)
    let steps = climbs.reduce(entries) { steps, climb in
      let rungs = 2 * blocks.count * climb.rungs
      return [climb.counting, climb.ending].reduce(steps + rungs) {
        $0 + 2 * ($1.starts[blocks.upperBound] - $1.starts[blocks.lowerBound])
      }
    }
    let sharers = walk.rows + weights.ladders.count
    if pool.threads == 1 || steps * columns < 1 << 16 { return add(blocks, strips: 0..<strips, sharers: 0..<sharers) }
    let across = min(pool.threads, strips)
    let down = min(sharers, (pool.threads + across - 1) / across)
    pool.divide(across * down) { part in
      let (i, j) = (part / across, part % across)
      add(
        blocks, strips: strips * j / across..<strips * (j + 1) / across,
        sharers: sharers * i / down..<sharers * (i + 1) / down)
    }
  }

  /// Writes the sums, `[rows, columns]`.
  func finish(into output: UnsafeMutablePointer<Float>, _ pool: ThreadPool) {
    forEachRowGroup(rows, columns, pool) { row in
      for strip in 0..<strips {
        let first = strip * Self.strip
        (output + (row * columns + first)).initialize(
          from: sums + (strip * rows + row) * Self.strip, count: min(Self.strip, columns - first))
      }
    }
  }

  /// - Parameter sharers: of the sparse rows and the ladders after them.
  private func add(_ blocks: Range<Int>, strips: Range<Int>, sharers: Range<Int>) {
    switch type {
    case .float32:
      add(blocks, strips, sharers, 4, { $0.loadUnaligned(as: Float.self) }, { $0.loadUnaligned(as: Lanes.self) })
    case .float16:
      add(blocks, strips, sharers, 2, { Float($0.loadUnaligned(as: Float16.self)) }) {
        #if X86_64_V4
          processor_load_half16($0)
        #else
          processor_load_half8($0)
        #endif
      }
    case .bfloat16:
      add(blocks, strips, sharers, 2, { Float(bitPattern: UInt32($0.loadUnaligned(as: UInt16.self)) << 16) }) {
        #if X86_64_V4
          processor_load_bfloat16($0)
        #else
          processor_load_bfloat8($0)
        #endif
      }
    }
  }

  @inline(__always) private func add(
    _ blocks: Range<Int>, _ strips: Range<Int>, _ sharers: Range<Int>, _ stride: Int,
    _ load: (UnsafeRawPointer) -> Float, _ lanes: (UnsafeRawPointer) -> Lanes
  ) {
    let most = blocks.reduce(0) { max($0, walk.bounds[$1 + 1] - walk.bounds[$1]) }
    let copy = UnsafeMutablePointer<Float>.allocateAligned(most * Self.strip)
    defer { copy.deallocate() }
    // What a last, narrower strip leaves free.
    copy.initialize(repeating: 0, count: most * Self.strip)
    let some = sharers.clamped(to: 0..<walk.rows)
    let ladders = max(walk.rows, sharers.lowerBound) &- walk.rows..<max(walk.rows, sharers.upperBound) &- walk.rows
    walk.named.withUnsafeBufferPointer { named in
      for block in blocks {
        let own = UnsafeBufferPointer(rebasing: named[walk.bounds[block]..<walk.bounds[block &+ 1]])
        if own.isEmpty { continue }
        let next = walk.bounds[block &+ 1]..<walk.bounds[min(block &+ 2, blocks.upperBound)]
        let first = strips.lowerBound &* Self.strip
        var ahead = Prefetch(
          rows: UnsafeBufferPointer(rebasing: named[next]), base: base + first &* stride,
          rowBytes: columns &* stride, bytes: (min(columns, strips.upperBound &* Self.strip) &- first) &* stride,
          visits: (some.count + ladders.count) &* strips.count)
        for strip in strips {
          let target = sums + strip &* rows &* Self.strip
          if some.count &+ ladders.count <= Self.readersInPlace && (strip &+ 1) &* Self.strip <= columns {
            let source = base + strip &* Self.strip &* stride
            add(
              some, ladders, block, to: target, &ahead, Lanes.scalarCount &* stride, lanes,
              { source + Int(own[Int($0)]) &* columns &* stride })
          } else {
            copyStrip(strip, of: own, to: copy, stride, load, lanes)
            add(
              some, ladders, block, to: target, &ahead, MemoryLayout<Lanes>.size,
              { $0.loadUnaligned(as: Lanes.self) }, { UnsafeRawPointer(copy + Int($0) &* Self.strip) })
          }
        }
      }
    }
  }

  /// So few sparse rows and ladders read B where it lies.
  private static let readersInPlace = 2

  /// Adds what sparse rows and ladders take from a block to a strip of their sums.
  /// - Parameters:
  ///   - step: bytes from lanes to lanes.
  ///   - row: where one of the block's named rows has its strip.
  @inline(__always) private func add(
    _ some: Range<Int>, _ ladders: Range<Int>, _ block: Int, to sums: UnsafeMutablePointer<Float>,
    _ ahead: inout Prefetch, _ step: Int, _ lanes: (UnsafeRawPointer) -> Lanes, _ row: (Int32) -> UnsafeRawPointer
  ) {
    addSparse(some, block, to: sums, &ahead, step, lanes, row)
    for ladder in ladders {
      ahead.advance()
      climb(climbs[ladder], block, to: sums + climbs[ladder].firstRow &* Self.strip, step, lanes, row)
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

  /// Adds what some sparse rows take from a block to a strip of their sums.
  @inline(__always) private func addSparse(
    _ some: Range<Int>, _ block: Int, to sums: UnsafeMutablePointer<Float>, _ ahead: inout Prefetch, _ step: Int,
    _ lanes: (UnsafeRawPointer) -> Lanes, _ row: (Int32) -> UnsafeRawPointer
  ) {
    walk.cuts.withUnsafeBufferPointer { cuts in
      walk.places.withUnsafeBufferPointer { places in
        weights.sparse.values.withUnsafeBufferPointer { values in
          guard let places = places.baseAddress, let values = values.baseAddress else { return }
          for sparse in some {
            ahead.advance()
            let entries = cuts[block &* walk.rows &+ sparse]..<cuts[(block &+ 1) &* walk.rows &+ sparse]
            if entries.isEmpty { continue }
            add(entries, places, values, to: sums + sparse &* Self.strip, step, lanes, row)
          }
        }
      }
    }
  }

  /// - Parameter places: which of the block's rows each entry takes.
  @inline(__always) private func add(
    _ entries: Range<Int>, _ places: UnsafePointer<Int32>, _ values: UnsafePointer<Float>,
    to target: UnsafeMutablePointer<Float>, _ step: Int, _ lanes: (UnsafeRawPointer) -> Lanes,
    _ row: (Int32) -> UnsafeRawPointer
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
      let row = row(places[entry])
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

  /// Half a strip after the other, so that chains of slopes and of intercepts have four lanes each.
  @inline(__always) private func climb(
    _ ladder: Climb, _ block: Int, to sums: UnsafeMutablePointer<Float>, _ step: Int,
    _ lanes: (UnsafeRawPointer) -> Lanes, _ row: (Int32) -> UnsafeRawPointer
  ) {
    let last = ladder.rungs &- 1
    for half in 0..<2 {
      let target = sums + half &* 4 &* Lanes.scalarCount
      climb(
        ladder.counting, block, ladder.coefficients, ladder.rungs, by: 1, to: target, step, lanes,
        { row($0) + half &* 4 &* step })
      climb(
        ladder.ending, block, ladder.coefficients + last, ladder.rungs, by: -1, to: target + last &* Self.strip, step,
        lanes, { row($0) + half &* 4 &* step })
    }
  }

  /// - Parameter direction: to the coefficient that is met next.
  @inline(__always) private func climb(
    _ side: Climb.Side, _ block: Int, _ coefficients: UnsafePointer<Float>, _ rungs: Int, by direction: Int,
    to sums: UnsafeMutablePointer<Float>, _ step: Int, _ lanes: (UnsafeRawPointer) -> Lanes,
    _ row: (Int32) -> UnsafeRawPointer
  ) {
    let first = side.starts[block]
    if first == side.starts[block &+ 1] { return }
    let counts = side.counts + block &* rungs
    let size = MemoryLayout<Lanes>.size
    let zero = Lanes(repeating: 0)
    var (a0, a1, a2, a3) = (zero, zero, zero, zero)
    var (b0, b1, b2, b3) = (zero, zero, zero, zero)
    var entry = first
    for rung in 0..<rungs {
      let end = first &+ Int(counts[rung])
      while entry < end {
        let row = row(side.entries[entry].place)
        let slope = Lanes(repeating: side.entries[entry].slope)
        let intercept = Lanes(repeating: side.entries[entry].intercept)
        let r0 = lanes(row)
        let r1 = lanes(row + step)
        let r2 = lanes(row + 2 &* step)
        let r3 = lanes(row + 3 &* step)
        a0 = fused(slope, r0, a0)
        a1 = fused(slope, r1, a1)
        a2 = fused(slope, r2, a2)
        a3 = fused(slope, r3, a3)
        b0 = fused(intercept, r0, b0)
        b1 = fused(intercept, r1, b1)
        b2 = fused(intercept, r2, b2)
        b3 = fused(intercept, r3, b3)
        entry &+= 1
      }
      if entry == first { continue }
      let coefficient = Lanes(repeating: coefficients[rung &* direction])
      let target = UnsafeMutableRawPointer(sums + rung &* direction &* Self.strip)
      @inline(__always) func add(_ lane: Int, _ a: Lanes, _ b: Lanes) {
        let sum = fused(coefficient, a, target.loadUnaligned(fromByteOffset: lane &* size, as: Lanes.self)) + b
        target.storeBytes(of: sum, toByteOffset: lane &* size, as: Lanes.self)
      }
      add(0, a0, b0)
      add(1, a1, b1)
      add(2, a2, b2)
      add(3, a3, b3)
    }
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
