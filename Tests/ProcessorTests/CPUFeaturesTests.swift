import Testing

@testable import Processor

#if arch(x86_64)
  @Test func everyMissingPartIsNamed() {
    #expect(CPUFeatures.names(of: 0).isEmpty)
    #expect(CPUFeatures.names(of: 2 | 4 | 8) == ["AVX2", "FMA", "F16C"])
    #expect(CPUFeatures.names(of: 127).count == 7)
    #expect(CPUFeatures.names(of: 4095).suffix(5) == ["AVX-512F", "AVX-512BW", "AVX-512CD", "AVX-512DQ", "AVX-512VL"])
  }
#endif

@Test func aMachineThatRunsTheKernelTestsLacksNothing() {
  #expect(CPUFeatures.missing().isEmpty)
  #expect(CPUFeatures.complaint == nil)
  #expect(["x86-64-v3", "x86-64-v4", "arm64"].contains(CPUFeatures.level))
}
