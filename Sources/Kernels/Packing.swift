// Copies that bring factors into the order in which the micro-kernels read them. Helpers are repeated per file on purpose:
// without whole-module optimisation nothing is inlined across files.

@inline(__always) private func load8(_ address: UnsafeRawPointer) -> SIMD8<Float> {
  address.loadUnaligned(as: SIMD8<Float>.self)
}

/// Eight elements of a stored type as float32.
private protocol StoredElement {
  static var bytes: Int { get }
  static func load(_ address: UnsafeRawPointer) -> Float
  static func load8(_ address: UnsafeRawPointer) -> SIMD8<Float>
}

private enum StoredFloat32: StoredElement {
  @inline(__always) static var bytes: Int { 4 }
  @inline(__always) static func load(_ address: UnsafeRawPointer) -> Float { address.loadUnaligned(as: Float.self) }
  @inline(__always) static func load8(_ address: UnsafeRawPointer) -> SIMD8<Float> {
    address.loadUnaligned(as: SIMD8<Float>.self)
  }
}

private enum StoredBFloat16: StoredElement {
  @inline(__always) static var bytes: Int { 2 }
  @inline(__always) static func load(_ address: UnsafeRawPointer) -> Float {
    Float(bitPattern: UInt32(address.loadUnaligned(as: UInt16.self)) << 16)
  }
  @inline(__always) static func load8(_ address: UnsafeRawPointer) -> SIMD8<Float> {
    let words = SIMD8<UInt32>(truncatingIfNeeded: address.loadUnaligned(as: SIMD8<UInt16>.self))
    return unsafeBitCast(words &<< SIMD8(repeating: 16), to: SIMD8<Float>.self)
  }
}

private enum StoredFloat16: StoredElement {
  @inline(__always) static var bytes: Int { 2 }
  @inline(__always) static func load(_ address: UnsafeRawPointer) -> Float {
    Float(address.loadUnaligned(as: Float16.self))
  }
  @inline(__always) static func load8(_ address: UnsafeRawPointer) -> SIMD8<Float> {
    SIMD8<Float>(address.loadUnaligned(as: SIMD8<Float16>.self))
  }
}

/// Packs a left factor `a[i * rowStride + k * stepStride]`, `[m, k]`, for k blocks of `blockLength` steps: block by block of k,
/// row block by row block, `[steps][rows]`. The part that begins at step k0 and row r lies at `m * k0 + r * steps`.
struct LeftFactor {
  var a: UnsafePointer<Float>
  var rowStride: Int
  var stepStride: Int

  /// Packs one row block of one k block.
  func pack(rows: Range<Int>, steps: Range<Int>, into target: UnsafeMutablePointer<Float>) {
    let height = rows.count
    let source = a + (rows.lowerBound * rowStride + steps.lowerBound * stepStride)
    // Four rows at a time where their steps are neighbours, two rows, one row; or step by step where the rows are.
    if rowStride == 1 {
      for step in 0..<steps.count {
        for row in 0..<height { target[step &* height &+ row] = source[step &* stepStride &+ row] }
      }
      return
    }
    var row = 0
    if stepStride == 1 {
      while row &+ 4 <= height {
        pack4(source + row &* rowStride, rowStride, steps.count, into: target + row, height)
        row &+= 4
      }
      while row &+ 2 <= height {
        let (first, second) = (source + row &* rowStride, source + (row &+ 1) &* rowStride)
        for step in 0..<steps.count {
          target[step &* height &+ row] = first[step]
          target[step &* height &+ row &+ 1] = second[step]
        }
        row &+= 2
      }
    }
    while row < height {
      for step in 0..<steps.count {
        target[step &* height &+ row] = source[row &* rowStride &+ step &* stepStride]
      }
      row &+= 1
    }
  }
}

