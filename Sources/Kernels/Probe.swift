package func probe(_ a: Span<Float>, _ b: Span<Float>, into c: inout MutableSpan<Float>) {
  let n = a.count
  precondition(b.count == n && c.count == n)
  a.withUnsafeBufferPointer { a in b.withUnsafeBufferPointer { b in c.withUnsafeMutableBufferPointer { c in
    guard let ap = UnsafeRawPointer(a.baseAddress), let bp = UnsafeRawPointer(b.baseAddress), let cp = UnsafeMutableRawPointer(c.baseAddress) else { return }
    var i = 0
    while i + 8 <= n {
      var acc = cp.loadUnaligned(fromByteOffset: i*4, as: SIMD8<Float>.self)
      acc.addProduct(ap.loadUnaligned(fromByteOffset: i*4, as: SIMD8<Float>.self), bp.loadUnaligned(fromByteOffset: i*4, as: SIMD8<Float>.self))
      cp.storeBytes(of: acc, toByteOffset: i*4, as: SIMD8<Float>.self)
      i += 8
    }
  }}}
}
