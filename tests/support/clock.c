/* Puts the wall clock of one process ahead, by as many seconds as a file says: to be preloaded. The monotonic clock
   stays what it is, as when somebody sets the clock of a machine. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile long *ahead;

__attribute__((constructor)) static void begin(void) {
  const char *file = getenv("CLOCK_AHEAD");
  int opened = file ? open(file, O_RDONLY) : -1;
  void *seconds = mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, opened, 0);
  if (seconds == MAP_FAILED)
    abort();
  ahead = seconds;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  long status = syscall(SYS_clock_gettime, clock, now);
  if (status == 0 && clock == CLOCK_REALTIME && ahead)
    now->tv_sec += *ahead;
  return (int)status;
}
