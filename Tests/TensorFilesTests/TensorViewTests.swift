import Kernels
import TensorFiles
import Testing

struct TensorViewTests {
  private func view(_ values: [Float], _ shape: [Int], name: String = "t") throws -> TensorView {
    var writer = SafetensorsWriter()
    try writer.add(name, shape: shape, floats: values)
    return try SafetensorsFile(bytes: writer.bytes(), name: "x.safetensors").tensor(named: name)
  }

  @Test func copiesRows() throws {
    let tensor = try view((0..<12).map(Float.init), [3, 2, 2])
    #expect(tensor.rowCount == 3 && tensor.elementsPerRow == 4)
    #expect(try tensor.floats(rows: 1..<3) == (4..<12).map(Float.init))
    #expect(try tensor.floats(rows: 2..<2) == [])
    var room = [Float](repeating: -1, count: 4)
    var span = room.mutableSpan
    try tensor.copyFloats(rows: 2..<3, into: &span)
    #expect(room == [8, 9, 10, 11])
    #expect(tensor.withBytes(rows: 0..<1) { $0.byteCount } == 16)
  }

  @Test func copiesRowsOfBlocks() throws {
    var builder = GGUFBuilder()
    let half: [UInt8] = [0x00, 0x3c]  // 1
    let block = { (first: UInt8) in half + [first] + [UInt8](repeating: 0, count: 31) }
    builder.tensor("q", [32, 2], type: 8, block(5) + block(251))
    let tensor = try GGUFFile(ByteSource(builder.finished(), name: "m")).tensor(named: "q")
    #expect(try tensor.floats(rows: 1..<2) == [-5] + [Float](repeating: 0, count: 31))
    var room = [Float](repeating: 1, count: 32)
    var span = room.mutableSpan
    try tensor.copyFloats(rows: 0..<1, into: &span)
    #expect(room == [5] + [Float](repeating: 0, count: 31))
  }

  @Test func namesTheElementThatIsNotFinite() throws {
    let tensor = try view([1, 2, 3, 4, 5, .nan], [3, 2])
    #expect(try tensor.floats().count == 6)
    #expect(
      refusal { _ = try tensor.floats(requireFinite: true) }
        == #"x.safetensors: tensor "t": expected finite numbers, found nan at element 5"#)
    #expect(refusal { _ = try tensor.floats(rows: 2..<3, requireFinite: true) }.contains("element 5"))
    #expect(try tensor.floats(rows: 0..<2, requireFinite: true) == [1, 2, 3, 4])
  }

  @Test func refusesOtherShapesAndTypes() throws {
    let tensor = try view([1, 2, 3, 4, 5, 6], [3, 2])
    try tensor.require(shape: [3, 2])
    try tensor.require(shape: [nil, 2])
    #expect(
      refusal { try tensor.require(shape: [nil, 3], meaning: "[n, d]") }
        == #"x.safetensors: tensor "t": expected shape [n, d] = [any, 3], found [3, 2]"#)
    #expect(refusal { try tensor.require(shape: [6]) }.contains("expected shape [6]"))
    var writer = SafetensorsWriter()
    try writer.add("i", shape: [1], integers: [3])
    try writer.add("u", type: .integer(.uint64), shape: [1], bytes: bytes(UInt64.max))
    let file = try SafetensorsFile(bytes: writer.bytes(), name: "m")
    var room: [Float] = [0]
    #expect(
      refusal {
        var span = room.mutableSpan
        try file.tensor(named: "i").copyFloats(rows: 0..<1, into: &span)
      }.contains("found I64"))
    #expect(refusal { _ = try file.tensor(named: "u").integers() }.contains("a larger one"))
  }
}
