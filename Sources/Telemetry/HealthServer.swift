package import Diagnostics
internal import Synchronization

/// What a process tells whoever watches it: `/metrics` for Prometheus, `/livez` and `/readyz` for whatever restarts or
/// routes.
package final class HealthServer: Sendable {
  /// Why not, one reason a string; empty when all is well. Must not wait on what may hang.
  package typealias Check = @Sendable () async -> [String]

  /// Where it listens, with the port that it got.
  package var address: ListenAddress { server.address }
  private let server: HTTPServer

  /// Listens; answers from `run` on.
  ///
  /// - Parameters:
  ///   - subject: the flag or variable that the address comes from.
  ///   - liveness: why the process should be started anew.
  ///   - readiness: why it can't do its work at present.
  package init(
    at address: ListenAddress, subject: String, metrics: Metrics, limits: HTTPServer.Limits = HTTPServer.Limits(),
    liveness: @escaping Check = { [] }, readiness: @escaping Check
  ) throws(InputError) {
    let ready = Self.readyGauge(metrics)
    let isReady: Check = {
      let reasons = await readiness()
      ready.set(reasons.isEmpty ? 1 : 0)
      return reasons
    }
    server = try HTTPServer(at: address, subject: subject, limits: limits) { request in
      switch request.path {
      case "/metrics":
        _ = await isReady()
        return HTTPResponse(contentType: PrometheusText.contentType, body: Array(metrics.text().utf8))
      case "/livez": return Self.answer(await liveness(), well: "alive")
      case "/readyz": return Self.answer(await isReady(), well: "ready")
      default: return HTTPResponse(.notFound, text: "here are /metrics, /livez and /readyz")
      }
    }
  }

  /// What `/readyz` says, for Prometheus too: asked whenever metrics are read.
  package static func readyGauge(_ metrics: Metrics) -> Gauge {
    metrics.gauge("steerscope_ready", "1 while the process can do its work, 0 while /readyz says why not.")
  }

  /// Serves until its task is cancelled. Called once.
  package func run() async { await server.run() }

  private static func answer(_ reasons: [String], well: String) -> HTTPResponse {
    reasons.isEmpty
      ? HTTPResponse(text: well) : HTTPResponse(.unavailable, text: reasons.joined(separator: "\n"))
  }
}
