import Foundation
import Schemas
import Testing

@Test func `the list of migrations is the folder's`() throws {
  let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../../schemas")
  let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix("_sqlite.sql") }
    .sorted()
  #expect(files == Schemas.sqliteMigrations.map(\.file))
  for migration in Schemas.sqliteMigrations {
    #expect(try String(contentsOf: folder.appending(path: migration.file), encoding: .utf8) == migration.sql)
  }
}
