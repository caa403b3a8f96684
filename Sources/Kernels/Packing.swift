internal import CProcessor

// Copies that bring factors into the order in which the micro-kernels read them. Helpers are repeated per file on purpose:
// without whole-module optimisation nothing is inlined across files.

@inline(__always) private func load8(_ address: UnsafeRawPointer) -> SIMD8<Float> {
  address.loadUnaligned(as: SIMD8<Float>.self)
}

/// Elements of a stored type as float32.
private protocol StoredElement {
  static var bytes: Int { get }
  static func load(_ address: UnsafeRawPointer) -> Float
  static func load4(_ address: UnsafeRawPointer) -> SIMD4<Float>
  static func load8(_ address: UnsafeRawPointer) -> SIMD8<Float>
  static func load16(_ address: UnsafeRawPointer) -> SIMD16<Float>
  /// 16 elements of each of 16 rows to `[16][16]`.
  static func transpose16(_ rows: UnsafeRawPointer, _ rowBytes: Int, _ target: UnsafeMutablePointer<Float>)
}

private enum StoredFloat32: StoredElement {
  @inline(__always) static var bytes: Int { 4 }
  @inline(__always) static func load(_ address: UnsafeRawPointer) -> Float { address.loadUnaligned(as: Float.self) }
  @inline(__always) static func load8(_ address: UnsafeRawPointer) -> SIMD8<Float> {
    address.loadUnaligned(as: SIMD8<Float>.self)
  }
  @inline(__always) static func load4(_ address: UnsafeRawPointer) -> SIMD4<Float> {
    address.loadUnaligned(as: SIMD4<Float>.self)
  }
  @inline(__always) static func load16(_ address: UnsafeRawPointer) -> SIMD16<Float> {
    address.loadUnaligned(as: SIMD16<Float>.self)
  }
  @inline(__always) static func transpose16(
    _ rows: UnsafeRawPointer, _ rowBytes: Int, _ target: UnsafeMutablePointer<Float>
  ) { processor_transpose_float32(rows, rowBytes, target) }
}

private enum StoredBFloat16: StoredElement {
  @inline(__always) static var bytes: Int { 2 }
  @inline(__always) static func load(_ address: UnsafeRawPointer) -> Float {
    Float(bitPattern: UInt32(address.loadUnaligned(as: UInt16.self)) << 16)
  }
  @inline(__always) static func load8(_ address: UnsafeRawPointer) -> SIMD8<Float> {
    processor_load_bfloat8(address)
  }
  @inline(__always) static func load4(_ address: UnsafeRawPointer) -> SIMD4<Float> {
    processor_load_bfloat4(address)
  }
  @inline(__always) static func load16(_ address: UnsafeRawPointer) -> SIMD16<Float> {
    processor_load_bfloat16(address)
  }
  @inline(__always) static func transpose16(
    _ rows: UnsafeRawPointer, _ rowBytes: Int, _ target: UnsafeMutablePointer<Float>
  ) { processor_transpose_bfloat16(rows, rowBytes, target) }
}

private enum StoredFloat16: StoredElement {
  @inline(__always) static var bytes: Int { 2 }
  @inline(__always) static func load(_ address: UnsafeRawPointer) -> Float {
    Float(address.loadUnaligned(as: Float16.self))
  }
  @inline(__always) static func load8(_ address: UnsafeRawPointer) -> SIMD8<Float> {
    processor_load_half8(address)
  }
  @inline(__always) static func load4(_ address: UnsafeRawPointer) -> SIMD4<Float> {
    processor_load_half4(address)
  }
  @inline(__always) static func load16(_ address: UnsafeRawPointer) -> SIMD16<Float> {
    processor_load_half16(address)
  }
  @inline(__always) static func transpose16(
    _ rows: UnsafeRawPointer, _ rowBytes: Int, _ target: UnsafeMutablePointer<Float>
  ) { processor_transpose_half(rows, rowBytes, target) }
}

/// A left factor `a[i * rowStride + k * stepStride]`, `[m, k]`.
struct LeftFactor {
  var a: UnsafePointer<Float>
  var rowStride: Int
  var stepStride: Int

  /// Packs one row block of one k block.
  func pack(rows: Range<Int>, steps: Range<Int>, into target: UnsafeMutablePointer<Float>) {
    let height = rows.count
    let source = a + (rows.lowerBound * rowStride + steps.lowerBound * stepStride)
    // Step by step where the rows are neighbours.
    if rowStride == 1 {
      for step in 0..<steps.count {
        for row in 0..<height { target[step &* height &+ row] = source[step &* stepStride &+ row] }
      }
      return
    }
    var step = 0
    if stepStride == 1, height > 1 {
      // Eight lanes are stored a step; what is too much of them is overwritten by the steps after, of which three are enough.
      let most = height == 8 ? steps.count : steps.count &- 3
      while step &+ 4 <= most {
        transpose4(
          StoredFloat32.self, UnsafeRawPointer(source + step), rowBytes: rowStride &* 4, rows: height,
          into: target + step &* height, stride: height)
        step &+= 4
      }
    }
    while step < steps.count {
      for row in 0..<height {
        target[step &* height &+ row] = source[row &* rowStride &+ step &* stepStride]
      }
      step &+= 1
    }
  }
}

