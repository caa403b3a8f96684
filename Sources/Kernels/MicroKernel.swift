internal import CProcessor

// The innermost loops of every matrix product. Generic code and its callers share this file, because without whole-module
// optimisation (debug builds) nothing is specialised or inlined across files.

/// Sixteen weights of one k step, as a panel stores them.
private protocol PanelFormat {
  static var bytesPerStep: Int { get }
  /// Outputs 0-7 and outputs 8-15.
  static func load(_ address: UnsafeRawPointer) -> (low: SIMD8<Float>, high: SIMD8<Float>)
}

private enum Float32Panel: PanelFormat {
  @inline(__always) static var bytesPerStep: Int { 64 }
  @inline(__always) static func load(_ address: UnsafeRawPointer) -> (low: SIMD8<Float>, high: SIMD8<Float>) {
    (
      address.loadUnaligned(as: SIMD8<Float>.self),
      address.loadUnaligned(fromByteOffset: 32, as: SIMD8<Float>.self)
    )
  }
}

/// Outputs i and i + 8 share a 32-bit word, i in the lower half: a shift and a mask unpack sixteen.
private enum BFloat16Panel: PanelFormat {
  @inline(__always) static var bytesPerStep: Int { 32 }
  @inline(__always) static func load(_ address: UnsafeRawPointer) -> (low: SIMD8<Float>, high: SIMD8<Float>) {
    let words = address.loadUnaligned(as: SIMD8<UInt32>.self)
    return (
      unsafeBitCast(words &<< SIMD8(repeating: 16), to: SIMD8<Float>.self),
      unsafeBitCast(words & SIMD8(repeating: 0xFFFF_0000), to: SIMD8<Float>.self)
    )
  }
}

private enum Float16Panel: PanelFormat {
  @inline(__always) static var bytesPerStep: Int { 32 }
  @inline(__always) static func load(_ address: UnsafeRawPointer) -> (low: SIMD8<Float>, high: SIMD8<Float>) {
    (
      SIMD8<Float>(address.loadUnaligned(as: SIMD8<Float16>.self)),
      SIMD8<Float>(address.loadUnaligned(fromByteOffset: 16, as: SIMD8<Float16>.self))
    )
  }
}

/// Up to six rows times one panel, or fewer rows times more panels: at most twelve accumulators of eight lanes, which stay in
/// registers. Unit u is row u / panels, panel u % panels. Everything called `rows` or `panels` is a literal at the call, so
/// that the branches vanish.
private struct Tile {
  var low0, high0, low1, high1, low2, high2, low3, high3, low4, high4, low5, high5: SIMD8<Float>

  @inline(__always) init() {
    let zero = SIMD8<Float>(repeating: 0)
    (low0, high0, low1, high1, low2, high2) = (zero, zero, zero, zero, zero, zero)
    (low3, high3, low4, high4, low5, high5) = (zero, zero, zero, zero, zero, zero)
  }

  @inline(__always) private static func broadcast(
    _ a: UnsafePointer<Float>, _ unit: Int, _ panels: Int, _ rowStride: Int
  ) -> SIMD8<Float> { SIMD8(repeating: a[(unit / panels) &* rowStride]) }

  /// One step of k for all accumulators.
  @inline(__always) mutating func step<Format: PanelFormat>(
    _: Format.Type, rows: Int, panels: Int, _ a: UnsafePointer<Float>, rowStride: Int, _ b: UnsafeRawPointer,
    panelStride: Int
  ) {
    let units = rows &* panels
    let (bl0, bh0) = Format.load(b)
    let a0 = Tile.broadcast(a, 0, panels, rowStride)
    low0 = processor_fma8(a0, bl0, low0)
    high0 = processor_fma8(a0, bh0, high0)
    if units > 1 {
      let (bl, bh) = Format.load(b + (1 % panels) &* panelStride)
      let a = Tile.broadcast(a, 1, panels, rowStride)
      low1 = processor_fma8(a, bl, low1)
      high1 = processor_fma8(a, bh, high1)
    }
    if units > 2 {
      let (bl, bh) = Format.load(b + (2 % panels) &* panelStride)
      let a = Tile.broadcast(a, 2, panels, rowStride)
      low2 = processor_fma8(a, bl, low2)
      high2 = processor_fma8(a, bh, high2)
    }
    if units > 3 {
      let (bl, bh) = Format.load(b + (3 % panels) &* panelStride)
      let a = Tile.broadcast(a, 3, panels, rowStride)
      low3 = processor_fma8(a, bl, low3)
      high3 = processor_fma8(a, bh, high3)
    }
    if units > 4 {
      let (bl, bh) = Format.load(b + (4 % panels) &* panelStride)
      let a = Tile.broadcast(a, 4, panels, rowStride)
      low4 = processor_fma8(a, bl, low4)
      high4 = processor_fma8(a, bh, high4)
    }
    if units > 5 {
      let (bl, bh) = Format.load(b + (5 % panels) &* panelStride)
      let a = Tile.broadcast(a, 5, panels, rowStride)
      low5 = processor_fma8(a, bl, low5)
      high5 = processor_fma8(a, bh, high5)
    }
  }

