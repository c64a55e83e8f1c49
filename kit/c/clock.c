#include "deputy_kit.h"

#include "clock.h"

uint64_t now_ns(void) {
  wasi_clocks_wall_clock_datetime_t now;
  wasi_clocks_wall_clock_now(&now);
  return now.seconds * 1000000000 + now.nanoseconds;
}