/// Packs `steps` rows of a row-major right factor into panels of 16 columns, `[steps][16]` each, zeros for missing columns.
func packRowMajor(
  _ source: UnsafePointer<Float>, rowStride: Int, steps: Int, columns: Int, into target: UnsafeMutablePointer<Float>
) {
  for first in stride(from: 0, to: columns, by: 16) {
    packStrip(
      .float32, source + first, rowBytes: rowStride * 4, steps: steps, columns: min(16, columns - first), width: 16,
      into: target + first * steps)
  }
}

/// Copies up to `width` columns, a multiple of 16, of a row-major right factor to `[steps][width]`, with zeros for missing columns.
func packStrip(
  _ type: ElementType, _ source: UnsafeRawPointer, rowBytes: Int, steps: Int, columns: Int, width: Int,
  into target: UnsafeMutablePointer<Float>
) {
  switch type {
  case .float32: packColumns(StoredFloat32.self, source, rowBytes, steps, columns, width, target)
  case .float16: packColumns(StoredFloat16.self, source, rowBytes, steps, columns, width, target)
  case .bfloat16: packColumns(StoredBFloat16.self, source, rowBytes, steps, columns, width, target)
  }
}

@inline(__always) private func packColumns<Element: StoredElement>(
  _: Element.Type, _ source: UnsafeRawPointer, _ rowBytes: Int, _ steps: Int, _ columns: Int, _ width: Int,
  _ target: UnsafeMutablePointer<Float>
) {
  let whole = columns & ~15
  for step in 0..<steps {
    let (row, out) = (source + step &* rowBytes, target + step &* width)
    var column = 0
    while column < whole {
      UnsafeMutableRawPointer(out + column).storeBytes(
        of: Element.load16(row + column &* Element.bytes), as: SIMD16<Float>.self)
      column &+= 16
    }
    while column < width {
      out[column] = column < columns ? Element.load(row + column &* Element.bytes) : 0
      column &+= 1
    }
  }
}

/// Packs up to 16 rows of a transposed right factor (`[n, k]`, k contiguous) into one panel `[steps][16]`;
/// what stands for missing rows is unspecified.
func packTransposed(
  _ type: ElementType, _ source: UnsafeRawPointer, rowBytes: Int, steps: Int, rows: Int,
  into target: UnsafeMutablePointer<Float>
) {
  switch type {
  case .float32: transposePanel(StoredFloat32.self, source, rowBytes, steps, rows, target)
  case .float16: transposePanel(StoredFloat16.self, source, rowBytes, steps, rows, target)
  case .bfloat16: transposePanel(StoredBFloat16.self, source, rowBytes, steps, rows, target)
  }
}

@inline(__always) private func transposePanel<Element: StoredElement>(
  _: Element.Type, _ source: UnsafeRawPointer, _ rowBytes: Int, _ steps: Int, _ rows: Int,
  _ target: UnsafeMutablePointer<Float>
) {
  // Missing rows of the first half repeat the last row, a missing half is zeros: nobody looks at either.
  let wholeSteps = steps & ~3
  var step = 0
  #if X86_64_V4
    if rows == 16 {
      while step &+ 16 <= steps {
        Element.transpose16(source + step &* Element.bytes, rowBytes, target + step &* 16)
        step &+= 16
      }
    }
  #endif
  while step < wholeSteps {
    let (from, into) = (source + step &* Element.bytes, target + step &* 16)
    transpose4(Element.self, from, rowBytes: rowBytes, rows: rows, into: into, stride: 16)
    if rows > 8 {
      transpose4(
        Element.self, from + 8 &* rowBytes, rowBytes: rowBytes, rows: rows &- 8, into: into + 8, stride: 16)
    } else {
      for offset in 0..<4 {
        UnsafeMutableRawPointer(into + (offset &* 16 &+ 8)).storeBytes(of: SIMD8(repeating: 0), as: SIMD8<Float>.self)
      }
    }
    step &+= 4
  }
  for step in wholeSteps..<steps {
    for row in 0..<16 {
      target[step &* 16 &+ row] =
        row < rows ? Element.load(source + row &* rowBytes + step &* Element.bytes) : 0
    }
  }
}

