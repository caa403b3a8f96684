internal import Diagnostics
internal import Foundation
internal import Messaging
internal import Orchestration
internal import Storage
internal import SweepPlanning

/// What the environment says.
enum Settings {
  /// `STEERSCOPE_FILES`: the folder under which relative model and SAE locators lie.
  static func filesFolder() throws(InputError) -> String? { try value("STEERSCOPE_FILES") }

  /// Where a locator leads on this machine.
  static func path(of locator: String) throws(InputError) -> String {
    locator.hasPrefix("/") ? locator : try filesFolder().map { $0 + "/" + locator } ?? locator
  }

  /// `STEERSCOPE_DATABASE`, or a SQLite file in the working folder.
  static func database() throws(InputError) -> StoreLocator {
    guard let text = try value("STEERSCOPE_DATABASE") else { return .standard }
    return try StoreLocator(parsing: text)
  }

  /// `STEERSCOPE_BROKER`: where messages go; nil where none is set.
  static func broker() throws(InputError) -> AMQPSettings? {
    guard let text = try value("STEERSCOPE_BROKER") else { return nil }
    return try AMQPSettings(parsing: text, subject: "STEERSCOPE_BROKER")
  }

  /// A variable, or the content of the file that the same name with `_FILE` gives; nil where neither is set.
  static func value(_ name: String) throws(InputError) -> String? {
    let environment = Terminal.environment
    if let value = environment[name], !value.isEmpty {
      Secrets.learn(from: value)
      return value
    }
    guard let path = environment[name + "_FILE"], !path.isEmpty else { return nil }
    guard let data = FileManager.default.contents(atPath: path) else {
      throw InputError(name + "_FILE", expected: "a readable file", found: path.debugDescription)
    }
    let value = String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    guard !value.isEmpty else {
      throw InputError(name + "_FILE", expected: "a file with the value of \(name)", found: "nothing in \(path)")
    }
    Secrets.learn(from: value)
    return value
  }

  /// This user's cache folder for the program; nil where there is none.
  static var cacheFolder: String? {
    let environment = Terminal.environment
    let cache = environment["XDG_CACHE_HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil }
    return (cache ?? environment["HOME"].map { $0 + "/.cache" }).map { $0 + "/steerscope" }
  }

  /// Where digests of large files are remembered between runs.
  static var digestMemory: DigestMemory {
    DigestMemory(file: cacheFolder.map { $0 + "/digests.json" }) { path throws(InputError) in
      try ContentDigest.of(path: path)
    }
  }
}
