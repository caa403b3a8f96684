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
    let words = SIMD16<UInt32>(truncatingIfNeeded: address.loadUnaligned(as: SIMD16<UInt16>.self))
    return unsafeBitCast(words &<< SIMD16(repeating: 16), to: SIMD16<Float>.self)
  }
}

private enum StreamedFloat16: StreamedElement {
  @inline(__always) static var bytes: Int { 2 }
  @inline(__always) static func load(_ address: UnsafeRawPointer) -> Float {
    Float(address.loadUnaligned(as: Float16.self))
  }
  @inline(__always) static func load16(_ address: UnsafeRawPointer) -> SIMD16<Float> {
    SIMD16<Float>(address.loadUnaligned(as: SIMD16<Float16>.self))
  }
}

/// Some steps of k of some columns of the streamed factor, held in registers while every row of the left factor uses them.
private protocol StreamedBlock {
  static var steps: Int { get }
  static var columns: Int { get }
  init<Element: StreamedElement>(_: Element.Type, _ b: UnsafeRawPointer, rowBytes: Int)
  /// Goes on with the chains of one row: `x` holds one number a step.
  func add(_ x: UnsafePointer<Float>, to sums: inout StreamedColumns)
  /// The same for two rows, step by step in turn.
  func add(
    _ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>, to sums: inout StreamedColumns,
    _ others: inout StreamedColumns)
}

/// Chains of one row.
private struct StreamedColumns {
  var low: SIMD16<Float>
  var high: SIMD16<Float>

  @inline(__always) init(_ c: UnsafeMutableRawPointer, wide: Bool) {
    low = c.loadUnaligned(as: SIMD16<Float>.self)
    high = wide ? c.loadUnaligned(fromByteOffset: 64, as: SIMD16<Float>.self) : low
  }

  @inline(__always) func store(_ c: UnsafeMutableRawPointer, wide: Bool) {
    c.storeBytes(of: low, as: SIMD16<Float>.self)
    if wide { c.storeBytes(of: high, toByteOffset: 64, as: SIMD16<Float>.self) }
  }
}

/// One step, 16 columns; the upper chains are not used.
private struct NarrowStep: StreamedBlock {
  let low: SIMD16<Float>
  @inline(__always) static var steps: Int { 1 }
  @inline(__always) static var columns: Int { 16 }
  @inline(__always) init<Element: StreamedElement>(_: Element.Type, _ b: UnsafeRawPointer, rowBytes: Int) {
    low = Element.load16(b)
  }
  @inline(__always) func add(_ x: UnsafePointer<Float>, to sums: inout StreamedColumns) {
    sums.low = processor_fma16(SIMD16(repeating: x.pointee), low, sums.low)
  }
  @inline(__always) func add(
    _ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>, to sums: inout StreamedColumns,
    _ others: inout StreamedColumns
  ) {
    add(x, to: &sums)
    add(y, to: &others)
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
  @inline(__always) func add(_ x: UnsafePointer<Float>, to sums: inout StreamedColumns) {
    let x = SIMD16(repeating: x.pointee)
    sums.low = processor_fma16(x, low, sums.low)
    sums.high = processor_fma16(x, high, sums.high)
  }
  @inline(__always) func add(
    _ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>, to sums: inout StreamedColumns,
    _ others: inout StreamedColumns
  ) {
    add(x, to: &sums)
    add(y, to: &others)
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
  @inline(__always) func add(_ x: UnsafePointer<Float>, to sums: inout StreamedColumns) {
    first.add(x, to: &sums)
    second.add(x + Half.steps, to: &sums)
  }
  @inline(__always) func add(
    _ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>, to sums: inout StreamedColumns,
    _ others: inout StreamedColumns
  ) {
    first.add(x, y, to: &sums, &others)
    second.add(x + Half.steps, y + Half.steps, to: &sums, &others)
  }
}

// What fits the registers beside one row's chains: 4 x 16 numbers in eight of sixteen, 8 x 32 in sixteen of thirty-two.
#if X86_64_V4
  private typealias LargeBlock = Twice<Twice<Twice<WideStep>>>
  private typealias SmallBlock = Twice<Twice<Twice<NarrowStep>>>
#else
  private typealias LargeBlock = Twice<Twice<NarrowStep>>
  private typealias SmallBlock = LargeBlock
#endif

/// How far ahead in its rows the streamed factor is asked for: the processor's own prefetching follows long rows well, and needs
/// only a nudge where the work on one block lets it fall behind.
private let bytesAhead = 256

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

/// A strip of columns of a row-major factor, so narrow that its results stay in the caches.
struct StreamedStrip {
  var b: UnsafeRawPointer
  var rowBytes: Int
  var columns: Int
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
    let x = UnsafePointer(left.packed + step &* rows)
    streamGroup(LargeBlock.self, Element.self, row, strip.rowBytes, 0..<wide, x, rows, c, cStride)
    if wide < narrow {
      streamGroup(SmallBlock.self, Element.self, row, strip.rowBytes, wide..<narrow, x, rows, c, cStride)
    }
    if narrow < columns {
      for i in 0..<rows {
        for j in narrow..<columns {
          var sum = c[i &* cStride &+ j]
          for s in 0..<group {
            sum.addProduct(x[i &* group &+ s], Element.load(row + (s &* strip.rowBytes &+ j &* Element.bytes)))
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

/// One group of steps of the columns `range`, whole blocks of them.
@inline(never) private func streamGroup<Block: StreamedBlock, Element: StreamedElement>(
  _: Block.Type, _: Element.Type, _ b: UnsafeRawPointer, _ rowBytes: Int, _ range: Range<Int>,
  _ x: UnsafePointer<Float>, _ rows: Int, _ c: UnsafeMutablePointer<Float>, _ cStride: Int
) {
  var j = range.lowerBound
  while j < range.upperBound {
    let at = j &* Element.bytes
    for s in 0..<Block.steps {
      let line = b + (s &* rowBytes &+ at &+ bytesAhead)
      processor_prefetch_second(line)
      if Block.columns &* Element.bytes > 64 { processor_prefetch_second(line + 64) }
    }
    let block = Block(Element.self, b + at, rowBytes: rowBytes)
    var x = x
    var out = UnsafeMutableRawPointer(c + j)
    for _ in 0..<rows &>> 1 {
      // Two rows side by side: four chains.
      var sums = StreamedColumns(out, wide: Block.columns > 16)
      var others = StreamedColumns(out + cStride &* 4, wide: Block.columns > 16)
      block.add(x, x + Block.steps, to: &sums, &others)
      sums.store(out, wide: Block.columns > 16)
      others.store(out + cStride &* 4, wide: Block.columns > 16)
      x += 2 &* Block.steps
      out += cStride &* 8
    }
    if rows & 1 != 0 {
      var sums = StreamedColumns(out, wide: Block.columns > 16)
      block.add(x, to: &sums)
      sums.store(out, wide: Block.columns > 16)
    }
    j &+= Block.columns
  }
}
