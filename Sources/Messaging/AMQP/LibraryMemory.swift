internal import CRabbitMQ

/// Strings and tables in C memory that lives for the length of a call of the library, which Swift's own
/// temporaries do not outlive.
final class LibraryMemory {
  private var blocks: [UnsafeMutableRawPointer] = []

  private init() {}

  deinit { for block in blocks { block.deallocate() } }

  /// Memory for the length of a call.
  static func lend<Result>(_ body: (LibraryMemory) -> Result) -> Result {
    let memory = LibraryMemory()
    return withExtendedLifetime(memory) { body(memory) }
  }

  func bytes(_ text: String) -> amqp_bytes_t {
    let utf8 = Array(text.utf8)
    guard !utf8.isEmpty else { return amqp_empty_bytes }
    let block = UnsafeMutableRawPointer.allocate(byteCount: utf8.count, alignment: 1)
    blocks.append(block)
    block.copyMemory(from: utf8, byteCount: utf8.count)
    return amqp_bytes_t(len: utf8.count, bytes: block)
  }

  func table(_ entries: [amqp_table_entry_t]) -> amqp_table_t {
    guard !entries.isEmpty else { return amqp_empty_table }
    let memory = UnsafeMutablePointer<amqp_table_entry_t>.allocate(capacity: entries.count)
    memory.initialize(from: entries, count: entries.count)
    blocks.append(UnsafeMutableRawPointer(memory))
    return amqp_table_t(num_entries: Int32(entries.count), entries: memory)
  }

  func entry(_ name: String, text: String) -> amqp_table_entry_t {
    var entry = entry(name, AMQP_FIELD_KIND_UTF8)
    entry.value.value.bytes = bytes(text)
    return entry
  }

  func entry(_ name: String, number: Int32) -> amqp_table_entry_t {
    var entry = entry(name, AMQP_FIELD_KIND_I32)
    entry.value.value.i32 = number
    return entry
  }

  func entry(_ name: String, flag: Bool) -> amqp_table_entry_t {
    var entry = entry(name, AMQP_FIELD_KIND_BOOLEAN)
    entry.value.value.boolean = flag ? 1 : 0
    return entry
  }

  func entry(_ name: String, table: amqp_table_t) -> amqp_table_entry_t {
    var entry = entry(name, AMQP_FIELD_KIND_TABLE)
    entry.value.value.table = table
    return entry
  }

  private func entry(_ name: String, _ kind: amqp_field_value_kind_t) -> amqp_table_entry_t {
    var entry = amqp_table_entry_t()
    entry.key = bytes(name)
    entry.value.kind = UInt8(kind.rawValue)
    return entry
  }
}

extension String {
  /// Copies text of the library's, which anyone may have written.
  init(_ bytes: amqp_bytes_t) {
    guard let start = bytes.bytes, bytes.len > 0 else {
      self = ""
      return
    }
    self = String(decoding: UnsafeRawBufferPointer(start: start, count: bytes.len), as: UTF8.self)
  }
}
