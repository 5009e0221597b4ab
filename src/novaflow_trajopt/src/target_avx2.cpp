// Compiled with AVX2 and FMA; called only where the processor has both.
#define NOVAFLOW_TARGET avx2
#include "target.hpp"

namespace novaflow::trajopt {

extern const Target kAvx2;
constexpr Target kAvx2 = avx2::target("avx2");

}  // namespace novaflow::trajopt
