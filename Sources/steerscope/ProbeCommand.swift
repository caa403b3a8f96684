internal import ArgumentParser
internal import Diagnostics
internal import Telemetry

/// `probe`: asks a coordinator or worker on this machine how it is; the health check of its container.
struct ProbeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "probe",
    abstract: "Asks a coordinator or worker on this machine whether it can do its work.",
    discussion: "Exit status: 0 yes, 1 no (with its reasons) or no answer.",
    shouldDisplay: false)

  @Option(parsing: .unconditional, help: "The port that it was given with --metrics-port.") var port = 9464
  @Option(help: "The address that it was given with --metrics-address.") var address = ListenAddress.loopback
  @Flag(help: "Ask only whether it answers at all.") var live = false

  func run() async throws {
    guard let number = UInt16(exactly: port), number > 0 else {
      throw InputError("--port", expected: "a port from 1 to 65535", found: "\(port)")
    }
    let target = ListenAddress(host: address, port: number)
    guard let reply = HTTPProbe.get(live ? "/livez" : "/readyz", at: target, within: .seconds(4)) else {
      Terminal.say("no answer from \(target)")
      throw ExitCode.failure
    }
    Terminal.result(reply.text)
    guard reply.status == 200 else { throw ExitCode.failure }
  }
}
