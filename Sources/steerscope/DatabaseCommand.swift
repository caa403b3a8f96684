internal import ArgumentParser
internal import Storage

/// `database`: the schema of the store.
struct DatabaseCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "database", abstract: "Shows and updates the database's schema.",
    subcommands: [Migrate.self, Status.self])

  /// `database migrate`: SQLite migrates by itself when it is opened.
  struct Migrate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "migrate", abstract: "Brings the schema up to date; makes the database where there is none.")

    func run() async throws {
      let store = try OpenStore.file(creating: true)
      Terminal.say("\(store.path): schema version \(try await store.schemaVersion())")
    }
  }

  /// `database status`: version and size.
  struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "status", abstract: "Shows schema version and size.")

    func run() async throws {
      let store = try OpenStore.file()
      let counts = try await store.counts()
      Terminal.result("database: \(store.path)\nschema version: \(try await store.schemaVersion())\n")
      Terminal.result("sweeps: \(counts.sweeps.values.reduce(0, +)), tasks: \(counts.tasks.values.reduce(0, +)), ")
      Terminal.result(
        "artifacts: \(counts.artifacts) (\(counts.artifactBytes) bytes), file: \(counts.databaseBytes) bytes\n")
    }
  }
}
