internal import Storage

/// Tries again what failed for a passing reason: a busy database, a lost connection.
struct StoreRetry: Sendable {
  /// How often a call is tried in all; nil for no limit.
  var attempts: Int?
  /// The longest wait.
  var longest: Duration = .seconds(10)
  var time: Timekeeper
  var log: LogSink

  /// The body's result.
  ///
  /// - Parameter goOn: asked before each wait; false gives up.
  /// - Throws: what the body threw last, when it is not transient or the attempts are used up.
  func callAsFunction<Result>(
    _ what: String, while goOn: () -> Bool = { true }, _ body: () async throws -> Result
  ) async throws -> Result {
    var backoff = Backoff(longest: longest)
    while true {
      do {
        return try await body()
      } catch let error as StoreError where error.isTransient {
        let wait = backoff.failed(jitter: time.jitter())
        guard backoff.failures < attempts ?? .max, goOn() else { throw error }
        log(
          LogEntry(
            .warning, "the store failed, trying again",
            details: ["call": what, "error": error.description, "seconds": "\(wait.inSeconds)"]))
        try await time.sleep(wait)
      }
    }
  }
}
