internal import CProcessor

// The innermost loops of every matrix product. Generic code and its callers share this file, because without whole-module
// optimisation (debug builds) nothing is specialised or inlined across files.

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

// `TileShape.panels` as a type: what other files say is no constant here without whole-module optimisation.
#if X86_64_V4
  private typealias AllPanels = ThreePanels
#else
  private typealias AllPanels = OnePanel
#endif

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

/// What one tile is called with.
private struct TileCall {
  var operands: TileOperands
  /// Of a row-major left factor.
  var aStride = 1
  /// Bytes from one step of a panel to the next, where the panels are not packed.
  var bStep = 0
  /// Tiles of this height, one below the other: `a` holds their parts one after the other.
  var tiles = 1
}

/// How the factors of a tile lie.
private protocol TileOrder {
  static func rowStride(_ call: TileCall) -> Int
  static func stepStride(rows: Int) -> Int
  static func panelStride(_ call: TileCall) -> Int
  static func bStep<Format: PanelFormat>(_: Format.Type, _ call: TileCall) -> Int
}

/// The left factor as `[steps][rows]`, panels as they are stored.
private enum PackedOrder: TileOrder {
  @inline(__always) static func rowStride(_ call: TileCall) -> Int { 1 }
  @inline(__always) static func stepStride(rows: Int) -> Int { rows }
  @inline(__always) static func panelStride(_ call: TileCall) -> Int { call.operands.panelStride }
  @inline(__always) static func bStep<Format: PanelFormat>(_: Format.Type, _ call: TileCall) -> Int {
    Format.bytesPerStep
  }
}

/// The left factor as `[steps][rows]`, the panels of a tile side by side, `[steps][panels][16]`.
private enum StripOrder: TileOrder {
  @inline(__always) static func rowStride(_ call: TileCall) -> Int { 1 }
  @inline(__always) static func stepStride(rows: Int) -> Int { rows }
  @inline(__always) static func panelStride(_ call: TileCall) -> Int { 64 }
  @inline(__always) static func bStep<Format: PanelFormat>(_: Format.Type, _ call: TileCall) -> Int {
    64 &* AllPanels.count
  }
}

/// Both factors row by row.
private enum RowOrder: TileOrder {
  @inline(__always) static func rowStride(_ call: TileCall) -> Int { call.aStride }
  @inline(__always) static func stepStride(rows: Int) -> Int { 1 }
  @inline(__always) static func panelStride(_ call: TileCall) -> Int { call.operands.panelStride }
  @inline(__always) static func bStep<Format: PanelFormat>(_: Format.Type, _ call: TileCall) -> Int { call.bStep }
}

/// What tiles do for later ones, a little at a time, in the shadow of their multiply-adds.
private protocol SideWork {
  associatedtype Task
  /// - Parameter turns: of each tile.
  init(_ task: Task, tiles: Int, turns: Int)
  /// Before each tile.
  mutating func tile()
  /// Before each turn of four steps.
  mutating func turn()
  /// Before each step.
  mutating func step()
  mutating func finish()
}

private struct NoSideWork: SideWork {
  @inline(__always) init(_ task: Void, tiles: Int, turns: Int) {}
  @inline(__always) func tile() {}
  @inline(__always) func turn() {}
  @inline(__always) func step() {}
  @inline(__always) func finish() {}
}

/// Asks for what lies ahead, evenly over the steps of each tile.
private struct Asking: SideWork {
  private var ahead: LookAhead
  private let steps: Int
  private var next: UnsafeRawPointer
  private var advance = 0
  /// Turns until what is asked for lies at `then`.
  private var turns = 0
  private var then: UnsafeRawPointer
  @inline(__always) init(_ task: LookAhead, tiles: Int, turns: Int) {
    (ahead, steps) = (task, 4 &* turns)
    next = ahead.present
    then = next
  }
  @inline(__always) mutating func tile() {
    let share = ahead.take()
    (next, then) = (share.from, share.then)
    advance = min(64, quotient(share.bytes &+ steps, max(1, steps)))
    turns = share.first < share.bytes ? quotient(share.first &+ 4 &* advance &- 1, max(1, 4 &* advance)) &+ 1 : 0
  }
  @inline(__always) mutating func turn() {
    turns &-= 1
    next = turns == 0 ? then : next
  }
  @inline(__always) mutating func step() {
    processor_prefetch_second(next)
    next += advance
  }
  @inline(__always) func finish() {}
  @inline(__always) private func quotient(_ a: Int, _ b: Int) -> Int {
    Int(UInt32(truncatingIfNeeded: a) / UInt32(truncatingIfNeeded: b))
  }
}

