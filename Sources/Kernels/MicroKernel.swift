internal import CProcessor

// The innermost loops of every matrix product. Generic code and its callers share this file, because without whole-module
// optimisation (debug builds) nothing is specialised or inlined across files.

/// The largest tile whose accumulators stay in registers: 6 x 16 in sixteen registers of eight lanes, 8 x 48 in thirty-two of
/// sixteen lanes.
enum TileShape {
  #if X86_64_V4
    static let rows = 8
    static let panels = 3
  #else
    static let rows = 6
    static let panels = 1
  #endif
}

/// Sixteen weights of one k step, as a panel stores them.
private protocol PanelFormat {
  static var bytesPerStep: Int { get }
  static func load(_ address: UnsafeRawPointer) -> SIMD16<Float>
}

private enum Float32Panel: PanelFormat {
  @inline(__always) static var bytesPerStep: Int { 64 }
  @inline(__always) static func load(_ address: UnsafeRawPointer) -> SIMD16<Float> {
    address.loadUnaligned(as: SIMD16<Float>.self)
  }
}

/// Outputs i and i + 8 share a 32-bit word, i in the lower half: a shift and a mask unpack sixteen.
private enum BFloat16Panel: PanelFormat {
  @inline(__always) static var bytesPerStep: Int { 32 }
  @inline(__always) static func load(_ address: UnsafeRawPointer) -> SIMD16<Float> {
    let words = address.loadUnaligned(as: SIMD8<UInt32>.self)
    return unsafeBitCast(
      SIMD16(lowHalf: words &<< SIMD8(repeating: 16), highHalf: words & SIMD8(repeating: 0xFFFF_0000)),
      to: SIMD16<Float>.self)
  }
}

private enum Float16Panel: PanelFormat {
  @inline(__always) static var bytesPerStep: Int { 32 }
  @inline(__always) static func load(_ address: UnsafeRawPointer) -> SIMD16<Float> {
    processor_load_half16(address)
  }
}

// The sides of a tile are types, not numbers, so that the compiler sees straight code without a branch.

/// One row of a tile, or one step of its panels.
private protocol Panels {
  static var count: Int { get }
  init()
  init<Format: PanelFormat>(_: Format.Type, _ b: UnsafeRawPointer, stride: Int)
  mutating func add(_ a: SIMD16<Float>, times b: Self)
  func store(_ c: UnsafeMutableRawPointer)
}

private struct OnePanel: Panels {
  var lanes: SIMD16<Float>
  @inline(__always) static var count: Int { 1 }
  @inline(__always) init() { lanes = SIMD16(repeating: 0) }
  @inline(__always) init<Format: PanelFormat>(_: Format.Type, _ b: UnsafeRawPointer, stride: Int) {
    lanes = Format.load(b)
  }
  @inline(__always) mutating func add(_ a: SIMD16<Float>, times b: OnePanel) {
    lanes = processor_fma16(a, b.lanes, lanes)
  }
  @inline(__always) func store(_ c: UnsafeMutableRawPointer) { c.storeBytes(of: lanes, as: SIMD16<Float>.self) }
}

/// One panel more.
private struct Wider<Fewer: Panels>: Panels {
  var fewer: Fewer
  var last: OnePanel
  @inline(__always) static var count: Int { Fewer.count &+ 1 }
  @inline(__always) init() {
    fewer = Fewer()
    last = OnePanel()
  }
  @inline(__always) init<Format: PanelFormat>(_: Format.Type, _ b: UnsafeRawPointer, stride: Int) {
    fewer = Fewer(Format.self, b, stride: stride)
    last = OnePanel(Format.self, b + Fewer.count &* stride, stride: stride)
  }
  @inline(__always) mutating func add(_ a: SIMD16<Float>, times b: Wider<Fewer>) {
    fewer.add(a, times: b.fewer)
    last.add(a, times: b.last)
  }
  @inline(__always) func store(_ c: UnsafeMutableRawPointer) {
    fewer.store(c)
    last.store(c + Fewer.count &* 64)
  }
}

private typealias TwoPanels = Wider<OnePanel>
private typealias ThreePanels = Wider<TwoPanels>
private typealias FourPanels = Wider<ThreePanels>

/// The accumulators of a tile.
private protocol Tile {
  associatedtype Row: Panels
  static var rows: Int { get }
  init()
  init(_ c: UnsafeMutablePointer<Float>, stride: Int)
  /// One step of k.
  mutating func add(_ a: UnsafePointer<Float>, rowStride: Int, times b: Row)
  func store(_ c: UnsafeMutablePointer<Float>, stride: Int)
}

