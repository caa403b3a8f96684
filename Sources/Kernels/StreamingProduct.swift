internal import CProcessor

// Few rows times a row-major factor that is read once, in place, in whole rows: the speed is that of memory.

private protocol StreamedElement {
  static var bytes: Int { get }
  static func load(_ address: UnsafeRawPointer) -> Float
  static func load16(_ address: UnsafeRawPointer) -> SIMD16<Float>
}

private enum StreamedFloat32: StreamedElement {
  @inline(__always) static var bytes: Int { 4 }
  @inline(__always) static func load(_ address: UnsafeRawPointer) -> Float { address.loadUnaligned(as: Float.self) }
  @inline(__always) static func load16(_ address: UnsafeRawPointer) -> SIMD16<Float> {
    address.loadUnaligned(as: SIMD16<Float>.self)
  }
}

private enum StreamedBFloat16: StreamedElement {
  @inline(__always) static var bytes: Int { 2 }
  @inline(__always) static func load(_ address: UnsafeRawPointer) -> Float {
    Float(bitPattern: UInt32(address.loadUnaligned(as: UInt16.self)) << 16)
  }
  @inline(__always) static func load16(_ address: UnsafeRawPointer) -> SIMD16<Float> {
    processor_load_bfloat16(address)
  }
}

private enum StreamedFloat16: StreamedElement {
  @inline(__always) static var bytes: Int { 2 }
  @inline(__always) static func load(_ address: UnsafeRawPointer) -> Float {
    Float(address.loadUnaligned(as: Float16.self))
  }
  @inline(__always) static func load16(_ address: UnsafeRawPointer) -> SIMD16<Float> {
    processor_load_half16(address)
  }
}

/// Some steps of k of some columns of the streamed factor, held in registers while every row of the left factor uses them.
private protocol StreamedBlock {
  static var steps: Int { get }
  static var columns: Int { get }
  init<Element: StreamedElement>(_: Element.Type, _ b: UnsafeRawPointer, rowBytes: Int)
  /// Goes on with the chains of some rows, step by step in turn: `x` holds one number a row and step, rows `rowStride` apart.
  func add<Rows: StreamedRows>(_ x: UnsafePointer<Float>, rowStride: Int, to sums: inout Rows)
}

/// The chains of a few rows in 16 or 32 columns.
private protocol StreamedRows {
  static var count: Int { get }
  init(_ c: UnsafeMutableRawPointer, rowBytes: Int, wide: Bool)
  mutating func addNarrow(_ x: UnsafePointer<Float>, rowStride: Int, _ low: SIMD16<Float>)
  mutating func addWide(_ x: UnsafePointer<Float>, rowStride: Int, _ low: SIMD16<Float>, _ high: SIMD16<Float>)
  func store(_ c: UnsafeMutableRawPointer, rowBytes: Int, wide: Bool)
}

private struct OneRow: StreamedRows {
  var low: SIMD16<Float>
  var high: SIMD16<Float>
  @inline(__always) static var count: Int { 1 }
  @inline(__always) init(_ c: UnsafeMutableRawPointer, rowBytes: Int, wide: Bool) {
    low = c.loadUnaligned(as: SIMD16<Float>.self)
    high = wide ? c.loadUnaligned(fromByteOffset: 64, as: SIMD16<Float>.self) : low
  }
  @inline(__always) mutating func addNarrow(_ x: UnsafePointer<Float>, rowStride: Int, _ b: SIMD16<Float>) {
    low = processor_fma16(SIMD16(repeating: x.pointee), b, low)
  }
  @inline(__always) mutating func addWide(
    _ x: UnsafePointer<Float>, rowStride: Int, _ b: SIMD16<Float>, _ next: SIMD16<Float>
  ) {
    let x = SIMD16(repeating: x.pointee)
    low = processor_fma16(x, b, low)
    high = processor_fma16(x, next, high)
  }
  @inline(__always) func store(_ c: UnsafeMutableRawPointer, rowBytes: Int, wide: Bool) {
    c.storeBytes(of: low, as: SIMD16<Float>.self)
    if wide { c.storeBytes(of: high, toByteOffset: 64, as: SIMD16<Float>.self) }
  }
}

/// Twice as many rows.
private struct TwiceRows<Half: StreamedRows>: StreamedRows {
  var first: Half
  var second: Half
  @inline(__always) static var count: Int { 2 &* Half.count }
  @inline(__always) init(_ c: UnsafeMutableRawPointer, rowBytes: Int, wide: Bool) {
    first = Half(c, rowBytes: rowBytes, wide: wide)
    second = Half(c + Half.count &* rowBytes, rowBytes: rowBytes, wide: wide)
  }
  @inline(__always) mutating func addNarrow(_ x: UnsafePointer<Float>, rowStride: Int, _ low: SIMD16<Float>) {
    first.addNarrow(x, rowStride: rowStride, low)
    second.addNarrow(x + Half.count &* rowStride, rowStride: rowStride, low)
  }
  @inline(__always) mutating func addWide(
    _ x: UnsafePointer<Float>, rowStride: Int, _ low: SIMD16<Float>, _ high: SIMD16<Float>
  ) {
    first.addWide(x, rowStride: rowStride, low, high)
    second.addWide(x + Half.count &* rowStride, rowStride: rowStride, low, high)
  }
  @inline(__always) func store(_ c: UnsafeMutableRawPointer, rowBytes: Int, wide: Bool) {
    first.store(c, rowBytes: rowBytes, wide: wide)
    second.store(c + Half.count &* rowBytes, rowBytes: rowBytes, wide: wide)
  }
}

