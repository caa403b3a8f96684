import OrchestrationSupport
import Testing

extension SweepWorld {
  /// Expects that every task of the standard sweep was done exactly once, with the results of an undisturbed run.
  func expectAsUndisturbed(_ location: SourceLocation = #_sourceLocation) async throws {
    let difference = try await difference()
    #expect(difference == nil, sourceLocation: location)
  }
}