private struct Tile1<Row: Panels>: Tile {
  var row: Row
  @inline(__always) static var rows: Int { 1 }
  @inline(__always) init() { row = Row() }
  @inline(__always) init(_ c: UnsafeMutablePointer<Float>, stride: Int) {
    row = Row(Float32Panel.self, UnsafeRawPointer(c), stride: 64)
  }
  @inline(__always) mutating func add(_ a: UnsafePointer<Float>, rowStride: Int, times b: Row) {
    row.add(SIMD16(repeating: a.pointee), times: b)
  }
  @inline(__always) func store(_ c: UnsafeMutablePointer<Float>, stride: Int) { row.store(UnsafeMutableRawPointer(c)) }
}

/// One row more.
private struct Taller<Fewer: Tile>: Tile {
  var fewer: Fewer
  var last: Fewer.Row
  @inline(__always) static var rows: Int { Fewer.rows &+ 1 }
  @inline(__always) init() {
    fewer = Fewer()
    last = Fewer.Row()
  }
  @inline(__always) init(_ c: UnsafeMutablePointer<Float>, stride: Int) {
    fewer = Fewer(c, stride: stride)
    last = Fewer.Row(Float32Panel.self, UnsafeRawPointer(c + Fewer.rows &* stride), stride: 64)
  }
  @inline(__always) mutating func add(_ a: UnsafePointer<Float>, rowStride: Int, times b: Fewer.Row) {
    fewer.add(a, rowStride: rowStride, times: b)
    last.add(SIMD16(repeating: a[Fewer.rows &* rowStride]), times: b)
  }
  @inline(__always) func store(_ c: UnsafeMutablePointer<Float>, stride: Int) {
    fewer.store(c, stride: stride)
    last.store(UnsafeMutableRawPointer(c + Fewer.rows &* stride))
  }
}

private typealias Tile2<Row: Panels> = Taller<Tile1<Row>>
private typealias Tile3<Row: Panels> = Taller<Tile2<Row>>
private typealias Tile4<Row: Panels> = Taller<Tile3<Row>>
private typealias Tile5<Row: Panels> = Taller<Tile4<Row>>
private typealias Tile6<Row: Panels> = Taller<Tile5<Row>>
private typealias Tile7<Row: Panels> = Taller<Tile6<Row>>
private typealias Tile8<Row: Panels> = Taller<Tile7<Row>>

/// How a tile finds its numbers: `a[i * rowStride + k * stepStride]`, `b` as panels of 16 with `bStep` bytes a step of k,
/// `c[i * cStride + column]`. With `continuing` the chains go on from what `c` holds, and end in `results` where that is set.
struct TileOperands {
  var steps: Int
  var a: UnsafePointer<Float>
  var b: UnsafeRawPointer
  /// Bytes from one panel to the next.
  var panelStride = 0
  var c: UnsafeMutablePointer<Float>
  var cStride: Int
  var continuing: Bool
  /// Where the results go instead of `c`.
  var results: UnsafeMutablePointer<Float>?
  var resultStride = 0
}

/// What will be read later: tiles ask for it line by line, to have it in the second-level cache by then. It lies in runs of
/// `runBytes`, one every `stride` bytes; a tile asks for a part of one run.
struct LookAhead {
  private var run: UnsafeRawPointer
  private let runBytes: Int
  private let stride: Int
  /// Runs still to ask for, the present one included.
  private var runs: Int
  private var tilesOfRun = 1
  private var bytesOfTile: Int
  /// Tiles that have asked for a part of the present run.
  private var asked = 0

  init(_ base: UnsafeRawPointer, runBytes: Int, every stride: Int, runs: Int) {
    (run, self.runBytes, self.stride, self.runs) = (base, runBytes, stride, max(0, runs))
    bytesOfTile = runBytes
  }

  /// Nothing: the address is never read and any will do.
  init(nothingAt base: UnsafeRawPointer) { self.init(base, runBytes: 0, every: 0, runs: 0) }

  /// Divides the runs among so many tiles.
  mutating func spread(over tiles: Int) {
    tilesOfRun = max(1, tiles / max(1, runs))
    bytesOfTile = (runBytes + tilesOfRun - 1) / tilesOfRun
  }

  /// What the next tile asks for: from where on, and how many bytes.
  fileprivate mutating func take() -> (from: UnsafeRawPointer, bytes: Int) {
    guard runs > 0 else { return (run, 0) }
    let from = run + asked &* bytesOfTile
    asked &+= 1
    if asked == tilesOfRun {
      run += stride
      runs &-= 1
      asked = 0
    }
    return (from, bytesOfTile)
  }

  /// Asks for what is left at once.
  mutating func finish() {
    while runs > 0 {
      let (from, bytes) = take()
      for offset in Swift.stride(from: 0, to: bytes, by: 64) { processor_prefetch_second(from + offset) }
    }
  }
}

