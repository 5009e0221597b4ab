// For every machine of the architecture: SSE2 on x86-64, NEON on arm64, plain loops elsewhere.
#define NOVAFLOW_TARGET portable
#include "target.hpp"

namespace novaflow::trajopt {

extern const Target kPortable;
constexpr Target kPortable = portable::target("portable");

}  // namespace novaflow::trajopt