/// Four rows `rowStride` apart to four neighbours per step, `height` apart.
@inline(__always) private func pack4(
  _ source: UnsafePointer<Float>, _ rowStride: Int, _ steps: Int, into target: UnsafeMutablePointer<Float>,
  _ height: Int
) {
  @inline(__always) func load(_ row: Int, _ step: Int) -> SIMD4<Float> {
    UnsafeRawPointer(source + (row &* rowStride &+ step)).loadUnaligned(as: SIMD4<Float>.self)
  }
  @inline(__always) func store(_ value: SIMD4<Float>, _ step: Int) {
    UnsafeMutableRawPointer(target + step &* height).storeBytes(of: value, as: SIMD4<Float>.self)
  }
  var step = 0
  while step &+ 4 <= steps {
    let (a, b, c, d) = (load(0, step), load(1, step), load(2, step), load(3, step))
    let (ab, cd) = (SIMD4(a[0], b[0], a[1], b[1]), SIMD4(c[0], d[0], c[1], d[1]))
    let (ef, gh) = (SIMD4(a[2], b[2], a[3], b[3]), SIMD4(c[2], d[2], c[3], d[3]))
    store(SIMD4(ab[0], ab[1], cd[0], cd[1]), step)
    store(SIMD4(ab[2], ab[3], cd[2], cd[3]), step &+ 1)
    store(SIMD4(ef[0], ef[1], gh[0], gh[1]), step &+ 2)
    store(SIMD4(ef[2], ef[3], gh[2], gh[3]), step &+ 3)
    step &+= 4
  }
  while step < steps {
    for row in 0..<4 { target[step &* height &+ row] = source[row &* rowStride &+ step] }
    step &+= 1
  }
}

/// Packs rows of a row-major right factor into panels of 16 columns: panel p of the result is `[panelSteps][16]`, of which this
/// writes `steps`. `source` is the first of these rows. Columns beyond `columns` become zeros.
func packRowMajor(
  _ type: ElementType, _ source: UnsafeRawPointer, rowBytes: Int, steps: Range<Int>, panelSteps: Int, columns: Int,
  into target: UnsafeMutablePointer<Float>
) {
  let target = target + steps.lowerBound * 16
  switch type {
  case .float32: packRows(StoredFloat32.self, source, rowBytes, steps.count, panelSteps, columns, target)
  case .float16: packRows(StoredFloat16.self, source, rowBytes, steps.count, panelSteps, columns, target)
  case .bfloat16: packRows(StoredBFloat16.self, source, rowBytes, steps.count, panelSteps, columns, target)
  }
}

