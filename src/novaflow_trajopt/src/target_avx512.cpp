// Compiled with AVX-512 F, DQ and VL; called only where the processor has them.
#define NOVAFLOW_TARGET avx512
#include "target.hpp"

namespace novaflow::trajopt {

extern const Target kAvx512;
constexpr Target kAvx512 = avx512::target("avx512");

}  // namespace novaflow::trajopt
