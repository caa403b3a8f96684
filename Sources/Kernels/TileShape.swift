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

/// How a tile finds its numbers: `a[k * rows + i]`, `b` as panels of 16 with `bStep` bytes a step of k,
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
