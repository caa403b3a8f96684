/// The stored types that kernels read without a copy.
package enum ElementType: Sendable, Hashable {
  case float32, float16, bfloat16

  /// Bytes of one element.
  package var bytes: Int { self == .float32 ? 4 : 2 }
}
