import Diagnostics
import Foundation
import Storage
import SweepRecords
import TensorFiles
import Testing

@testable import Reporting

struct ExportTests {
  @Test func everythingIsWrittenAndTwiceTheSame() async throws {
    let sweep = try FakeSweep()
    var results = FakeSweep.realistic()
    results[2].result.artifacts = [Artifact(name: "vectors", bytes: [1, 2, 3])]
    results[3].result.artifacts = [Artifact(name: "reconstructions", bytes: [4, 5])]
    let id = try await sweep.run(behaviours: [FakeSweep.powerSeeking, FakeSweep.sentiment], results: results)
    let folder = sweep.folder.appending(path: "out").path
    let export = SweepExport(store: sweep.store, sweep: id)
    let files = try await export.write(to: folder)
    let names = files.map(\.path)
    #expect(names.contains("steering_curve.csv") && names.contains("best_method.csv") && names.contains("sae.csv"))
    #expect(names.contains { $0.hasPrefix("vectors/vectors-2-") && $0.hasSuffix(".safetensors") })
    #expect(names.contains { $0.hasPrefix("reconstructions/decompose-3-") })
    for file in files {
      let bytes = try Data(contentsOf: URL(fileURLWithPath: folder + "/" + file.path))
      #expect(bytes.count == file.bytes)
    }
    let curve = try String(contentsOfFile: folder + "/steering_curve.csv", encoding: .utf8)
    #expect(curve.hasPrefix("sweep,sweep_id,behaviour,layer,variant,"))
    let rows = try #require(files.first { $0.path == "steering_curve.csv" }?.rows)
    #expect(curve.split(separator: "\n").count == rows + 1)
    let expected = try await sweep.store.query("SELECT count(*) FROM evaluation", limits: QueryLimits()).rows
    #expect(expected == [[.integer(rows)]])
    #expect(try await export.write(to: folder) == files)
    #expect(try String(contentsOfFile: folder + "/steering_curve.csv", encoding: .utf8) == curve)
  }

  /// The first step has no beginning: it reads so in the table, and the chart begins at its own left edge.
  @Test func theCoefficientAxisBeginsAtMinusInfinity() async throws {
    var writer = SafetensorsWriter()
    let name = "\(FakeSweep.powerSeeking.name)/coefficient-axis/"
    try writer.add(name + "starts", shape: [4], floats: [-.greatestFiniteMagnitude, -0.5, 0.25, 5000])
    try writer.add(name + "l0", shape: [4], integers: [7, 5, 9, 11])
    try writer.add(name + "zero-overlap", shape: [4], floats: [0.5, .nan, 1, 0.25])
    let file = try SafetensorsFile(bytes: writer.bytes(), name: "axis")
    let axis = try #require(try CoefficientAxisRow(file, behaviour: FakeSweep.powerSeeking.name, sae: "s"))
    #expect(axis.csv == "from_coefficient,l0,zero_overlap\n-inf,7,0.5\n-0.5,5,\n0.25,9,1.0\n5000.0,11,0.25\n")
    let places: [Float] = [-.infinity, -.greatestFiniteMagnitude, -3, -0.5, 0.2, 0.25, .greatestFiniteMagnitude]
    #expect(places.map { axis.step(at: $0) } == [0, 0, 0, 1, 1, 2, 3])

    let sweep = try FakeSweep()
    var results = FakeSweep.realistic([FakeSweep.powerSeeking])
    let place = try #require(results.firstIndex { $0.kind == .decompose })
    results[place].result.artifacts = [Artifact(name: "reconstructions", bytes: writer.bytes())]
    let id = try await sweep.run(behaviours: [FakeSweep.powerSeeking], results: results)
    let folder = sweep.folder.appending(path: "out").path
    let files = try await SweepExport(store: sweep.store, sweep: id).write(to: folder)
    let table = try #require(files.first { $0.path.hasPrefix("coefficient_axis/") })
    #expect(table.rows == 4)
    #expect(try String(contentsOfFile: folder + "/" + table.path, encoding: .utf8) == axis.csv)

    let page = HTMLReport(try await ReportData(reading: sweep.store, sweep: id), programVersion: "1.0.0").render()
    let start = try #require(page.range(of: "How far does the coefficient matter to the encoder?")?.lowerBound)
    let chart = page[start...].prefix { $0 != "\u{0}" }.components(separatedBy: "</figure>")[0]
    #expect(chart.contains("2 steps"))
    #expect(chart.contains("<path") || chart.contains("<polyline"))
    #expect(chart.firstMatch(of: /[\s",>](-?inf|nan|[-.0-9]+e\+?38)\b/) == nil)
  }

  @Test func aFolderThatCannotBeMadeIsNamed() async throws {
    let sweep = try FakeSweep()
    let id = try await sweep.run(behaviours: [], results: [])
    let blocked = sweep.folder.appending(path: "steerscope.db").path + "/x"
    await #expect(throws: InputError.self) {
      _ = try await SweepExport(store: sweep.store, sweep: id).write(to: blocked)
    }
  }

  @Test func titlesBecomeHarmlessFileNames() {
    #expect(SweepExport.fileName("decompose 16k/l0-83, layer 14") == "decompose-16k-l0-83-layer-14")
    #expect(SweepExport.fileName("../../etc/passwd") == "etc-passwd")
    #expect(SweepExport.fileName("漢字") == "unnamed")
    #expect(SweepExport.fileName(String(repeating: "x", count: 300)).count == 80)
  }
}
