import Foundation
import Storage
import SweepRecords
import Testing

@testable import Reporting

/// The whole way from rows in SQL to words and a page.
struct PageTests {
  @Test func aRealisticSweepBecomesAPage() async throws {
    let sweep = try FakeSweep()
    let id = try await sweep.run(behaviours: [.init(FakeSweep.powerSeeking)], results: FakeSweep.realistic())
    let data = try await ReportData(reading: sweep.store, sweep: id)
    let page = HTMLReport(data, programVersion: "1.0.0").render()
    if let folder = ProcessInfo.processInfo.environment["STEERSCOPE_REPORT_SAMPLE"] {
      try Data(page.utf8).write(to: URL(fileURLWithPath: folder))
    }
    print(Verdict(data).text())
    #expect(page.contains("power-seeking"))
  }
}
extension FakeSweep.Behaviour { init(_ other: Self) { self = other } }
