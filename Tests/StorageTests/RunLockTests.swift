import Diagnostics
import Foundation
import Storage
import Testing

@Suite struct RunLockTests {
  @Test func `one run at a time has a database, by whatever name`() throws {
    let fixture = try StoreFixture()
    let link = fixture.folder.appending(path: "link.db").path
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: fixture.path)
    do {
      let lock = try RunLock(database: fixture.path)
      let error = #expect(throws: InputError.self) {
        _ = try RunLock(database: fixture.folder.path + "/./steerscope.db")
      }
      #expect(error?.found == "one (process \(ProcessInfo.processInfo.processIdentifier))")
      // Once the file is there, a link to it is the same.
      _ = try fixture.open()
      #expect(throws: InputError.self) { _ = try RunLock(database: link) }
      let other = try RunLock(database: fixture.folder.appending(path: "other.db").path)
      _ = consume other
      _ = consume lock
    }
    _ = try RunLock(database: fixture.path)
  }

  @Test func `a folder that is not there is named`() throws {
    let fixture = try StoreFixture()
    let error = #expect(throws: InputError.self) { _ = try RunLock(database: fixture.folder.path + "/none/a.db") }
    #expect(error?.found == "No such file or directory")
  }

  @Test func `locators are read`() throws {
    #expect(try StoreLocator(parsing: "sqlite:steerscope.db") == .standard)
    #expect(try StoreLocator(parsing: "sqlite:/a b/c.db") == .sqlite(path: "/a b/c.db"))
    let uri = "postgresql://user:secret@host/db"
    #expect(try StoreLocator(parsing: uri) == .postgresql(uri: uri))
    #expect(try StoreLocator(parsing: "postgres://h/d") == .postgresql(uri: "postgres://h/d"))
    for wrong in ["", "steerscope.db", "sqlite:", "sqlite:a\u{0}b", "mysql://user:secret@host/db", "SQLITE:a"] {
      let error = #expect(throws: InputError.self, "\(wrong)") { try StoreLocator(parsing: wrong) }
      #expect(error?.description.contains("secret") == false)
    }
  }
}