/// Sixteen neighbours of a row-major factor; in the other types they lie as in a panel.
private enum BFloat16Row: PanelFormat {
  @inline(__always) static var bytesPerStep: Int { 32 }
  @inline(__always) static func load(_ address: UnsafeRawPointer) -> SIMD16<Float> { processor_load_bfloat16(address) }
}

/// Packs a part of the next block, evenly over the turns, and asks for rows that come later.
private struct Packing<Format: PanelFormat>: SideWork {
  private let part: PackAhead.Part
  private var from: UnsafeRawPointer
  private var into: UnsafeMutableRawPointer
  private var pieces: Int
  private var strip: Int
  private var row: Int
  /// Pieces a `turns` turns, and what has come together of the next one.
  private let rate: Int
  private let turns: Int
  private var due = 0

  @inline(__always) init(_ task: PackAhead.Part, tiles: Int, turns: Int) {
    part = task
    (from, into, pieces, strip, row) = (task.from, task.into, task.pieces, task.strip, task.row)
    (rate, self.turns) = (task.pieces, tiles &* turns)
  }

  @inline(__always) func tile() {}

  @inline(__always) mutating func turn() {
    due &+= rate
    while due >= turns {
      due &-= turns
      pack()
    }
  }

  @inline(__always) func step() {}

  @inline(__always) private mutating func pack() {
    for panel in 0..<AllPanels.count {
      let sixteen = from + panel &* Format.bytesPerStep
      into.storeBytes(of: Format.load(sixteen), toByteOffset: panel &* 64, as: SIMD16<Float>.self)
      processor_prefetch_second(sixteen + part.bytesAhead)
    }
    from += part.rowBytes
    into += AllPanels.count &* 64
    row &+= 1
    if row == part.rowsInTurn {
      row = 0
      from += part.toNextStrip.from
      into += part.toNextStrip.into
      strip &+= 1
      if strip == part.strips {
        strip = 0
        from += part.toNextRows.from
        into += part.toNextRows.into
      }
    }
    pieces &-= 1
  }

  @inline(__always) mutating func finish() {
    while pieces > 0 { pack() }
  }
}

