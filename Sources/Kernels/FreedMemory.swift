internal import CAllocator

/// Has the C library keep freed memory for what is allocated next, up to a quarter of a gigabyte, instead of giving it back to the
/// system after every large result: each page that comes back must be mapped and cleared again, a tenth of a prompt's time.
///
/// For programs whose main work these kernels are; once, at the start. Nothing happens where the C library is not glibc.
package func keepFreedMemory() { allocator_keep(32 << 20, 256 << 20) }
