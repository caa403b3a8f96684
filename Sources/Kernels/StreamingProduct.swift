internal import CProcessor

// Few rows times a row-major factor that is read once, in place, in whole rows: the speed is that of memory.

private protocol StreamedElement {
  static var bytes: Int { get }
  static func load(_ address: UnsafeRawPointer) -> Float
  static func load8(_ address: UnsafeRawPointer) -> SIMD8<Float>
}

private enum StreamedFloat32: StreamedElement {
  @inline(__always) static var bytes: Int { 4 }
  @inline(__always) static func load(_ address: UnsafeRawPointer) -> Float { address.loadUnaligned(as: Float.self) }
  @inline(__always) static func load8(_ address: UnsafeRawPointer) -> SIMD8<Float> {
    address.loadUnaligned(as: SIMD8<Float>.self)
  }
}

private enum StreamedBFloat16: StreamedElement {
  @inline(__always) static var bytes: Int { 2 }
  @inline(__always) static func load(_ address: UnsafeRawPointer) -> Float {
    Float(bitPattern: UInt32(address.loadUnaligned(as: UInt16.self)) << 16)
  }
  @inline(__always) static func load8(_ address: UnsafeRawPointer) -> SIMD8<Float> {
    let words = SIMD8<UInt32>(truncatingIfNeeded: address.loadUnaligned(as: SIMD8<UInt16>.self))
    return unsafeBitCast(words &<< SIMD8(repeating: 16), to: SIMD8<Float>.self)
  }
}

private enum StreamedFloat16: StreamedElement {
  @inline(__always) static var bytes: Int { 2 }
  @inline(__always) static func load(_ address: UnsafeRawPointer) -> Float {
    Float(address.loadUnaligned(as: Float16.self))
  }
  @inline(__always) static func load8(_ address: UnsafeRawPointer) -> SIMD8<Float> {
    SIMD8<Float>(address.loadUnaligned(as: SIMD8<Float16>.self))
  }
}

/// `c[i, j] = sum over k of left[i, k] * b[k, j]` for a strip of columns that fits the caches, four steps of k at a time.
func streamRows(
  _ type: ElementType, _ b: UnsafeRawPointer, rowBytes: Int, steps: Int, columns: Int, left: LeftFactor, rows: Int,
  into c: UnsafeMutablePointer<Float>, cStride: Int
) {
  for row in 0..<rows { (c + row * cStride).update(repeating: 0, count: columns) }
  switch type {
  case .float32: stream(StreamedFloat32.self, b, rowBytes, steps, columns, left, rows, c, cStride)
  case .bfloat16: stream(StreamedBFloat16.self, b, rowBytes, steps, columns, left, rows, c, cStride)
  case .float16: stream(StreamedFloat16.self, b, rowBytes, steps, columns, left, rows, c, cStride)
  }
}

@inline(__always) private func stream<Element: StreamedElement>(
  _: Element.Type, _ b: UnsafeRawPointer, _ rowBytes: Int, _ steps: Int, _ columns: Int, _ left: LeftFactor,
  _ rows: Int, _ c: UnsafeMutablePointer<Float>, _ cStride: Int
) {
  var step = 0
  while step + 4 <= steps {
    fourSteps(Element.self, b + step * rowBytes, rowBytes, columns, left, step, rows, c, cStride)
    step += 4
  }
  while step < steps {
    let row = b + step * rowBytes
    for i in 0..<rows {
      let x = left.a[i &* left.rowStride &+ step &* left.stepStride]
      let c = c + i &* cStride
      for j in 0..<columns { c[j] = c[j].addingProduct(x, Element.load(row + j &* Element.bytes)) }
    }
    step += 1
  }
}

@inline(__always) private func fourSteps<Element: StreamedElement>(
  _: Element.Type, _ b: UnsafeRawPointer, _ rowBytes: Int, _ columns: Int, _ left: LeftFactor, _ step: Int,
  _ rows: Int, _ c: UnsafeMutablePointer<Float>, _ cStride: Int
) {
  let (b0, b1, b2, b3) = (b, b + rowBytes, b + 2 &* rowBytes, b + 3 &* rowBytes)
  let ahead = 4 &* rowBytes
  let wide = columns & ~15
  var j = 0
  while j < wide {
    let at = j &* Element.bytes
    let next = at &+ 8 &* Element.bytes
    // The same columns of the next four rows (two groups of 16 share a line in the 16-bit types; asking twice costs little).
    processor_prefetch(b0 + (ahead &+ at))
    processor_prefetch(b1 + (ahead &+ at))
    processor_prefetch(b2 + (ahead &+ at))
    processor_prefetch(b3 + (ahead &+ at))
    let (l0, l1, l2, l3) = (
      Element.load8(b0 + at), Element.load8(b1 + at), Element.load8(b2 + at), Element.load8(b3 + at)
    )
    let (h0, h1, h2, h3) = (
      Element.load8(b0 + next), Element.load8(b1 + next), Element.load8(b2 + next), Element.load8(b3 + next)
    )
    var x = left.a + step &* left.stepStride
    var out = UnsafeMutableRawPointer(c + j)
    for _ in 0..<rows {
      let x0 = SIMD8<Float>(repeating: x[0])
      let x1 = SIMD8<Float>(repeating: x[left.stepStride])
      let x2 = SIMD8<Float>(repeating: x[2 &* left.stepStride])
      let x3 = SIMD8<Float>(repeating: x[3 &* left.stepStride])
      var low = out.loadUnaligned(as: SIMD8<Float>.self)
      var high = out.loadUnaligned(fromByteOffset: 32, as: SIMD8<Float>.self)
      low = processor_fma8(x0, l0, low)
      high = processor_fma8(x0, h0, high)
      low = processor_fma8(x1, l1, low)
      high = processor_fma8(x1, h1, high)
      low = processor_fma8(x2, l2, low)
      high = processor_fma8(x2, h2, high)
      low = processor_fma8(x3, l3, low)
      high = processor_fma8(x3, h3, high)
      out.storeBytes(of: low, as: SIMD8<Float>.self)
      out.storeBytes(of: high, toByteOffset: 32, as: SIMD8<Float>.self)
      x += left.rowStride
      out += cStride &* 4
    }
    j &+= 16
  }
  while j < columns {
    let at = j &* Element.bytes
    for i in 0..<rows {
      let x = left.a + (i &* left.rowStride &+ step &* left.stepStride)
      var sum = c[i &* cStride &+ j]
      sum.addProduct(x[0], Element.load(b0 + at))
      sum.addProduct(x[left.stepStride], Element.load(b1 + at))
      sum.addProduct(x[2 &* left.stepStride], Element.load(b2 + at))
      sum.addProduct(x[3 &* left.stepStride], Element.load(b3 + at))
      c[i &* cStride &+ j] = sum
    }
    j &+= 1
  }
}