/// Four steps of eight rows `rowBytes` apart (the last of `rows` standing in for those beyond): the eight numbers of a step
/// become neighbours, steps `stride` floats apart.
@inline(__always) private func transpose4<Element: StoredElement>(
  _: Element.Type, _ source: UnsafeRawPointer, rowBytes: Int, rows: Int, into target: UnsafeMutablePointer<Float>,
  stride: Int
) {
  let last = rows &- 1
  // Row i beside row i + 4: from there on everything stays within halves.
  @inline(__always) func pair(_ row: Int) -> SIMD8<Float> {
    SIMD8(
      lowHalf: Element.load4(source + min(row, last) &* rowBytes),
      highHalf: Element.load4(source + min(row &+ 4, last) &* rowBytes))
  }
  let (a, b, c, d) = (pair(0), pair(1), pair(2), pair(3))
  let ab = SIMD8(a[0], b[0], a[1], b[1], a[4], b[4], a[5], b[5])
  let cd = SIMD8(c[0], d[0], c[1], d[1], c[4], d[4], c[5], d[5])
  let ef = SIMD8(a[2], b[2], a[3], b[3], a[6], b[6], a[7], b[7])
  let gh = SIMD8(c[2], d[2], c[3], d[3], c[6], d[6], c[7], d[7])
  @inline(__always) func store(_ value: SIMD8<Float>, _ step: Int) {
    UnsafeMutableRawPointer(target + step &* stride).storeBytes(of: value, as: SIMD8<Float>.self)
  }
  store(SIMD8(ab[0], ab[1], cd[0], cd[1], ab[4], ab[5], cd[4], cd[5]), 0)
  store(SIMD8(ab[2], ab[3], cd[2], cd[3], ab[6], ab[7], cd[6], cd[7]), 1)
  store(SIMD8(ef[0], ef[1], gh[0], gh[1], ef[4], ef[5], gh[4], gh[5]), 2)
  store(SIMD8(ef[2], ef[3], gh[2], gh[3], ef[6], ef[7], gh[6], gh[7]), 3)
}

/// Expands `steps` steps of one stored panel (see `PackedMatrix`) into float32.
func expandPanel(
  _ type: ElementType, _ source: UnsafeRawPointer, steps: Int, into target: UnsafeMutablePointer<Float>
) {
  let out = UnsafeMutableRawPointer(target)
  switch type {
  case .float32: out.copyMemory(from: source, byteCount: steps * 64)
  case .bfloat16:
    for step in 0..<steps {
      let words = (source + step &* 32).loadUnaligned(as: SIMD8<UInt32>.self)
      let at = out + step &* 64
      at.storeBytes(of: words &<< SIMD8(repeating: 16), as: SIMD8<UInt32>.self)
      at.storeBytes(of: words & SIMD8(repeating: 0xFFFF_0000), toByteOffset: 32, as: SIMD8<UInt32>.self)
    }
  case .float16:
    for step in 0..<steps {
      let at = out + step &* 64
      at.storeBytes(of: StoredFloat16.load8(source + step &* 32), as: SIMD8<Float>.self)
      at.storeBytes(of: StoredFloat16.load8(source + step &* 32 + 16), toByteOffset: 32, as: SIMD8<Float>.self)
    }
  }
}

/// Divides each of a float32 panel's outputs by a number of its own.
func dividePanel(_ panel: UnsafeMutablePointer<Float>, by divisors: SIMD16<Float>, steps: Int) {
  let raw = UnsafeMutableRawPointer(panel)
  for step in 0..<steps {
    let values = (raw + step &* 64).loadUnaligned(as: SIMD16<Float>.self)
    raw.storeBytes(of: values / divisors, toByteOffset: step &* 64, as: SIMD16<Float>.self)
  }
}

/// Stores one float32 panel `[steps][16]` in its stored type (see `PackedMatrix`).
func storePanel(
  _ type: ElementType, _ source: UnsafePointer<Float>, steps: Int, into target: UnsafeMutableRawPointer
) {
  let from = UnsafeRawPointer(source)
  switch type {
  case .float32: target.copyMemory(from: from, byteCount: steps * 64)
  case .bfloat16:
    for step in 0..<steps {
      let low = (from + step &* 64).loadUnaligned(as: SIMD8<UInt32>.self)
      let high = (from + step &* 64 + 32).loadUnaligned(as: SIMD8<UInt32>.self)
      let words = (low &>> SIMD8(repeating: 16)) | (high & SIMD8(repeating: 0xFFFF_0000))
      target.storeBytes(of: words, toByteOffset: step &* 32, as: SIMD8<UInt32>.self)
    }
  case .float16:
    for step in 0..<steps {
      let low = SIMD8<Float16>(load8(from + step &* 64))
      let high = SIMD8<Float16>(load8(from + step &* 64 + 32))
      target.storeBytes(of: low, toByteOffset: step &* 32, as: SIMD8<Float16>.self)
      target.storeBytes(of: high, toByteOffset: step &* 32 &+ 16, as: SIMD8<Float16>.self)
    }
  }
}
