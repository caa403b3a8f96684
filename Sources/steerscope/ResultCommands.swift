internal import ArgumentParser
internal import Diagnostics
internal import Reporting
internal import Storage

/// `report`: one self-contained page.
struct ReportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report", abstract: "Writes one self-contained page: verdict, plots, tables, provenance.")

  @Argument(help: "A sweep's name or id; the newest unless said.") var sweep: String?
  @Option(name: .shortAndLong, help: "The HTML file to write.") var output: String

  func run() async throws {
    try Outputs.check(file: output)
    let store = try await OpenStore.open()
    let summary = try await OpenStore.sweep(sweep, in: store)
    let data = try await ReportData(reading: store, sweep: summary.id)
    try HTMLReport(data, programVersion: Version.number).write(to: output)
    Terminal.say("wrote \(output)")
  }
}

/// `query`: read-only SQL on the results.
struct QueryCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "query", abstract: "Runs one statement of read-only SQL on the results.",
    discussion: "Views: steering_curve, steerability, faithfulness, bias_dominance, negative_projections, best_method, "
      + "sweep_progress, worker_activity, parked_task.")

  @Argument(help: "The statement: 'SELECT * FROM faithfulness'.") var sql: String
  @Option(help: "table, json or csv.") var format = OutputFormat.table
  @Option(parsing: .unconditional, help: "At most so many rows.") var limit = 100_000

  func run() async throws {
    let limit = min(try Lists.count(limit, flag: "--limit"), 100_000_000)
    let store = try await OpenStore.open()
    let result = try await store.query(sql, limits: QueryLimits(rows: limit))
    Terminal.result(TerminalTable(result).render(as: format, width: Terminal.isResultTerminal ? Terminal.width : nil))
    if result.isTruncated, format != .table { Terminal.say("there is more than \(limit) rows: give a larger --limit") }
  }
}

/// `export`: the views as CSV, vectors and reconstructions as safetensors.
struct ExportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export", abstract: "Writes the views as CSV, and vectors and reconstructions as safetensors.")

  @Argument(help: "A sweep's name or id; the newest unless said.") var sweep: String?
  @Option(name: .shortAndLong, help: "The folder to write.") var output: String

  func run() async throws {
    try Outputs.check(directory: output)
    let store = try await OpenStore.open()
    let summary = try await OpenStore.sweep(sweep, in: store)
    let files = try await SweepExport(store: store, sweep: summary.id).write(to: output)
    for file in files { Terminal.say("wrote \(output)/\(file.path)") }
  }
}