/// One step, 16 columns.
private struct NarrowStep: StreamedBlock {
  let low: SIMD16<Float>
  @inline(__always) static var steps: Int { 1 }
  @inline(__always) static var columns: Int { 16 }
  @inline(__always) init<Element: StreamedElement>(_: Element.Type, _ b: UnsafeRawPointer, rowBytes: Int) {
    low = Element.load16(b)
  }
  @inline(__always) func add<Rows: StreamedRows>(_ x: UnsafePointer<Float>, rowStride: Int, to sums: inout Rows) {
    sums.addNarrow(x, rowStride: rowStride, low)
  }
}

/// One step, 32 columns.
private struct WideStep: StreamedBlock {
  let low: SIMD16<Float>
  let high: SIMD16<Float>
  @inline(__always) static var steps: Int { 1 }
  @inline(__always) static var columns: Int { 32 }
  @inline(__always) init<Element: StreamedElement>(_: Element.Type, _ b: UnsafeRawPointer, rowBytes: Int) {
    low = Element.load16(b)
    high = Element.load16(b + 16 &* Element.bytes)
  }
  @inline(__always) func add<Rows: StreamedRows>(_ x: UnsafePointer<Float>, rowStride: Int, to sums: inout Rows) {
    sums.addWide(x, rowStride: rowStride, low, high)
  }
}

/// Twice the steps.
private struct Twice<Half: StreamedBlock>: StreamedBlock {
  let first: Half
  let second: Half
  @inline(__always) static var steps: Int { 2 &* Half.steps }
  @inline(__always) static var columns: Int { Half.columns }
  @inline(__always) init<Element: StreamedElement>(_: Element.Type, _ b: UnsafeRawPointer, rowBytes: Int) {
    first = Half(Element.self, b, rowBytes: rowBytes)
    second = Half(Element.self, b + Half.steps &* rowBytes, rowBytes: rowBytes)
  }
  @inline(__always) func add<Rows: StreamedRows>(_ x: UnsafePointer<Float>, rowStride: Int, to sums: inout Rows) {
    first.add(x, rowStride: rowStride, to: &sums)
    second.add(x + Half.steps, rowStride: rowStride, to: &sums)
  }
}

// What fits the registers beside the chains: 4 x 16 numbers in eight of sixteen and two rows, 8 x 32 in sixteen of thirty-two and
// four rows.
#if X86_64_V4
  private typealias LargeBlock = Twice<Twice<Twice<WideStep>>>
  private typealias SmallBlock = Twice<Twice<Twice<NarrowStep>>>
  private typealias RowsAtOnce = TwiceRows<TwiceRows<OneRow>>
#else
  private typealias LargeBlock = Twice<Twice<NarrowStep>>
  private typealias SmallBlock = LargeBlock
  private typealias RowsAtOnce = TwiceRows<OneRow>
#endif

/// A left factor in the order in which the streaming kernel reads it: groups of steps, `[group][row][step of the group]`.
struct StreamedLeftFactor {
  let rows: Int
  let steps: Int
  let packed: UnsafeMutablePointer<Float>

  static var stepsOfGroup: Int { LargeBlock.steps }

  /// Free `packed` with `deallocate`.
  init(_ left: LeftFactor, rows: Int, steps: Int) {
    (self.rows, self.steps) = (rows, steps)
    packed = .allocateAligned(rows * steps)
    let whole = LargeBlock.steps
    for row in 0..<rows {
      for step in 0..<steps {
        let first = step & ~(whole &- 1)
        packed[first &* rows &+ row &* min(whole, steps &- first) &+ (step &- first)] =
          left.a[row &* left.rowStride &+ step &* left.stepStride]
      }
    }
  }
}

/// A strip of columns of a row-major factor.
struct StreamedStrip {
  var b: UnsafeRawPointer
  var rowBytes: Int
  var columns: Int

  /// Results of a strip: a part of the second-level cache. They would fit the first with shorter rows, but memory delivers long
  /// rows faster than that would gain.
  static let results = 1 << 16

  /// The longest row of a strip: eight pages, after which longer ones gain nothing.
  static let bytes = 1 << 15
}