  @inline(__always) private static func address(
    _ c: UnsafeMutablePointer<Float>, _ unit: Int, _ panels: Int, _ stride: Int
  ) -> UnsafeMutableRawPointer {
    UnsafeMutableRawPointer(c + ((unit / panels) &* stride &+ (unit % panels) &* 16))
  }

  @inline(__always) private static func load(
    _ c: UnsafeMutablePointer<Float>, _ unit: Int, _ panels: Int, _ stride: Int
  ) -> (SIMD8<Float>, SIMD8<Float>) {
    let address = address(c, unit, panels, stride)
    return (
      address.loadUnaligned(as: SIMD8<Float>.self), address.loadUnaligned(fromByteOffset: 32, as: SIMD8<Float>.self)
    )
  }

  @inline(__always) private static func store(
    _ low: SIMD8<Float>, _ high: SIMD8<Float>, _ c: UnsafeMutablePointer<Float>, _ unit: Int, _ panels: Int,
    _ stride: Int
  ) {
    let address = address(c, unit, panels, stride)
    address.storeBytes(of: low, as: SIMD8<Float>.self)
    address.storeBytes(of: high, toByteOffset: 32, as: SIMD8<Float>.self)
  }

  @inline(__always) mutating func load(rows: Int, panels: Int, _ c: UnsafeMutablePointer<Float>, stride: Int) {
    let units = rows &* panels
    (low0, high0) = Tile.load(c, 0, panels, stride)
    if units > 1 { (low1, high1) = Tile.load(c, 1, panels, stride) }
    if units > 2 { (low2, high2) = Tile.load(c, 2, panels, stride) }
    if units > 3 { (low3, high3) = Tile.load(c, 3, panels, stride) }
    if units > 4 { (low4, high4) = Tile.load(c, 4, panels, stride) }
    if units > 5 { (low5, high5) = Tile.load(c, 5, panels, stride) }
  }

  @inline(__always) func store(rows: Int, panels: Int, _ c: UnsafeMutablePointer<Float>, stride: Int) {
    let units = rows &* panels
    Tile.store(low0, high0, c, 0, panels, stride)
    if units > 1 { Tile.store(low1, high1, c, 1, panels, stride) }
    if units > 2 { Tile.store(low2, high2, c, 2, panels, stride) }
    if units > 3 { Tile.store(low3, high3, c, 3, panels, stride) }
    if units > 4 { Tile.store(low4, high4, c, 4, panels, stride) }
    if units > 5 { Tile.store(low5, high5, c, 5, panels, stride) }
  }
}

/// How a tile finds its numbers: `a[i * rowStride + k * stepStride]`, `b` as panels of 16 with `bStep` bytes a step of k,
/// `c[i * cStride + column]`. With `continuing` the chains go on from what `c` holds.
struct TileOperands {
  var steps: Int
  var a: UnsafePointer<Float>
  var b: UnsafeRawPointer
  /// Bytes from one panel to the next.
  var panelStride = 0
  var c: UnsafeMutablePointer<Float>
  var cStride: Int
  var continuing: Bool
}

/// What will be read later: a tile asks for one cache line of it every four steps of k, to have it in the second-level cache by
/// then. Lines lie in runs of a power of two, a run every `stride` bytes.
struct LookAhead {
  var base: UnsafeRawPointer
  /// Lines still to ask for; 0 for nothing.
  var lines = 0
  /// Lines already asked for.
  var next = 0
  var runShift = 62
  var stride = 0
  /// Asks in every 2^n-th turn only, so that memory is asked evenly.
  var sparseness = 0

  /// `count` runs of about `bytes`, `stride` bytes apart.
  mutating func setRuns(of bytes: Int, every stride: Int, count: Int) {
    let linesOfRun = (bytes + 63) / 64
    guard linesOfRun > 0, count > 0 else { return }
    runShift = Int.bitWidth - 1 - linesOfRun.leadingZeroBitCount
    self.stride = stride
    lines = count &<< runShift
  }

