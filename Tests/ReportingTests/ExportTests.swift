import Diagnostics
import Foundation
import Storage
import SweepRecords
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
