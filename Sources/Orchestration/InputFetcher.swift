internal import Storage
internal import SweepRecords

/// Brings together what a task reads: artifacts from the store, files from this machine.
actor InputFetcher {
  private let store: any ResultStore
  private let files: any FileResolver
  private var cache: ArtifactCache
  /// What the processes of this machine have fetched before; nil for nothing.
  private let folder: ArtifactFolder?

  init(store: any ResultStore, files: any FileResolver, cacheCapacity: Int, folder: ArtifactFolder?) {
    self.store = store
    self.folder = folder
    self.files = files
    cache = ArtifactCache(capacity: cacheCapacity)
  }

  /// Everything that the work names.
  ///
  /// - Throws: `TaskFault` for what is not there, `StoreError` when the store fails.
  func inputs(of work: TaskWork, files locators: [FileReference]) async throws -> TaskInputs {
    var inputs = TaskInputs()
    for reference in work.inputs {
      switch reference {
      case .file(let digest):
        guard let file = locators.first(where: { $0.digest == digest }) else {
          throw TaskFault(.task, "the task names file \(digest.short) but not where it lies")
        }
        inputs.paths[digest] = try await files.path(of: file)
      case .artifact(let digest):
        inputs.artifacts[reference] = try await artifact(digest)
      case .output(let task, let name):
        guard let found = try await store.artifactReference(task: task, name: name) else {
          throw TaskFault(.task, "task \(task.short), on which this one waits, left no \"\(name)\"")
        }
        inputs.artifacts[reference] = try await artifact(found.digest)
      }
    }
    return inputs
  }

  private func artifact(_ digest: Digest) async throws -> [UInt8] {
    if let bytes = cache.bytes(of: digest) { return bytes }
    if let bytes = await onDisk(digest) {
      cache.keep(bytes, as: digest)
      return bytes
    }
    guard let bytes = try await store.artifact(digest) else {
      throw TaskFault(.task, "input \(digest.short) is not in the database")
    }
    cache.keep(bytes, as: digest)
    if let folder { _ = await ComputeJob(name: "keep") { folder.keep(bytes, as: digest) }.result }
    return bytes
  }

  /// Digesting takes a while for large ones: not on a thread that others need.
  private func onDisk(_ digest: Digest) async -> [UInt8]? {
    guard let folder else { return nil }
    return await ComputeJob(name: "read") { folder.bytes(of: digest) }.result ?? nil
  }
}
