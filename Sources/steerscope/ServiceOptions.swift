internal import ArgumentParser
internal import Diagnostics
internal import Orchestration
internal import Telemetry

/// What both long-running processes take.
struct ServiceOptions: ParsableArguments {
  @Option(parsing: .unconditional, help: "Serve /metrics, /livez and /readyz on this port; 0 picks a free one.")
  var metricsPort: Int?

  @Option(help: "The address on which they are served; 127.0.0.1 unless said.")
  var metricsAddress: String?

  @Option(help: "text or json: how log lines look.")
  var logFormat = LogFormat.text

  @Flag(help: "Log every task, too.")
  var verbose = false

  var log: ServiceLog { ServiceLog(format: logFormat, level: verbose ? .debug : .info) }

  /// Where to listen; nil where nothing is to be served.
  func address() throws(InputError) -> ListenAddress? {
    guard let metricsPort else {
      guard metricsAddress == nil else {
        throw InputError("--metrics-address", expected: "--metrics-port beside it", found: "none")
      }
      return nil
    }
    guard let port = UInt16(exactly: metricsPort) else {
      throw InputError("--metrics-port", expected: "a port from 0 to 65535", found: "\(metricsPort)")
    }
    return ListenAddress(host: metricsAddress ?? ListenAddress.loopback, port: port)
  }
}

/// Amounts as users write them.
enum Amounts {
  /// Bytes: `500000000`, `512M`, `8G` (powers of 1024).
  static func bytes(_ text: String, flag: String) throws(InputError) -> Int {
    let units: [Character: Int] = ["K": 10, "M": 20, "G": 30, "T": 40]
    let upper = text.uppercased()
    let trimmed = upper.hasSuffix("IB") ? upper.dropLast(2) : upper.hasSuffix("B") ? upper.dropLast() : upper[...]
    let shift = trimmed.last.flatMap { units[$0] }
    guard let number = Double(shift == nil ? trimmed : trimmed.dropLast()), number >= 0, number.isFinite else {
      throw InputError(flag, expected: "bytes as in 512M or 8G", found: "\"\(text.prefix(40))\"")
    }
    let bytes = number * Double(1 << (shift ?? 0))
    guard bytes < 1e18 else {
      throw InputError(flag, expected: "less than 10^18 bytes", found: "\"\(text.prefix(40))\"")
    }
    return Int(bytes)
  }

  /// Seconds within a range.
  static func seconds(
    _ seconds: Double, in range: ClosedRange<Double>, flag: String
  ) throws(InputError) -> Double {
    guard range.contains(seconds) else {
      throw InputError(
        flag, expected: "seconds from \(Int(range.lowerBound)) to \(Int(range.upperBound))", found: "\(seconds)")
    }
    return seconds
  }
}