/// `c[i, j] = sum over k of left[i, k] * b[k, j]` for a strip of columns, some steps of k at a time.
func streamStrip(
  _ type: ElementType, _ strip: StreamedStrip, left: StreamedLeftFactor, into c: UnsafeMutablePointer<Float>,
  cStride: Int
) {
  for row in 0..<left.rows { (c + row * cStride).update(repeating: 0, count: strip.columns) }
  switch type {
  case .float32: stream(StreamedFloat32.self, strip, left, c, cStride)
  case .bfloat16: stream(StreamedBFloat16.self, strip, left, c, cStride)
  case .float16: stream(StreamedFloat16.self, strip, left, c, cStride)
  }
}

private func stream<Element: StreamedElement>(
  _: Element.Type, _ strip: StreamedStrip, _ left: StreamedLeftFactor, _ c: UnsafeMutablePointer<Float>, _ cStride: Int
) {
  let (rows, columns) = (left.rows, strip.columns)
  let group = LargeBlock.steps
  let wide = columns / LargeBlock.columns * LargeBlock.columns
  let narrow = columns & ~15
  var step = 0
  while step &+ group <= left.steps {
    let row = strip.b + step &* strip.rowBytes
    let call = StreamedCall(
      b: row, rowBytes: strip.rowBytes, x: UnsafePointer(left.packed + step &* rows), rows: rows,
      c: c,
      cStride: cStride)
    streamGroup(LargeBlock.self, Element.self, 0..<wide, call)
    if wide < narrow { streamGroup(SmallBlock.self, Element.self, wide..<narrow, call) }
    if narrow < columns {
      for i in 0..<rows {
        for j in narrow..<columns {
          var sum = c[i &* cStride &+ j]
          for s in 0..<group {
            sum.addProduct(call.x[i &* group &+ s], Element.load(row + (s &* strip.rowBytes &+ j &* Element.bytes)))
          }
          c[i &* cStride &+ j] = sum
        }
      }
    }
    step &+= group
  }
  let rest = left.steps &- step
  for i in 0..<rows {
    let x = left.packed + (step &* rows &+ i &* rest)
    for s in 0..<rest {
      let row = strip.b + (step &+ s) &* strip.rowBytes
      for j in 0..<columns {
        c[i &* cStride &+ j].addProduct(x[s], Element.load(row + j &* Element.bytes))
      }
    }
  }
}

/// One group of steps.
private struct StreamedCall {
  var b: UnsafeRawPointer
  var rowBytes: Int
  /// `[row][step]`.
  var x: UnsafePointer<Float>
  var rows: Int
  var c: UnsafeMutablePointer<Float>
  var cStride: Int
}

/// The columns `range` of a group, whole blocks of them.
@inline(never) private func streamGroup<Block: StreamedBlock, Element: StreamedElement>(
  _: Block.Type, _: Element.Type, _ range: Range<Int>, _ call: StreamedCall
) {
  let (rowBytes, cRowBytes) = (call.rowBytes, call.cStride &* 4)
  var j = range.lowerBound
  while j < range.upperBound {
    let at = j &* Element.bytes
    askForNextPages(Block.self, Element.self, call.b + at, rowBytes: rowBytes)
    let block = Block(Element.self, call.b + at, rowBytes: rowBytes)
    var x = call.x
    var out = UnsafeMutableRawPointer(call.c + j)
    var rows = call.rows
    while rows >= RowsAtOnce.count {
      var sums = RowsAtOnce(out, rowBytes: cRowBytes, wide: Block.columns > 16)
      block.add(x, rowStride: Block.steps, to: &sums)
      sums.store(out, rowBytes: cRowBytes, wide: Block.columns > 16)
      x += RowsAtOnce.count &* Block.steps
      out += RowsAtOnce.count &* cRowBytes
      rows &-= RowsAtOnce.count
    }
    while rows > 0 {
      var sums = OneRow(out, rowBytes: cRowBytes, wide: Block.columns > 16)
      block.add(x, rowStride: Block.steps, to: &sums)
      sums.store(out, rowBytes: cRowBytes, wide: Block.columns > 16)
      x += Block.steps
      out += cRowBytes
      rows &-= 1
    }
    j &+= Block.columns
  }
}

/// In the last quarter of a page, asks for the beginning of one row's next page: there the processor's own prefetching stops,
/// and it begins anew when it has seen some lines. Within pages it is left alone: it has more room for lines on their way than
/// what is asked for by instructions.
@inline(__always) private func askForNextPages<Block: StreamedBlock, Element: StreamedElement>(
  _: Block.Type, _: Element.Type, _ b: UnsafeRawPointer, rowBytes: Int
) {
  let place = Int(bitPattern: b) & 4095
  // The rows take turns, a part of the quarter each; a block that begins there asks.
  let part = 1024 / Block.steps
  guard place >= 3072, place & (part &- 1) < Block.columns &* Element.bytes else { return }
  let row = (place &- 3072) / part
  let line = b + (row &* rowBytes &+ 4096 &- place)
  processor_prefetch_second(line)
  processor_prefetch_second(line + 64)
}
