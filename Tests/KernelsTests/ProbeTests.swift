import Kernels
import Testing
@Test func fma() { var c: [Float] = Array(repeating: 1, count: 16); let a = c; var s = c.mutableSpan; probe(a.span, a.span, into: &s); #expect(c[3] == 2) }
