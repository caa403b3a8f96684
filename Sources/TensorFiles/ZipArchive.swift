package import Diagnostics

/// A zip archive, read by its central directory: stored members in place, deflated ones unpacked within a bound.
///
/// Format: PKWARE APPNOTE 6.3; zip64 included; encryption, split archives and other methods refused.
package struct ZipArchive: Sendable {
  /// One file in the archive.
  struct Member: Sendable {
    var name: String
    var flags: UInt16
    var method: UInt16
    var checksum: UInt32
    var packedSize: Int
    var size: Int
    var headerOffset: Int
  }

  /// The archive's bytes.
  package let source: ByteSource
  /// The names in the order of the central directory.
  package let memberNames: [String]
  /// Where the central directory begins; members lie before it.
  private let directoryStart: Int
  private let members: [String: Member]
  private let inflationLimit: Int

  /// Maps the archive at `path` and checks its directory.
  ///
  /// - Parameter inflationLimit: the largest unpacked size of a deflated member, in bytes.
  package init(path: String, inflationLimit: Int = 2 << 30) throws(InputError) {
    try self.init(ByteSource(path: path), inflationLimit: inflationLimit)
  }

  /// Checks the directory of the archive in `source`.
  package init(_ source: ByteSource, inflationLimit: Int = 2 << 30) throws(InputError) {
    let directory = try ZipDirectory.find(source)
    let list = try directory.members(source)
    var members: [String: Member] = [:]
    for member in list {
      guard members.updateValue(member, forKey: member.name) == nil else {
        throw InputError("\(source.name): member \"\(member.name)\"", expected: "one of this name", found: "two")
      }
    }
    self.source = source
    self.members = members
    self.inflationLimit = inflationLimit
    memberNames = list.map(\.name)
    directoryStart = directory.range.lowerBound
  }

  /// What errors call a member.
  func subject(_ name: String) -> String { "\(source.name): member \"\(name)\"" }

  /// Whether there is a member of that name.
  package func contains(_ name: String) -> Bool { members[name] != nil }

  /// The content of a member: a range of the archive where it is stored, an array of its own where it was deflated.
  ///
  /// A deflated member is unpacked anew by each call and its checksum verified; a stored one is not read.
  package func content(of name: String) throws(InputError) -> (source: ByteSource, range: Range<Int>) {
    guard let member = members[name] else {
      let names = memberNames.prefix(12).joined(separator: ", ")
      throw InputError(
        subject(name), expected: "a member of this name", found: names.isEmpty ? "an empty archive" : names)
    }
    guard member.flags & 1 == 0 else {
      throw InputError(subject(name), expected: "a member that is not encrypted", found: "an encrypted one")
    }
    let packed = try packedRange(member)
    switch member.method {
    case 0:
      guard member.size == packed.count else {
        throw InputError(subject(name), expected: "\(packed.count) bytes, as stored", found: "a size of \(member.size)")
      }
      return (source, packed)
    case 8:
      let bytes = try inflated(member, packed)
      return (ByteSource(bytes, name: subject(name)), 0..<bytes.count)
    default:
      throw InputError(
        subject(name), expected: "compression method 0 (stored) or 8 (deflated)", found: "method \(member.method)")
    }
  }

  /// The member's packed bytes, found behind its local header.
  private func packedRange(_ member: Member) throws(InputError) -> Range<Int> {
    let damaged = InputError(
      subject(member.name), expected: "its local header and data before the central directory", found: "something else",
      remedy: "the archive is truncated or damaged")
    let start = member.headerOffset
    guard start <= directoryStart - 30 else { throw damaged }
    let (signature, flags, method, nameLength, extraLength) = source.withBytes(start..<(start + 30)) { header in
      (header.uint32(at: 0), header.uint16(at: 6), header.uint16(at: 8), header.uint16(at: 26), header.uint16(at: 28))
    }
    guard signature == 0x0403_4b50, method == member.method, flags & 1 == member.flags & 1 else { throw damaged }
    let nameEnd = start + 30 + Int(nameLength)
    let dataStart = nameEnd + Int(extraLength)
    guard dataStart <= directoryStart, member.packedSize <= directoryStart - dataStart else { throw damaged }
    guard source.withBytes((start + 30)..<nameEnd, { $0.text(0..<$0.byteCount) }) == member.name else { throw damaged }
    return dataStart..<(dataStart + member.packedSize)
  }

  private func inflated(_ member: Member, _ packed: Range<Int>) throws(InputError) -> [UInt8] {
    let subject = subject(member.name)
    guard member.size <= inflationLimit else {
      throw InputError(
        subject, expected: "at most \(inflationLimit) bytes unpacked", found: "\(member.size)",
        remedy: "save it uncompressed (numpy.savez)")
    }
    // Deflate can't shrink by more than 1032:1, so a larger promise is a lie that needs no memory to find out.
    guard member.size / 1032 <= packed.count else {
      throw InputError(
        subject, expected: "a size that \(packed.count) deflated bytes can unpack to", found: "\(member.size)")
    }
    return try source.withBytes(packed) { bytes throws(InputError) in
      try inflate(bytes, size: member.size, checksum: member.checksum, subject: subject)
    }
  }
}
