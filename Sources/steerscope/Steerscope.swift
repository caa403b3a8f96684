internal import ArgumentParser
internal import Diagnostics
internal import Foundation
internal import Kernels
internal import Processor
internal import SweepRecords

/// The program: checks the CPU, runs one command, and turns every error into one clear line and an exit status.
@main
struct Steerscope: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "steerscope",
    abstract: "Finds out what steering vectors are made of, and whether the pieces still steer.",
    discussion: """
      Results go to standard output, words and progress to standard error. Exit status: 0 done, 1 failed, 2 wrong use or bad \
      input, 3 done with parked tasks, 130 interrupted.
      """,
    version: Version.text,
    groupedSubcommands: [
      CommandGroup(
        name: "Sweeps", subcommands: [RunCommand.self, PlanCommand.self, StatusCommand.self, WatchCommand.self]),
      CommandGroup(
        name: "A cluster", subcommands: [SubmitCommand.self, CoordinatorCommand.self, WorkerCommand.self]),
      CommandGroup(
        name: "Control",
        subcommands: [
          PauseCommand.self, ResumeCommand.self, CancelCommand.self, RetryCommand.self, DeleteCommand.self,
        ]),
      CommandGroup(
        name: "Results", subcommands: [ReportCommand.self, QueryCommand.self, ExportCommand.self]),
      CommandGroup(
        name: "Single steps",
        subcommands: [
          ExtractCommand.self, DecomposeCommand.self, EvaluateCommand.self, LogitsCommand.self, ActivationsCommand.self,
          TokenizeCommand.self, SAECommand.self, ModelCommand.self,
        ]),
      CommandGroup(
        name: "This machine",
        subcommands: [BenchCommand.self, DatabaseCommand.self, DoctorCommand.self, ProbeCommand.self]),
    ])

  static func main() async {
    if let complaint = CPUFeatures.complaint {
      Terminal.say(complaint)
      Foundation.exit(1)
    }
    keepFreedMemory()
    do {
      var command = try parseAsRoot()
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
    } catch {
      Foundation.exit(Failure.report(error))
    }
  }
}

/// What this program is called in reports and rows.
enum Version {
  static let number = "0.1.0"
  static let text = "steerscope \(number), numerics version \(numericsVersion)"
}

extension ExitCode {
  /// A sweep that ended with tasks that could not be done.
  static let doneWithParkedTasks = ExitCode(3)
  /// Stopped by Ctrl-C.
  static let interrupted = ExitCode(130)
}
