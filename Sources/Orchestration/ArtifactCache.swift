package import SweepRecords

/// The artifacts used last, up to so many bytes. What is larger than the whole is not kept.
package struct ArtifactCache: Sendable {
  /// The most bytes it holds.
  package let capacity: Int
  package private(set) var size = 0
  private var entries: [Digest: (bytes: [UInt8], lastUse: UInt64)] = [:]
  private var uses: UInt64 = 0

  package init(capacity: Int) { self.capacity = max(0, capacity) }

  package mutating func bytes(of digest: Digest) -> [UInt8]? {
    guard let entry = entries[digest] else { return nil }
    uses += 1
    entries[digest]?.lastUse = uses
    return entry.bytes
  }

  /// Keeps an artifact, at the cost of those not used for longest. O(entries) for each that goes.
  package mutating func keep(_ bytes: [UInt8], as digest: Digest) {
    guard entries[digest] == nil, bytes.count <= capacity else { return }
    while size + bytes.count > capacity, let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse }) {
      size -= oldest.value.bytes.count
      entries[oldest.key] = nil
    }
    uses += 1
    size += bytes.count
    entries[digest] = (bytes, uses)
  }
}
