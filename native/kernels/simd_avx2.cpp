// The inner loops for x86-64 with AVX2 and FMA (2013 on).
#include "kernels/table.hpp"

#if WEFT_MULTIVERSION
#define WEFT_ISA avx2
#define WEFT_VECTOR_BYTES 32
#define WEFT_TILE_ROWS 6
#define WEFT_TILE_VECTORS 2

WEFT_TARGET_BEGIN(WEFT_TARGET_AVX2)
#include "kernels/simd.inc"
//
#include "kernels/gemm.inc"
WEFT_TARGET_END
#endif
