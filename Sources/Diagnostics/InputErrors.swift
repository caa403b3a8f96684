/// Several things wrong with one input, reported together so that a user mends them in one go.
package struct InputErrors: Error, Sendable, Equatable, CustomStringConvertible {
  /// At least one error, in the order of the input.
  package var errors: [InputError]

  package init(_ errors: [InputError]) { self.errors = errors }

  /// One line an error.
  package var description: String { errors.map(\.description).joined(separator: "\n") }
}
