package import Diagnostics

/// An `.npz` file: a zip archive of `NAME.npy` members.
///
/// Stored members (numpy.savez) are read in place; deflated ones (numpy.savez_compressed) are unpacked when asked for,
/// each time anew. Members that are no arrays are ignored.
package struct NpzArchive: TensorCollection {
  package let tensorNames: [String]
  private let archive: ZipArchive

  /// Maps the archive at `path` and checks its directory; arrays are checked when asked for.
  ///
  /// - Parameter inflationLimit: the largest unpacked size of a deflated array, in bytes.
  package init(path: String, inflationLimit: Int = 2 << 30) throws(InputError) {
    try self.init(ZipArchive(path: path, inflationLimit: inflationLimit))
  }

  /// Takes the arrays of an archive that is open already.
  package init(_ archive: ZipArchive) throws(InputError) {
    self.archive = archive
    tensorNames = archive.memberNames.filter { $0.hasSuffix(".npy") }.map { String($0.dropLast(4)) }
    guard !tensorNames.isEmpty || archive.memberNames.isEmpty else {
      let isTorch = archive.memberNames.contains { $0.hasSuffix("data.pkl") }
      throw InputError(
        archive.source.name, expected: "an archive of numpy arrays (.npz)",
        found: isTorch ? "a PyTorch archive" : "an archive without any", remedy: "convert it to .safetensors")
    }
  }

  package var name: String { archive.source.name }

  package func contains(_ name: String) -> Bool { archive.contains(name + ".npy") }

  package func tensor(named name: String) throws(InputError) -> TensorView {
    let member = name + ".npy"
    guard archive.contains(member) else { throw missing(name) }
    let (source, range) = try archive.content(of: member)
    return try NpyHeader.parse(source, range, name: name, subject: archive.subject(member))
  }
}
