/// Makes a sweep's tasks from its resolved form, piece by piece, so that no plan is ever in memory as a whole.
///
/// A pure function: the same sweep and cursor give the same tasks anywhere, so that a new leader goes on where another
/// stopped.
package protocol SweepExpander: Sendable {
  /// The tasks of a resolved sweep from a cursor on: about `limit` of them, dependencies in this piece or an earlier one.
  ///
  /// - Parameters:
  ///   - resolved: the resolved sweep as JSON, as it was submitted.
  ///   - cursor: 0 at first, then the `next` of the piece before.
  /// - Returns: the tasks, and the cursor of the next piece: larger than `cursor`, or nil when this was the last.
  func chunk(
    of resolved: String, from cursor: Int, limit: Int
  ) throws -> (tasks: [TaskDefinition], next: Int?)
}