/// What one tile is called with.
private struct TileCall {
  var operands: TileOperands
  /// Of a row-major left factor.
  var aStride = 1
  /// Bytes from one step of a panel to the next, where the panels are not packed.
  var bStep = 0
  var ahead: (from: UnsafeRawPointer, bytes: Int)
}

/// How the factors of a tile lie.
private protocol TileOrder {
  static func rowStride(_ call: TileCall) -> Int
  static func stepStride(rows: Int) -> Int
  static func bStep<Format: PanelFormat>(_: Format.Type, _ call: TileCall) -> Int
}

/// The left factor as `[steps][rows]`, panels as they are stored.
private enum PackedOrder: TileOrder {
  @inline(__always) static func rowStride(_ call: TileCall) -> Int { 1 }
  @inline(__always) static func stepStride(rows: Int) -> Int { rows }
  @inline(__always) static func bStep<Format: PanelFormat>(_: Format.Type, _ call: TileCall) -> Int {
    Format.bytesPerStep
  }
}

/// Both factors row by row.
private enum RowOrder: TileOrder {
  @inline(__always) static func rowStride(_ call: TileCall) -> Int { call.aStride }
  @inline(__always) static func stepStride(rows: Int) -> Int { 1 }
  @inline(__always) static func bStep<Format: PanelFormat>(_: Format.Type, _ call: TileCall) -> Int { call.bStep }
}

/// A tile's loop over k. Beside it, `ahead` is asked for, evenly over the steps. Never inlined: a function holds one tile.
@inline(never) private func run<Shape: Tile, Format: PanelFormat, Order: TileOrder>(
  _: Shape.Type, _: Format.Type, _: Order.Type, _ call: TileCall
) {
  let operands = call.operands
  var tile = operands.continuing ? Shape(operands.c, stride: operands.cStride) : Shape()
  var (a, b) = (operands.a, operands.b)
  let panelStride = operands.panelStride
  let (rowStride, stepStride) = (Order.rowStride(call), Order.stepStride(rows: Shape.rows))
  let bStep = Order.bStep(Format.self, call)
  let turns = operands.steps &>> 2
  var next = call.ahead.from
  let advance = min(64, Int(UInt32(truncatingIfNeeded: call.ahead.bytes &+ 4 &* turns) / UInt32(max(1, 4 &* turns))))
  for _ in 0..<turns {
    processor_prefetch_second(next)
    next += advance
    tile.add(a, rowStride: rowStride, times: Shape.Row(Format.self, b, stride: panelStride))
    processor_prefetch_second(next)
    next += advance
    tile.add(a + stepStride, rowStride: rowStride, times: Shape.Row(Format.self, b + bStep, stride: panelStride))
    processor_prefetch_second(next)
    next += advance
    tile.add(
      a + 2 &* stepStride, rowStride: rowStride, times: Shape.Row(Format.self, b + 2 &* bStep, stride: panelStride))
    processor_prefetch_second(next)
    next += advance
    tile.add(
      a + 3 &* stepStride, rowStride: rowStride, times: Shape.Row(Format.self, b + 3 &* bStep, stride: panelStride))
    a += 4 &* stepStride
    b += 4 &* bStep
  }
  for _ in 0..<operands.steps & 3 {
    tile.add(a, rowStride: rowStride, times: Shape.Row(Format.self, b, stride: panelStride))
    a += stepStride
    b += bStep
  }
  if let results = operands.results {
    tile.store(results, stride: operands.resultStride)
  } else {
    tile.store(operands.c, stride: operands.cStride)
  }
}

/// Finds the type for the height of a tile.
@inline(__always) private func runHeights<Row: Panels, Format: PanelFormat, Order: TileOrder>(
  rows: Int, _: Row.Type, _: Format.Type, _: Order.Type, _ call: TileCall
) {
  switch rows {
  #if X86_64_V4
    case 8: run(Tile8<Row>.self, Format.self, Order.self, call)
    case 7: run(Tile7<Row>.self, Format.self, Order.self, call)
  #endif
  case 6: run(Tile6<Row>.self, Format.self, Order.self, call)
  case 5: run(Tile5<Row>.self, Format.self, Order.self, call)
  case 4: run(Tile4<Row>.self, Format.self, Order.self, call)
  case 3: run(Tile3<Row>.self, Format.self, Order.self, call)
  case 2: run(Tile2<Row>.self, Format.self, Order.self, call)
  default: run(Tile1<Row>.self, Format.self, Order.self, call)
  }
}