  /// Spreads the lines over so many row blocks of so many steps.
  mutating func spread(over blocks: Int, steps: Int) {
    var turns = blocks &* (steps &>> 2)
    while turns >= 2 &* lines, sparseness < 4, lines > 0 {
      sparseness += 1
      turns /= 2
    }
  }

  /// Asks for what is left at once.
  mutating func finish() {
    while lines > 0 {
      processor_prefetch_second(line(next))
      next &+= 1
      lines &-= 1
    }
  }

  @inline(__always) func line(_ index: Int) -> UnsafeRawPointer {
    base + ((index &>> runShift) &* stride &+ (index & ((1 &<< runShift) &- 1)) &* 64)
  }
}

@inline(__always) private func run<Format: PanelFormat>(
  _: Format.Type, rows: Int, panels: Int, _ operands: TileOperands, rowStride: Int, stepStride: Int, bStep: Int,
  looksAhead: Bool = false, ahead: LookAhead? = nil
) {
  var tile = Tile()
  if operands.continuing { tile.load(rows: rows, panels: panels, operands.c, stride: operands.cStride) }
  var a = operands.a
  var b = operands.b
  let panelStride = operands.panelStride
  // Several panels at once are bound by memory; unrolled, they would also run out of registers.
  let unrolled = panels == 1 ? operands.steps &>> 2 : 0
  for iteration in 0..<unrolled {
    if looksAhead, let ahead, iteration & ((1 &<< ahead.sparseness) &- 1) == 0 {
      processor_prefetch_second(ahead.line(ahead.next &+ (iteration &>> ahead.sparseness)))
    }
    tile.step(Format.self, rows: rows, panels: panels, a, rowStride: rowStride, b, panelStride: panelStride)
    tile.step(
      Format.self, rows: rows, panels: panels, a + stepStride, rowStride: rowStride, b + bStep, panelStride: panelStride
    )
    tile.step(
      Format.self, rows: rows, panels: panels, a + 2 &* stepStride, rowStride: rowStride, b + 2 &* bStep,
      panelStride: panelStride)
    tile.step(
      Format.self, rows: rows, panels: panels, a + 3 &* stepStride, rowStride: rowStride, b + 3 &* bStep,
      panelStride: panelStride)
    a += 4 &* stepStride
    b += 4 &* bStep
  }
  for _ in 0..<(panels == 1 ? operands.steps & 3 : operands.steps) {
    tile.step(Format.self, rows: rows, panels: panels, a, rowStride: rowStride, b, panelStride: panelStride)
    a += stepStride
    b += bStep
  }
  tile.store(rows: rows, panels: panels, operands.c, stride: operands.cStride)
}

@inline(__always) private func runPacked<Format: PanelFormat>(
  _: Format.Type, rows: Int, panels: Int, _ operands: TileOperands, looksAhead: Bool = false, ahead: LookAhead? = nil
) {
  run(
    Format.self, rows: rows, panels: panels, operands, rowStride: 1, stepStride: rows, bStep: Format.bytesPerStep,
    looksAhead: looksAhead, ahead: ahead)
}

@inline(__always) private func runOnePanel<Format: PanelFormat>(
  _: Format.Type, rows: Int, _ operands: TileOperands, looksAhead: Bool = false, ahead: LookAhead? = nil
) {
  switch rows {
  case 6: runPacked(Format.self, rows: 6, panels: 1, operands, looksAhead: looksAhead, ahead: ahead)
  case 5: runPacked(Format.self, rows: 5, panels: 1, operands, looksAhead: looksAhead, ahead: ahead)
  case 4: runPacked(Format.self, rows: 4, panels: 1, operands, looksAhead: looksAhead, ahead: ahead)
  case 3: runPacked(Format.self, rows: 3, panels: 1, operands, looksAhead: looksAhead, ahead: ahead)
  case 2: runPacked(Format.self, rows: 2, panels: 1, operands, looksAhead: looksAhead, ahead: ahead)
  default: runPacked(Format.self, rows: 1, panels: 1, operands, looksAhead: looksAhead, ahead: ahead)
  }
}

@inline(__always) private func runPanels<Format: PanelFormat>(
  _: Format.Type, rows: Int, _ operands: TileOperands
) {
  switch rows {
  case 3: runPacked(Format.self, rows: 3, panels: 2, operands)
  case 2: runPacked(Format.self, rows: 2, panels: 2, operands)
  default: runPacked(Format.self, rows: 1, panels: 4, operands)
  }
}