@inline(__always) private func packRows<Element: StoredElement>(
  _: Element.Type, _ source: UnsafeRawPointer, _ rowBytes: Int, _ steps: Int, _ panelSteps: Int, _ columns: Int,
  _ target: UnsafeMutablePointer<Float>
) {
  let whole = columns / 16
  for step in 0..<steps {
    let row = source + step &* rowBytes
    var out = UnsafeMutableRawPointer(target + step &* 16)
    var from = row
    for _ in 0..<whole {
      out.storeBytes(of: Element.load8(from), as: SIMD8<Float>.self)
      out.storeBytes(of: Element.load8(from + 8 &* Element.bytes), toByteOffset: 32, as: SIMD8<Float>.self)
      out += panelSteps &* 64
      from += 16 &* Element.bytes
    }
    if columns & 15 != 0 {
      let tail = target + (whole &* panelSteps &+ step) &* 16
      for column in 0..<16 {
        tail[column] = column < columns & 15 ? Element.load(from + column &* Element.bytes) : 0
      }
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
  let wholeSteps = steps & ~7
  var step = 0
  while step < wholeSteps {
    let (from, into) = (source + step &* Element.bytes, target + step &* 16)
    transpose8(Element.self, from, rowBytes, rows, into)
    if rows > 8 {
      transpose8(Element.self, from + 8 &* rowBytes, rowBytes, rows &- 8, into + 8)
    } else {
      for offset in 0..<8 {
        UnsafeMutableRawPointer(into + (offset &* 16 &+ 8)).storeBytes(of: SIMD8(repeating: 0), as: SIMD8<Float>.self)
      }
    }
    step &+= 8
  }
  for step in wholeSteps..<steps {
    for row in 0..<16 {
      target[step &* 16 &+ row] =
        row < rows ? Element.load(source + row &* rowBytes + step &* Element.bytes) : 0
    }
  }
}

@inline(__always) private func interleaveLow(_ a: SIMD8<Float>, _ b: SIMD8<Float>) -> SIMD8<Float> {
  SIMD8(a[0], b[0], a[1], b[1], a[4], b[4], a[5], b[5])
}
@inline(__always) private func interleaveHigh(_ a: SIMD8<Float>, _ b: SIMD8<Float>) -> SIMD8<Float> {
  SIMD8(a[2], b[2], a[3], b[3], a[6], b[6], a[7], b[7])
}
@inline(__always) private func pairsLow(_ a: SIMD8<Float>, _ b: SIMD8<Float>) -> SIMD8<Float> {
  SIMD8(a[0], a[1], b[0], b[1], a[4], a[5], b[4], b[5])
}
@inline(__always) private func pairsHigh(_ a: SIMD8<Float>, _ b: SIMD8<Float>) -> SIMD8<Float> {
  SIMD8(a[2], a[3], b[2], b[3], a[6], a[7], b[6], b[7])
}

/// An 8 x 8 block: rows `rowBytes` apart (the last of `rows` standing in for those beyond) become columns, 16 floats apart.
@inline(__always) private func transpose8<Element: StoredElement>(
  _: Element.Type, _ source: UnsafeRawPointer, _ rowBytes: Int, _ rows: Int, _ target: UnsafeMutablePointer<Float>
) {
  let last = rows &- 1
  let r0 = Element.load8(source)
  let r1 = Element.load8(source + min(1, last) &* rowBytes)
  let r2 = Element.load8(source + min(2, last) &* rowBytes)
  let r3 = Element.load8(source + min(3, last) &* rowBytes)
  let r4 = Element.load8(source + min(4, last) &* rowBytes)
  let r5 = Element.load8(source + min(5, last) &* rowBytes)
  let r6 = Element.load8(source + min(6, last) &* rowBytes)
  let r7 = Element.load8(source + min(7, last) &* rowBytes)
  let (s0, s1) = (interleaveLow(r0, r1), interleaveHigh(r0, r1))
  let (s2, s3) = (interleaveLow(r2, r3), interleaveHigh(r2, r3))
  let (s4, s5) = (interleaveLow(r4, r5), interleaveHigh(r4, r5))
  let (s6, s7) = (interleaveLow(r6, r7), interleaveHigh(r6, r7))
  let (t0, t1, t2, t3) = (pairsLow(s0, s2), pairsHigh(s0, s2), pairsLow(s1, s3), pairsHigh(s1, s3))
  let (t4, t5, t6, t7) = (pairsLow(s4, s6), pairsHigh(s4, s6), pairsLow(s5, s7), pairsHigh(s5, s7))
  let out = UnsafeMutableRawPointer(target)
  out.storeBytes(of: SIMD8(lowHalf: t0.lowHalf, highHalf: t4.lowHalf), as: SIMD8<Float>.self)
  out.storeBytes(of: SIMD8(lowHalf: t1.lowHalf, highHalf: t5.lowHalf), toByteOffset: 64, as: SIMD8<Float>.self)
  out.storeBytes(of: SIMD8(lowHalf: t2.lowHalf, highHalf: t6.lowHalf), toByteOffset: 128, as: SIMD8<Float>.self)
  out.storeBytes(of: SIMD8(lowHalf: t3.lowHalf, highHalf: t7.lowHalf), toByteOffset: 192, as: SIMD8<Float>.self)
  out.storeBytes(of: SIMD8(lowHalf: t0.highHalf, highHalf: t4.highHalf), toByteOffset: 256, as: SIMD8<Float>.self)
  out.storeBytes(of: SIMD8(lowHalf: t1.highHalf, highHalf: t5.highHalf), toByteOffset: 320, as: SIMD8<Float>.self)
  out.storeBytes(of: SIMD8(lowHalf: t2.highHalf, highHalf: t6.highHalf), toByteOffset: 384, as: SIMD8<Float>.self)
  out.storeBytes(of: SIMD8(lowHalf: t3.highHalf, highHalf: t7.highHalf), toByteOffset: 448, as: SIMD8<Float>.self)
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
