import Foundation
import SweepPlanning
import SweepRecords
import Testing

@Suite struct SweepResolverTests {
  @Test func theDocumentedExampleResolves() throws {
    let folder = try FixtureFolder.example()
    let resolution = try folder.resolve(exampleSweep)
    let sweep = resolution.sweep
    #expect(sweep.layers == [12, 15, 18])
    #expect(
      sweep.activations == .text(Digest(of: String(repeating: "a", count: 120_000)), tokens: 100_000, context: 128))
    #expect(sweep.behaviours[0].pairs == 200)
    #expect(sweep.behaviours[0].questionCount == 30)
    #expect(sweep.behaviours[1].vector == Digest(of: "vector"))
    // No more tokens than the text has.
    #expect(sweep.sideEffects?.tokens == 1500)
    #expect(sweep.saes.count == 3 * 5)
    #expect(
      sweep.saes.filter { $0.layer == 12 }.map(\.name)
        == ["trained-2048", "trained-4096", "16k/l0-83", "16k/l0-9", "65k/l0-70"])
    #expect(Set(resolution.inputs.keys).contains(Digest(of: "300")))
    #expect(resolution.inputs.values.allSatisfy { !$0.isEmpty })
    #expect(resolution.inputs.count == 6)
    #expect(try ResolvedSweep(canonicalJSON: sweep.canonicalJSON()) == sweep)
  }

  @Test func theSameFileResolvesTheSame() throws {
    let folder = try FixtureFolder.example()
    let twice = try (0..<2).map { _ in try folder.resolve(exampleSweep).sweep.canonicalJSON() }
    #expect(twice[0] == twice[1])
  }

  @Test func allMissingFilesAreListedAtOnce() throws {
    let folder = try FixtureFolder(["here.json": "9"])
    let errors = folder.resolveErrors(exampleSweep)
    for name in [
      "smollm2.gguf", "data/text.txt", "extract.json", "power/evaluate.json", "mine.safetensors", "mine.json",
      "neutral.txt",
    ] {
      #expect(errors.contains { $0.contains(name) && $0.contains("nothing there") }, "\(name) in \(errors)")
    }
    #expect(errors.contains { $0.hasPrefix("sweep.yaml:2: model.path") }, "\(errors)")
    #expect(errors.contains { $0.hasPrefix("sweep.yaml:5: behaviours.power-seeking.evaluate") }, "\(errors)")
  }

  @Test func missingSAEsAreListedAtOnce() throws {
    let folder = try FixtureFolder.example()
    let listed = exampleSweep.replacing("l0: all", with: "l0: [9, 10, 11]")
    let errors = folder.resolveErrors(listed)
    // 9 lies there for 16k only.
    #expect(errors.count == 3 * 2 + 3 * 3)
    #expect(errors.allSatisfy { $0.hasPrefix("sweep.yaml:9: saes.path") })
    let none = folder.resolveErrors(exampleSweep.replacing("params.npz", with: "other.npz"))
    #expect(none.count == 6)
    #expect(none.allSatisfy { $0.contains("files like gemma-scope/layer_") })
  }

  @Test func filesMustFitTheModel() throws {
    let folder = try FixtureFolder.example()
    #expect(
      folder.resolveErrors(exampleSweep, inspector: FakeInspector(layers: 13)).contains {
        $0.contains("layers from 0 to 12")
      })
    #expect(
      folder.resolveErrors(exampleSweep, inspector: FakeInspector(saeDimension: 2304))
        .contains { $0.contains("residual stream, d = 576, found d = 2304") })
    #expect(
      folder.resolveErrors(exampleSweep, inspector: FakeInspector(saeLayer: 12))
        .contains { $0.contains("expected an SAE of layer 15, found one that says it is of layer 12") })
    #expect(
      folder.resolveErrors(exampleSweep.replacing("[12, 15, 18]", with: "12-29")).contains {
        $0.contains("vector for layer 25")
      })
    #expect(
      folder.resolveErrors(
        exampleSweep.replacing("extract: data/power/extract.json", with: "extract: data/neutral.txt")
      )
      .contains { $0.contains("expected pairs") })
    #expect(
      folder.resolveErrors(exampleSweep.replacing("data/neutral.txt", with: "data/mine.json"))
        .contains { $0.contains("at least 16 tokens, found 2") })
    #expect(
      folder.resolveErrors(exampleSweep.replacing("extract: data/power/extract.json", with: "extract: data"))
        .contains { $0.contains("expected a file, found the directory") })
  }

  @Test func anSAEWithoutALayerInItsPathNeedsOne() throws {
    let folder = try FixtureFolder(["model": "m", "one.json": "5", "sae.npz": "s", "other/sae.npz": "t"])
    let yaml = minimalSweep("saes: {path: sae.npz}")
    #expect(folder.resolveErrors(yaml).first?.contains("expected {layer} in the path") == true)
    #expect(try folder.resolve(yaml, inspector: FakeInspector(saeLayer: 2)).sweep.saes.map(\.layer) == [2])
    #expect(
      folder.resolveErrors(yaml, inspector: FakeInspector(saeLayer: 5)).first?.contains("add 5 to layers") == true)
    let single = minimalSweep("saes: [{path: sae.npz}, {path: other/sae.npz}]", layers: "7")
    #expect(folder.resolveErrors(single).contains { $0.contains("\"sae.npz\" twice at layer 7") })
    #expect(try folder.resolve(minimalSweep("saes: {path: sae.npz}", layers: "7")).sweep.saes.map(\.layer) == [7])
  }

  @Test func locatorsAreThoseOfTheFilesFolder() throws {
    let shared = try FixtureFolder(["model": "shared", "saes/sae.npz": "s", "saes/width_16k/l0_5.npz": "t"])
    let folder = try FixtureFolder(["one.json": "5", "model": "beside"])
    let yaml = minimalSweep(
      "saes: [{path: saes/sae.npz}, {path: \"saes/width_{width}/l0_{l0}.npz\", widths: 16k}]", layers: "3")
    let sweep = try folder.resolve(yaml, filesFolder: shared.path).sweep
    #expect(sweep.model.locator == "model")
    #expect(sweep.model.reference.digest == Digest(of: "shared"))
    let locators = sweep.saes.map { if case .file(let file) = $0.source { file.locator } else { "" } }
    #expect(locators == ["saes/width_16k/l0_5.npz", "saes/sae.npz"])
    #expect(try folder.resolve(minimalSweep()).sweep.model.locator == folder.path + "/model")
  }

  @Test func aModelsDigestIsThatOfItsFiles() throws {
    let one = try FixtureFolder(["model/config.json": "{}", "model/model.safetensors": "w", "one.json": "5"])
    let other = try FixtureFolder([
      "model/config.json": "{}", "model/model.safetensors": "w", "model/README.md": "x", "one.json": "5",
    ])
    let changed = try FixtureFolder(["model/config.json": "{ }", "model/model.safetensors": "w", "one.json": "5"])
    let digests = try [one, other, changed].map { try $0.resolve(minimalSweep()).sweep.model.reference.digest }
    #expect(digests[0] == digests[1])
    #expect(digests[0] != digests[2])
  }
}
