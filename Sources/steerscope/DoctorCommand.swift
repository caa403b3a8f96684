internal import ArgumentParser
internal import Diagnostics
internal import Foundation
internal import Kernels
internal import Processor
internal import Storage

/// `doctor`: whether this machine can do the work.
struct DoctorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "Checks CPU, memory, disk and database: each line ok, or what to do.")

  func run() async throws {
    var healthy = true
    func line(_ name: String, _ problem: String?, _ good: String) {
      Terminal.result("\(name): \(problem ?? "ok, \(good)")\n")
      if problem != nil { healthy = false }
    }
    line("version", nil, Version.text)
    line("CPU", CPUFeatures.complaint, "\(CPUFeatures.level), \(ThreadPool.hardwareThreads) threads")
    let memory = ProcessInfo.processInfo.physicalMemory >> 20
    line("memory", memory < 2048 ? "\(memory) MiB: the example needs 2 GiB" : nil, "\(memory) MiB")
    line("disk", diskProblem(), "room for results in the working folder")
    do {
      let folder = try Settings.filesFolder()
      line("files", filesProblem(folder), folder ?? "STEERSCOPE_FILES is not set; paths are relative to sweep files")
    } catch { line("files", "\(error)", "") }
    do {
      let path = try OpenStore.path()
      if FileManager.default.fileExists(atPath: path) {
        let store = try OpenStore.open()
        line("database", nil, "\(path), schema version \(try await store.schemaVersion())")
      } else {
        line("database", nil, "\(path) will be made by the first run")
      }
    } catch {
      line("database", "\(error)", "")
    }
    if !healthy { throw ExitCode.failure }
  }

  private func diskProblem() -> String? {
    let attributes = try? FileManager.default.attributesOfFileSystem(forPath: ".")
    let free = (attributes?[.systemFreeSize] as? NSNumber)?.int64Value ?? 0
    return free < 1 << 30 ? "\(free >> 20) MiB free in the working folder: a sweep wants 1 GiB" : nil
  }

  private func filesProblem(_ folder: String?) -> String? {
    guard let folder else { return nil }
    var isDirectory: ObjCBool = false
    let exists = FileManager.default.fileExists(atPath: folder, isDirectory: &isDirectory)
    return exists && isDirectory.boolValue ? nil : "STEERSCOPE_FILES is \(folder), which is no folder: make or mend it"
  }
}
