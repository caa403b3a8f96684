internal import Diagnostics
package import SweepRecords

/// Finds the large files that tasks name by digest, on this machine.
package protocol FileResolver: Sendable {
  /// Where the file lies, its digest verified. May take as long as reading the file takes.
  ///
  /// - Throws: a `worker` fault about the file when it is not here, or is another one.
  func path(of file: FileReference) async throws(TaskFault) -> String
}

/// Files on this machine's disks: absolute locators as they are, others under a folder.
package struct LocalFiles: FileResolver {
  private let folder: String?
  private let digests: DigestMemory

  /// - Parameter folder: `STEERSCOPE_FILES`; nil for the working folder.
  package init(folder: String?, digests: DigestMemory) {
    self.folder = folder
    self.digests = digests
  }

  package func path(of file: FileReference) async throws(TaskFault) -> String {
    let locator = file.locator
    guard !locator.utf8.contains(0), !locator.isEmpty else {
      throw TaskFault(.worker, "\"\(locator)\" is no path", input: file.digest)
    }
    let path = locator.hasPrefix("/") ? locator : folder.map { $0 + "/" + locator } ?? locator
    // Digesting takes seconds for gigabytes: not on a thread that others need.
    let job = ComputeJob(name: "digest") { () -> Result<Digest, TaskFault> in
      do throws(InputError) { return .success(try digests.digest(of: path)) } catch {
        return .failure(TaskFault(.worker, error.description, input: file.digest))
      }
    }
    let found = await job.result ?? .failure(TaskFault(.stopped, "stopped while digesting \(path)"))
    let digest = try found.get()
    guard digest == file.digest else {
      throw TaskFault(
        .worker,
        "\(path): expected the file of digest \(file.digest.short), found \(digest.short); "
          + "put back the file that the sweep was submitted with, or run the sweep anew", input: file.digest)
    }
    return path
  }
}
