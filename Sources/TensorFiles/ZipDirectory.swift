internal import Diagnostics

/// Where a zip archive's central directory is, and how many members it lists.
struct ZipDirectory {
  /// The directory's bytes.
  let range: Range<Int>
  private let count: Int

  private static let endSize = 22

  /// Finds the directory through the end record, or the zip64 end record before it.
  static func find(_ source: ByteSource) throws(InputError) -> ZipDirectory {
    let end = try endRecord(source)
    let record = source.copy(end..<(end + endSize)).span.bytes
    guard record.uint16(at: 4) == record.uint16(at: 6) || record.uint16(at: 4) == 0xffff else {
      throw InputError(source.name, expected: "a zip archive in one piece", found: "a part of a split one")
    }
    let count = record.uint16(at: 10)
    let size = record.uint32(at: 12)
    let start = record.uint32(at: 16)
    if count == 0xffff || size == 0xffff_ffff || start == 0xffff_ffff, let wide = try zip64(source, end: end) {
      return wide
    }
    return try checked(
      source, start: UInt64(start), size: UInt64(size), count: UInt64(count), limit: end)
  }

  /// The members in the order of the directory.
  func members(_ source: ByteSource) throws(InputError) -> [ZipArchive.Member] {
    try source.withBytes(range) { directory throws(InputError) in
      var result: [ZipArchive.Member] = []
      var offset = 0
      for _ in 0..<count {
        result.append(try Self.member(directory, at: &offset, name: source.name))
      }
      guard offset == directory.byteCount else { throw Self.damaged(source.name) }
      return result
    }
  }

  private static func damaged(_ name: String) -> InputError {
    InputError(
      name, expected: "a zip archive with a whole central directory", found: "a damaged one",
      remedy: "the archive is truncated or damaged")
  }

  /// The end record is the last thing in the archive but for a comment of at most 65,535 bytes, whose length it states.
  private static func endRecord(_ source: ByteSource) throws(InputError) -> Int {
    let tail = max(0, source.count - endSize - 0xffff)..<source.count
    let found = source.withBytes(tail) { bytes -> Int? in
      var offset = bytes.byteCount - endSize
      while offset >= 0 {
        if bytes.uint32(at: offset) == 0x0605_4b50,
          Int(bytes.uint16(at: offset + 20)) == bytes.byteCount - offset - endSize
        {
          return offset
        }
        offset -= 1
      }
      return nil
    }
    guard let found else {
      throw InputError(
        source.name, expected: "a zip archive", found: "no end record",
        remedy: "the archive is truncated or of another format")
    }
    return tail.lowerBound + found
  }

  private static func zip64(_ source: ByteSource, end: Int) throws(InputError) -> ZipDirectory? {
    let locator = end - 20
    guard locator >= 0 else { return nil }
    let (signature, stated) = source.withBytes(locator..<end) { ($0.uint32(at: 0), $0.uint64(at: 8)) }
    guard signature == 0x0706_4b50 else { return nil }
    guard locator >= 56, stated <= UInt64(locator - 56) else { throw damaged(source.name) }
    let record = source.copy(Int(stated)..<(Int(stated) + 56)).span.bytes
    guard record.uint32(at: 0) == 0x0606_4b50 else { throw damaged(source.name) }
    return try checked(
      source, start: record.uint64(at: 48), size: record.uint64(at: 40), count: record.uint64(at: 32),
      limit: Int(stated))
  }

  private static func checked(
    _ source: ByteSource, start: UInt64, size: UInt64, count: UInt64, limit: Int
  ) throws(InputError) -> ZipDirectory {
    let limit = UInt64(limit)
    // An entry has at least 46 bytes.
    guard size <= limit, start <= limit - size, count <= size / 46 else { throw damaged(source.name) }
    return ZipDirectory(range: Int(start)..<Int(start + size), count: Int(count))
  }

  private static func member(
    _ directory: RawSpan, at offset: inout Int, name archive: String
  ) throws(InputError) -> ZipArchive.Member {
    guard directory.byteCount - offset >= 46, directory.uint32(at: offset) == 0x0201_4b50 else {
      throw damaged(archive)
    }
    let nameStart = offset + 46
    let nameEnd = nameStart + Int(directory.uint16(at: offset + 28))
    let extraEnd = nameEnd + Int(directory.uint16(at: offset + 30))
    let end = extraEnd + Int(directory.uint16(at: offset + 32))
    guard end <= directory.byteCount else { throw damaged(archive) }
    guard let name = directory.text(nameStart..<nameEnd) else {
      throw InputError("\(archive): a member's name", expected: "UTF-8", found: "other bytes")
    }
    var sizes: [UInt64] = [
      UInt64(directory.uint32(at: offset + 24)), UInt64(directory.uint32(at: offset + 20)),
      UInt64(directory.uint32(at: offset + 42)),
    ]
    if sizes.contains(0xffff_ffff) {
      try widen(&sizes, directory, extra: nameEnd..<extraEnd, subject: "\(archive): member \"\(name)\"")
    }
    guard sizes.allSatisfy({ $0 <= UInt64(Int.max) }) else { throw damaged(archive) }
    defer { offset = end }
    return ZipArchive.Member(
      name: name, flags: directory.uint16(at: offset + 8), method: directory.uint16(at: offset + 10),
      checksum: directory.uint32(at: offset + 16), packedSize: Int(sizes[1]), size: Int(sizes[0]),
      headerOffset: Int(sizes[2]))
  }

  /// Replaces saturated 32-bit fields (size, packed size, offset) by those of the zip64 extra field.
  private static func widen(
    _ sizes: inout [UInt64], _ directory: RawSpan, extra: Range<Int>, subject: String
  ) throws(InputError) {
    var offset = extra.lowerBound
    while extra.upperBound - offset >= 4 {
      let kind = directory.uint16(at: offset)
      let end = offset + 4 + Int(directory.uint16(at: offset + 2))
      offset += 4
      guard end <= extra.upperBound else { break }
      if kind == 1 {
        for index in sizes.indices where sizes[index] == 0xffff_ffff {
          guard end - offset >= 8 else { break }
          sizes[index] = directory.uint64(at: offset)
          offset += 8
        }
        return
      }
      offset = end
    }
    throw InputError(subject, expected: "a zip64 field with the sizes", found: "none", remedy: "the archive is damaged")
  }
}
