import TensorFiles
import Testing

struct NpyTests {
  private func read(_ bytes: [UInt8]) throws -> TensorView {
    try NpyFile(ByteSource(bytes, name: "x.npy")).array
  }

  @Test func readsWhatNumpyWrites() throws {
    let matrix = try read(ForeignFile.npyFloat32)
    #expect(matrix.shape == [2, 3])
    #expect(try matrix.floats() == [1.5, -2, 3, 4, 5, 6.25])
    #expect(try read(ForeignFile.npyFloat64Version2).floats() == [1, -1, 0.1])
    #expect(refusal { _ = try read(ForeignFile.npyFortran) }.contains("ascontiguousarray"))
  }

  @Test(arguments: ["<f8", "<f4", "<f2", "<i8", "<i4", "<i2", "|i1", "<u8", "<u4", "<u2", "|u1", "|b1"])
  func readsEveryType(descr: String) throws {
    let width = descr == "|b1" ? 1 : Int(String(descr.last!))!
    let file = npy(
      "{'shape':(2,1),\"descr\":'\(descr)','fortran_order':False}", data: [UInt8](repeating: 0, count: 2 * width))
    let array = try read(file)
    #expect(array.elementCount == 2)
    if descr.contains("f") {
      #expect(try array.floats() == [0, 0])
      #expect(refusal { _ = try array.integers() }.contains("expected integers"))
    } else {
      #expect(try array.integers() == [0, 0])
      #expect(refusal { _ = try array.floats() }.contains("convert the tensor to float32"))
    }
  }

  @Test func readsScalarsLongPythonNumbersAndOneDimensionInFortranOrder() throws {
    let scalar = npy("{'descr': '<f4', 'fortran_order': False, 'shape': ()}", data: bytes([3] as [Float]), version: 3)
    #expect(try read(scalar).shape == [])
    #expect(try read(scalar).floats() == [3])
    let vector = npy(
      "{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2L, 1), }\n", data: bytes([3, 4] as [Float]))
    #expect(try read(vector).floats() == [3, 4])
  }

  @Test(arguments: [
    ("{'descr': '>f4', 'fortran_order': False, 'shape': (2,)}", "'>f4'"),
    ("{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", "'<c8'"),
    ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}", "structured"),
    ("{'descr': '|O', 'fortran_order': False, 'shape': (2,)}", "'|O'"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", "shape [3]"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", "found 8"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", "whole number"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387906,)}", "shape"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", "below 2^63"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1", "')'"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': 2}", "'('"),
    ("{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}", "True or False"),
    ("{'descr': '<f4', 'fortran_order': ", "True or False"),
    ("{'descr': '<f4', 'shape': (2,)}", "with descr, fortran_order and shape"),
    ("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", "each once"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}", "each once"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} + 1", "nothing after"),
    ("{'descr': '<f\\x34', 'fortran_order': False, 'shape': (2,)}", "plain text"),
    ("{'descr': '<f4", "end of a string"), ("__import__('os')", "'{'"), ("", "'{'"),
  ])
  func refusesHeaders(header: String, words: String) {
    let message = refusal { _ = try read(npy(header, data: bytes([1, 2] as [Float]))) }
    #expect(message.hasPrefix("x.npy") && message.contains(words), "\(message)")
  }

  @Test func refusesOtherFilesVersionsAndLengths() {
    #expect(refusal { _ = try read([]) }.contains("numpy array"))
    #expect(refusal { _ = try read(Array("PK and more bytes".utf8)) }.contains("numpy array"))
    #expect(refusal { _ = try read(npy("{}", version: 4)) }.contains("version 4"))
    #expect(refusal { _ = try read(npy("{}  ", length: 5)) }.contains("5 bytes"))
    #expect(refusal { _ = try read(npy("{}", version: 2, length: 0xffff_ffff)) }.contains("4294967295 bytes"))
  }

  @Test func refusesEveryTruncation() {
    let whole = ForeignFile.npyFloat32
    for length in whole.indices {
      #expect(refusal { _ = try read(Array(whole[..<length])) }.hasPrefix("x.npy"))
    }
  }
}
