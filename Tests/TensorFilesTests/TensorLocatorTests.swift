import TensorFiles
import Testing

struct TensorLocatorTests {
  @Test func splitsWhereTheFileEnds() throws {
    try withTemporaryFolder { folder in
      try save([0], folder + "/a")
      try save([0], folder + "/a:b")
      #expect(try TensorLocator(folder + "/a") == TensorLocator(path: folder + "/a"))
      #expect(try TensorLocator(folder + "/a:b") == TensorLocator(path: folder + "/a:b"))
      #expect(try TensorLocator(folder + "/a:b:c") == TensorLocator(path: folder + "/a:b", name: "c"))
      #expect(try TensorLocator(folder + "/a:x:y") == TensorLocator(path: folder + "/a", name: "x:y"))
      #expect(try TensorLocator(folder + "/a:x").description == folder + "/a:x")
      #expect(refusal { _ = try TensorLocator(folder + "/a:") }.contains("a name after the colon"))
      #expect(refusal { _ = try TensorLocator(folder + "/none:x") }.contains("no such file"))
      #expect(refusal { _ = try TensorLocator("") }.contains("no such file"))
    }
  }

  @Test func takesVectorsFromEveryFormat() throws {
    try withTemporaryFolder { folder in
      try save(npy([1, 2], shape: "(2,)"), folder + "/v.npy")
      try save(npy([1, 2], shape: "(1, 2)"), folder + "/row.npy")
      try save(npy([1, 2, 3, 4], shape: "(2, 2)"), folder + "/rows.npy")
      try save(ForeignFile.npzStored, folder + "/v.npz")
      try save(ForeignFile.safetensors, folder + "/v.safetensors")
      try save(ForeignFile.gguf, folder + "/v.gguf")
      func vector(_ text: String) throws -> [Float] { try TensorLocator("\(folder)/\(text)").vector() }
      #expect(try vector("v.npy") == [1, 2])
      #expect(try vector("row.npy") == [1, 2])
      #expect(try vector("rows.npy:1") == [3, 4])
      #expect(try vector("rows.npy:layer.0") == [1, 2])
      #expect(try vector("v.npz:v") == [1, 2, 3])
      #expect(try vector("v.safetensors:v") == [1, 2])
      #expect(try vector("v.gguf:direction.1") == [1, 2, 3])
      #expect(try vector("v.gguf:layer.2") == [-1, 0.5, 2])
      #expect(try vector("v.gguf:m[1]") == [3, 4, 5])
    }
  }

  @Test func aTensorOfTheNameGoesBeforeARow() throws {
    try withTemporaryFolder { folder in
      var writer = SafetensorsWriter()
      try writer.add("layer.1", shape: [2, 1], floats: [5, 6])
      try writer.write(to: folder + "/f")
      #expect(refusal { _ = try TensorLocator(folder + "/f:layer.1").vector() }.contains("f:layer.1[0]"))
      #expect(try TensorLocator(folder + "/f:layer.0").vector() == [5])
      #expect(try TensorLocator(folder + "/f:layer.1[1]").vector() == [6])
    }
  }

  @Test func refusalsSayWhatThereIs() throws {
    try withTemporaryFolder { folder in
      try save(npy([1, 2, 3, 4], shape: "(2, 2)"), folder + "/rows.npy")
      try save(npy([1, .nan], shape: "(2,)"), folder + "/nan.npy")
      try save(npy([], shape: "(0,)"), folder + "/empty.npy")
      try save(npy([1], shape: "()"), folder + "/scalar.npy")
      try save(ForeignFile.npzStored, folder + "/v.npz")
      try save([1, 2, 3, 4, 5, 6, 7, 8, 9], folder + "/v.pt")
      func message(_ text: String, width: Int? = nil) -> String {
        refusal { _ = try TensorLocator("\(folder)/\(text)").vector(width: width) }
      }
      #expect(message("rows.npy").contains("rows.npy:0 to"))
      #expect(message("rows.npy:2").contains("a row of the tensor, found shape [2, 2]"))
      #expect(message("rows.npy:-1").contains("has no name"))
      #expect(message("rows.npy:x").contains("name a row"))
      #expect(message("rows.npy:99999999999999999999").contains("name a row"))
      #expect(message("rows.npy:1", width: 3).contains("vectors of 3 numbers, found shape [2, 2]"))
      #expect(message("nan.npy").contains("nan at element 1"))
      #expect(message("empty.npy").contains("not empty"))
      #expect(message("scalar.npy").contains("one vector, found shape []"))
      #expect(message("v.npz").contains(#"found "v", "n"; name one of them"#))
      #expect(message("v.npz:w").contains(#"found "v", "n""#))
      #expect(message("v.npz:n").contains("shape []"))
      #expect(message("v.npz:v[0]").contains("found shape [3]"))
      #expect(message("v.pt").contains(".npy, .npz, .safetensors or .gguf"))
    }
  }

  @Test func takesMatrices() throws {
    try withTemporaryFolder { folder in
      try save(npy((0..<8).map(Float.init), shape: "(2, 2, 2)"), folder + "/stack.npy")
      try save(npy([1, 2, 3, 4, 5, 6], shape: "(3, 2)"), folder + "/m.npy")
      let matrix = try TensorLocator(folder + "/m.npy").matrix(width: 2)
      #expect(matrix.rows == 3 && matrix.columns == 2 && matrix.values == [1, 2, 3, 4, 5, 6])
      let slice = try TensorLocator(folder + "/stack.npy:layer.1").matrix()
      #expect(slice.rows == 2 && slice.values == [4, 5, 6, 7])
      #expect(refusal { _ = try TensorLocator(folder + "/m.npy").matrix(width: 3) }.contains("vectors of 3"))
      #expect(refusal { _ = try TensorLocator(folder + "/stack.npy").matrix() }.contains("a matrix [n, d]"))
      #expect(refusal { _ = try TensorLocator(folder + "/m.npy:1").matrix() }.contains("a matrix [n, d]"))
    }
  }
}
