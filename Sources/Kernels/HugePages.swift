#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#endif

/// Asks for large pages where the allocation is large enough to have some; only a hint, so the answer does not matter.
func adviseHugePages(_ base: UnsafeMutableRawPointer, _ bytes: Int) {
  #if os(Linux)
    let page = 1 << 21
    guard bytes >= 2 * page else { return }
    let first = (UInt(bitPattern: base) + UInt(page) - 1) & ~(UInt(page) - 1)
    let last = (UInt(bitPattern: base) + UInt(bytes)) & ~(UInt(page) - 1)
    guard last > first, let start = UnsafeMutableRawPointer(bitPattern: first) else { return }
    _ = madvise(start, Int(last - first), MADV_HUGEPAGE)
  #endif
}
