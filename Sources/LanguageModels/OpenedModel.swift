internal import Diagnostics
internal import Synchronization
internal import TensorFiles

/// A model's files, mapped, and what they describe.
struct OpenedModel: Sendable {
  let architecture: ModelArchitecture
  let collections: [any TensorCollection]

  init(_ files: ModelFiles) throws(InputError) {
    guard let configuration = files.configuration else {
      let file = try GGUFFile(path: files.weights[0])
      architecture = try .gguf(file)
      collections = [file]
      return
    }
    architecture = try .huggingFace(try .json(path: configuration))
    var collections: [any TensorCollection] = []
    for path in files.weights { collections.append(try SafetensorsFile(path: path)) }
    self.collections = collections
  }
}

/// Of errors that threads meet, the one with the lowest index, so that a message does not depend on threads.
final class FirstFailure: Sendable {
  private let state = Mutex<(index: Int, error: InputError)?>(nil)

  var first: InputError? { state.withLock { $0?.error } }

  func note(_ error: InputError, at index: Int) {
    state.withLock { noted in
      if noted.map({ index < $0.index }) ?? true { noted = (index, error) }
    }
  }
}