/// How many panels `multiplyPanels` takes at once for this number of rows: at least eight chains of eight lanes hide the
/// latency of a multiply-add.
func panelsAtOnce(rows: Int) -> Int { rows == 1 ? 4 : rows <= 3 ? 2 : 1 }

/// One tile of a packed left factor (`[steps][rows]`, 1 to 6 rows) and one panel in its stored type.
func multiplyPanel(_ type: ElementType, rows: Int, _ operands: TileOperands) {
  switch type {
  case .float32: runOnePanel(Float32Panel.self, rows: rows, operands)
  case .bfloat16: runOnePanel(BFloat16Panel.self, rows: rows, operands)
  case .float16: runOnePanel(Float16Panel.self, rows: rows, operands)
  }
}

/// The same for `panelsAtOnce(rows:)` neighbouring panels, all of them with 16 columns in `c`.
func multiplyPanels(_ type: ElementType, rows: Int, _ operands: TileOperands) {
  guard rows <= 3 else { return multiplyPanel(type, rows: rows, operands) }
  switch type {
  case .float32: runPanels(Float32Panel.self, rows: rows, operands)
  case .bfloat16: runPanels(BFloat16Panel.self, rows: rows, operands)
  case .float16: runPanels(Float16Panel.self, rows: rows, operands)
  }
}

/// One tile whose factors lie row-major: `a[i * aStride + k]`, `b[k * bStride + column]`, 1 to 6 rows, 16 columns of float32.
func multiplyRows(rows: Int, _ operands: TileOperands, aStride: Int, bStride: Int) {
  let bStep = bStride &* 4
  switch rows {
  case 6: run(Float32Panel.self, rows: 6, panels: 1, operands, rowStride: aStride, stepStride: 1, bStep: bStep)
  case 5: run(Float32Panel.self, rows: 5, panels: 1, operands, rowStride: aStride, stepStride: 1, bStep: bStep)
  case 4: run(Float32Panel.self, rows: 4, panels: 1, operands, rowStride: aStride, stepStride: 1, bStep: bStep)
  case 3: run(Float32Panel.self, rows: 3, panels: 1, operands, rowStride: aStride, stepStride: 1, bStep: bStep)
  case 2: run(Float32Panel.self, rows: 2, panels: 1, operands, rowStride: aStride, stepStride: 1, bStep: bStep)
  default: run(Float32Panel.self, rows: 1, panels: 1, operands, rowStride: aStride, stepStride: 1, bStep: bStep)
  }
}

/// All row blocks of a packed left factor times one float32 panel: the loop that a large product spends its time in.
///
/// `a` holds the blocks `blocks` of `blockRows` one after the other, each `[steps][rows of the block]`.
func multiplyRowBlocks(
  _ blocks: Range<Int>, of rowBlocks: RowBlocks, _ operands: TileOperands, ahead: inout LookAhead
) {
  var operands = operands
  for block in blocks {
    let rows = rowBlocks.start(block &+ 1) &- rowBlocks.start(block)
    if block &+ 1 < blocks.upperBound {
      // The next tile's results: its chains can't begin before these arrive.
      let next = operands.c + rows &* operands.cStride
      for row in 0..<rows { processor_prefetch(next + row &* operands.cStride) }
    }
    if ahead.lines > 0 {
      runOnePanel(Float32Panel.self, rows: rows, operands, looksAhead: true, ahead: ahead)
      let asked = ((operands.steps &>> 2) &+ (1 &<< ahead.sparseness) &- 1) &>> ahead.sparseness
      ahead.next &+= asked
      ahead.lines &-= asked
    } else {
      runOnePanel(Float32Panel.self, rows: rows, operands)
    }
    operands.a += rows &* operands.steps
    operands.c += rows &* operands.cStride
  }
}

func multiplyRowBlocks(_ blocks: Range<Int>, of rowBlocks: RowBlocks, _ operands: TileOperands) {
  var ahead = LookAhead(base: operands.b)
  multiplyRowBlocks(blocks, of: rowBlocks, operands, ahead: &ahead)
}

/// Rows cut into blocks of at most six whose sizes differ by at most one: 13 is 4 + 4 + 5, not 6 + 6 + 1.
struct RowBlocks {
  let rows: Int
  let count: Int
  init(rows: Int) {
    self.rows = rows
    count = (rows + 5) / 6
  }
  func start(_ block: Int) -> Int { block &* rows / count }
}