/// Finds the types for both sides of a tile, where more than `TileShape.panels` panels go with fewer rows.
@inline(__always) private func runTile<Format: PanelFormat, Order: TileOrder>(
  rows: Int, panels: Int, _: Format.Type, _: Order.Type, _ call: TileCall
) {
  switch panels {
  case 4: run(Tile1<FourPanels>.self, Format.self, Order.self, call)
  #if X86_64_V4
    case 3: runHeights(rows: rows, ThreePanels.self, Format.self, Order.self, call)
    case 2: runHeights(rows: rows, TwoPanels.self, Format.self, Order.self, call)
  #else
    case 2:
      switch rows {
      case 3: run(Tile3<TwoPanels>.self, Format.self, Order.self, call)
      case 2: run(Tile2<TwoPanels>.self, Format.self, Order.self, call)
      default: run(Tile1<TwoPanels>.self, Format.self, Order.self, call)
      }
  #endif
  default: runHeights(rows: rows, OnePanel.self, Format.self, Order.self, call)
  }
}

/// How many panels a tile of this height takes at once: enough chains to hide the latency of a multiply-add.
func panelsAtOnce(rows: Int) -> Int { rows == 1 ? 4 : max(TileShape.panels, rows <= 3 ? 2 : 1) }

/// One tile of a packed left factor (`[steps][rows]`, 1 to `TileShape.rows` rows) and 1 to `panelsAtOnce(rows:)` panels in
/// their stored type, all of them with 16 columns in `c`.
func multiplyPanels(_ type: ElementType, rows: Int, panels: Int, _ operands: TileOperands) {
  let call = TileCall(operands: operands, ahead: (operands.b, 0))
  switch type {
  case .float32: runTile(rows: rows, panels: panels, Float32Panel.self, PackedOrder.self, call)
  case .bfloat16: runTile(rows: rows, panels: panels, BFloat16Panel.self, PackedOrder.self, call)
  case .float16: runTile(rows: rows, panels: panels, Float16Panel.self, PackedOrder.self, call)
  }
}

/// One tile whose factors lie row-major: `a[i * aStride + k]`, `b[k * bStride + column]`, 1 to `TileShape.rows` rows, 1 to
/// `panelsAtOnce(rows:)` panels of float32.
func multiplyRows(rows: Int, panels: Int, _ operands: TileOperands, aStride: Int, bStride: Int) {
  let call = TileCall(operands: operands, aStride: aStride, bStep: bStride &* 4, ahead: (operands.b, 0))
  runTile(rows: rows, panels: panels, Float32Panel.self, RowOrder.self, call)
}

/// All row blocks of a packed left factor times 1 to `TileShape.panels` float32 panels: the loop that a large product spends
/// its time in.
///
/// `a` holds the blocks `blocks` of `rowBlocks` one after the other, each `[steps][rows of the block]`.
func multiplyRowBlocks(
  _ blocks: Range<Int>, of rowBlocks: RowBlocks, panels: Int, _ operands: TileOperands, ahead: inout LookAhead
) {
  var operands = operands
  var end = rowBlocks.start(blocks.lowerBound)
  for block in blocks {
    let start = end
    end = rowBlocks.start(block &+ 1)
    let rows = end &- start
    let nextChains = operands.c + rows &* operands.cStride
    let nextResults = operands.results.map { $0 + rows &* operands.resultStride }
    if block &+ 1 < blocks.upperBound {
      // What the next tile begins with, and the places of its results: its chains can't begin before these arrive.
      if operands.continuing || nextResults == nil {
        prefetchTile(nextChains, stride: operands.cStride, rows: rows)
      }
      if let nextResults { prefetchTile(nextResults, stride: operands.resultStride, rows: rows) }
    }
    let call = TileCall(operands: operands, ahead: ahead.take())
    runTile(rows: rows, panels: panels, Float32Panel.self, PackedOrder.self, call)
    operands.a += rows &* operands.steps
    operands.c = nextChains
    operands.results = nextResults
  }
}

/// Asks for the lines of a tile.
@inline(__always) private func prefetchTile(_ tile: UnsafeMutablePointer<Float>, stride: Int, rows: Int) {
  var line = tile
  for _ in 0..<rows {
    processor_prefetch(line)
    if TileShape.panels > 1 {
      processor_prefetch(line + 16)
      processor_prefetch(line + 32)
    }
    line += stride
  }
}

func multiplyRowBlocks(_ blocks: Range<Int>, of rowBlocks: RowBlocks, panels: Int, _ operands: TileOperands) {
  var ahead = LookAhead(nothingAt: operands.b)
  multiplyRowBlocks(blocks, of: rowBlocks, panels: panels, operands, ahead: &ahead)
}

/// Rows cut into blocks of at most `TileShape.rows` whose sizes differ by at most one: with six, 13 is 4 + 4 + 5, not
/// 6 + 6 + 1.
struct RowBlocks {
  let rows: Int
  let count: Int
  init(rows: Int) {
    self.rows = rows
    count = (rows + TileShape.rows - 1) / TileShape.rows
  }
  func start(_ block: Int) -> Int { block &* rows / count }
}
