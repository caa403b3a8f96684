import Testing

@testable import Processor

#if arch(x86_64)
  @Test func everyMissingPartIsNamed() {
    #expect(CPUFeatures.names(of: 0).isEmpty)
    #expect(CPUFeatures.names(of: 2 | 4 | 8) == ["AVX2", "FMA", "F16C"])
    #expect(CPUFeatures.names(of: 127).count == 7)
  }
#endif

@Test func aMachineThatRunsTheKernelTestsLacksNothing() {
  #expect(CPUFeatures.missing().isEmpty)
  #expect(CPUFeatures.complaint == nil)
}
