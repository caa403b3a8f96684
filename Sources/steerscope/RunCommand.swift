internal import ArgumentParser
internal import Diagnostics
internal import Experiments
internal import Foundation
internal import Kernels
internal import Orchestration
internal import Processor
internal import Reporting
internal import Storage
internal import SweepPlanning
internal import SweepRecords

/// `run`: a whole sweep on this machine, without any server.
struct RunCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Runs a sweep on this machine, without any server; interrupted and run again, it continues.")

  @Argument(help: "The sweep file (YAML).") var file: String
  @OptionGroup var threads: ThreadOptions
  @Flag(help: "Log what coordinator and worker do, to standard error.") var verbose = false

  func run() async throws {
    let pool = try threads.pool()
    let path = try OpenStore.path()
    let submission = try SweepFiles(path: file).submission()
    let lock = try RunLock(database: path)
    let store = try OpenStore.file(creating: true)
    let submitted = try await store.submit(submission)
    Terminal.say("sweep \(submission.name) (\(submitted.id)), database \(path)")

    let display = RunDisplay()
    let registration = WorkerRegistration(
      id: WorkerID("embedded-\(ProcessInfo.processInfo.processIdentifier)"),
      host: ProcessInfo.processInfo.hostName, process: Int(ProcessInfo.processInfo.processIdentifier),
      version: Version.number, numericsVersion: numericsVersion, cpu: CPUFeatures.level, threads: pool.threads)
    let log = ServiceLog(format: .text, level: verbose ? .debug : .warning)
    let embedded = EmbeddedRun(
      submitted.id, lock: lock, worker: registration, store: store, executor: ExperimentExecutor(pool: pool),
      expander: SweepPlanExpander(),
      files: LocalFiles(folder: try Settings.filesFolder(), digests: Settings.digestMemory),
      log: log.sink, progress: { display.show($0) })
    let signals = StopSignals { count in
      guard count == 1 else { Foundation.exit(ExitCode.interrupted.rawValue) }
      Terminal.say("\nstopping; once more to stop at once")
      Task { await embedded.stop() }
    }
    let outcome = try await embedded.run()
    signals.cancel()
    display.finish()
    try await end(outcome, sweep: submitted.id, store: store)
  }

  private func end(_ outcome: EmbeddedRun.Outcome, sweep: SweepID, store: SQLiteStore) async throws {
    switch outcome {
    case .interrupted:
      Terminal.say("interrupted; the same command continues")
      throw ExitCode.interrupted
    case .cancelled:
      Terminal.say("the sweep was cancelled")
      throw ExitCode(1)
    case .stuck(let reason):
      Terminal.say("error: nothing is left that this machine can do: \(reason)")
      throw ExitCode(1)
    case .done, .doneWithParked: break
    }
    Terminal.result(Verdict(try await ReportData(reading: store, sweep: sweep)).text(width: min(Terminal.width, 100)))
    guard outcome == .doneWithParked else { return }
    let parked = try await store.parkedTasks(of: sweep, limit: 10)
    for task in parked { Terminal.say("parked: \(task.title): \(task.error)") }
    Terminal.say("`steerscope retry \(sweep)` tries parked tasks again")
    throw ExitCode.doneWithParkedTasks
  }
}