/// Tiles of one shape, each a loop over k. Never inlined: a function holds one tile.
@inline(never) private func run<Shape: Tile, Format: PanelFormat, Order: TileOrder, Work: SideWork>(
  _: Shape.Type, _: Format.Type, _: Order.Type, _: Work.Type, _ call: TileCall, _ task: Work.Task
) {
  let operands = call.operands
  let turns = operands.steps &>> 2
  var work = Work(task, tiles: call.tiles, turns: turns)
  let panelStride = Order.panelStride(call)
  let (rowStride, stepStride) = (Order.rowStride(call), Order.stepStride(rows: Shape.rows))
  let bStep = Order.bStep(Format.self, call)
  let resultStride = operands.results == nil ? operands.cStride : operands.resultStride
  var (a, c, results) = (operands.a, operands.c, operands.results ?? operands.c)
  var tiles = call.tiles
  repeat {
    var tile = operands.continuing ? Shape(c, stride: operands.cStride) : Shape()
    var b = operands.b
    c += Shape.rows &* operands.cStride
    tiles &-= 1
    if tiles > 0 {
      // What the next tile begins with, and the places of its results: its chains can't begin before these arrive.
      if operands.continuing { prefetchTile(Shape.self, c, stride: operands.cStride) }
      if operands.results != nil || !operands.continuing {
        prefetchTile(Shape.self, results + Shape.rows &* resultStride, stride: resultStride)
      }
    }
    work.tile()
    for _ in 0..<turns {
      work.turn()
      work.step()
      tile.add(a, rowStride: rowStride, times: Shape.Row(Format.self, b, stride: panelStride))
      work.step()
      tile.add(a + stepStride, rowStride: rowStride, times: Shape.Row(Format.self, b + bStep, stride: panelStride))
      work.step()
      tile.add(
        a + 2 &* stepStride, rowStride: rowStride, times: Shape.Row(Format.self, b + 2 &* bStep, stride: panelStride))
      work.step()
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
    tile.store(results, stride: resultStride)
    results += Shape.rows &* resultStride
  } while tiles > 0
  work.finish()
}

/// Asks for the lines of a tile.
@inline(__always) private func prefetchTile<Shape: Tile>(
  _: Shape.Type, _ tile: UnsafeMutablePointer<Float>, stride: Int
) {
  var line = tile
  for _ in 0..<Shape.rows {
    for panel in 0..<Shape.Row.count { processor_prefetch(line + panel &* 16) }
    line += stride
  }
}

/// Finds the type for the height of a tile.
@inline(__always) private func runHeights<Row: Panels, Format: PanelFormat, Order: TileOrder, Work: SideWork>(
  rows: Int, _: Row.Type, _: Format.Type, _: Order.Type, _: Work.Type, _ call: TileCall, _ task: Work.Task
) {
  switch rows {
  #if X86_64_V4
    case 8: run(Tile8<Row>.self, Format.self, Order.self, Work.self, call, task)
    case 7: run(Tile7<Row>.self, Format.self, Order.self, Work.self, call, task)
  #endif
  case 6: run(Tile6<Row>.self, Format.self, Order.self, Work.self, call, task)
  case 5: run(Tile5<Row>.self, Format.self, Order.self, Work.self, call, task)
  case 4: run(Tile4<Row>.self, Format.self, Order.self, Work.self, call, task)
  case 3: run(Tile3<Row>.self, Format.self, Order.self, Work.self, call, task)
  case 2: run(Tile2<Row>.self, Format.self, Order.self, Work.self, call, task)
  default: run(Tile1<Row>.self, Format.self, Order.self, Work.self, call, task)
  }
}

/// Finds the types for both sides of a tile, where more than `TileShape.panels` panels go with fewer rows.
@inline(__always) private func runTile<Format: PanelFormat, Order: TileOrder, Work: SideWork>(
  rows: Int, panels: Int, _: Format.Type, _: Order.Type, _: Work.Type, _ call: TileCall, _ task: Work.Task
) {
  switch panels {
  case 4: run(Tile1<FourPanels>.self, Format.self, Order.self, Work.self, call, task)
  #if X86_64_V4
    case 3: runHeights(rows: rows, ThreePanels.self, Format.self, Order.self, Work.self, call, task)
    case 2: runHeights(rows: rows, TwoPanels.self, Format.self, Order.self, Work.self, call, task)
  #else
    case 2:
      switch rows {
      case 3: run(Tile3<TwoPanels>.self, Format.self, Order.self, Work.self, call, task)
      case 2: run(Tile2<TwoPanels>.self, Format.self, Order.self, Work.self, call, task)
      default: run(Tile1<TwoPanels>.self, Format.self, Order.self, Work.self, call, task)
      }
  #endif
  default: runHeights(rows: rows, OnePanel.self, Format.self, Order.self, Work.self, call, task)
  }
}

/// How many panels a tile of this height takes at once: enough chains to hide the latency of a multiply-add.
func panelsAtOnce(rows: Int) -> Int { rows == 1 ? 4 : max(TileShape.panels, rows <= 3 ? 2 : 1) }

/// One tile of a packed left factor (`[steps][rows]`, 1 to `TileShape.rows` rows) and 1 to `panelsAtOnce(rows:)` panels in
/// their stored type, all of them with 16 columns in `c`.
func multiplyPanels(_ type: ElementType, rows: Int, panels: Int, _ operands: TileOperands) {
  let call = TileCall(operands: operands)
  switch type {
  case .float32: runTile(rows: rows, panels: panels, Float32Panel.self, PackedOrder.self, NoSideWork.self, call, ())
  case .bfloat16: runTile(rows: rows, panels: panels, BFloat16Panel.self, PackedOrder.self, NoSideWork.self, call, ())
  case .float16: runTile(rows: rows, panels: panels, Float16Panel.self, PackedOrder.self, NoSideWork.self, call, ())
  }
}

/// One tile whose factors lie row-major: `a[i * aStride + k]`, `b[k * bStride + column]`, 1 to `TileShape.rows` rows, 1 to
/// `panelsAtOnce(rows:)` panels of float32.
func multiplyRows(rows: Int, panels: Int, _ operands: TileOperands, aStride: Int, bStride: Int) {
  let call = TileCall(operands: operands, aStride: aStride, bStep: bStride &* 4)
  runTile(rows: rows, panels: panels, Float32Panel.self, RowOrder.self, NoSideWork.self, call, ())
}

/// How the right factor of some tiles lies, and what they do beside their own work.
enum Ahead {
  /// Panels; nothing else to do.
  case nothing
  /// Panels; later ones are asked for.
  case ask(LookAhead)
  /// Strips of panels (see `PackAhead`); the next block is packed.
  case pack(PackAhead)
}

/// Row blocks of a packed left factor times 1 to `TileShape.panels` float32 panels: the loop that a large product spends its time
/// in.
///
/// `a` holds the blocks one after the other, each `[steps][rows of the block]`.
func multiplyRowBlocks(_ blocks: RowBlocks, panels: Int, _ operands: TileOperands, ahead: inout Ahead) {
  var call = TileCall(operands: operands, tiles: blocks.taller)
  if blocks.taller > 0 { runBeside(rows: blocks.height &+ 1, panels: panels, call, &ahead, later: blocks.lower) }
  let rows = blocks.taller &* (blocks.height &+ 1)
  call.operands.a += rows &* operands.steps
  call.operands.c += rows &* operands.cStride
  call.operands.results = operands.results.map { $0 + rows &* operands.resultStride }
  call.tiles = blocks.lower
  if blocks.lower > 0 { runBeside(rows: blocks.height, panels: panels, call, &ahead, later: 0) }
}

func multiplyRowBlocks(_ blocks: RowBlocks, panels: Int, _ operands: TileOperands) {
  var ahead = Ahead.nothing
  multiplyRowBlocks(blocks, panels: panels, operands, ahead: &ahead)
}

/// Tiles of one height and their part of what lies ahead, before `later` other ones of the same panels.
@inline(__always) private func runBeside(
  rows: Int, panels: Int, _ call: TileCall, _ ahead: inout Ahead, later: Int
) {
  switch ahead {
  case .nothing:
    runTile(rows: rows, panels: panels, Float32Panel.self, PackedOrder.self, NoSideWork.self, call, ())
  case .ask(var lookAhead):
    runTile(rows: rows, panels: panels, Float32Panel.self, PackedOrder.self, Asking.self, call, lookAhead)
    lookAhead.skip(call.tiles)
    ahead = .ask(lookAhead)
  case .pack(var packAhead):
    let part = panels == TileShape.panels ? packAhead.take(tiles: call.tiles, later: later) : nil
    ahead = .pack(packAhead)
    guard let part, part.pieces > 0 else {
      return runTile(rows: rows, panels: panels, Float32Panel.self, StripOrder.self, NoSideWork.self, call, ())
    }
    switch packAhead.type {
    case .float32: runWhole(rows: rows, Packing<Float32Panel>.self, call, part)
    case .bfloat16: runWhole(rows: rows, Packing<BFloat16Row>.self, call, part)
    case .float16: runWhole(rows: rows, Packing<Float16Panel>.self, call, part)
    }
  }
}

/// Tiles of all panels that they may have.
@inline(__always) private func runWhole<Work: SideWork>(
  rows: Int, _: Work.Type, _ call: TileCall, _ task: Work.Task
) {
  runHeights(rows: rows, AllPanels.self, Float32Panel.self, StripOrder.self, Work.self, call, task)
}

/// Packs pieces without a tile beside them.
func packPieces(_ type: ElementType, _ part: PackAhead.Part) {
  switch type {
  case .float32: pack(part, Packing<Float32Panel>.self)
  case .bfloat16: pack(part, Packing<BFloat16Row>.self)
  case .float16: pack(part, Packing<Float16Panel>.self)
  }
}

@inline(__always) private func pack<Format>(_ part: PackAhead.Part, _: Packing<Format>.Type) {
  var work = Packing<Format>(part, tiles: 0, turns: 0)
  work.finish()
}
