/* The right to use the processor's matrix tiles, which Linux gives to a process that asks for it: their
 * state is eight kilobytes for each thread. */
#define _GNU_SOURCE
#include "emit/internal.h"

#include <sys/syscall.h>
#include <unistd.h>

/* arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA), of x86-64. */
enum { ARCH_PRCTL = 158, REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };

bool matrix_is_permitted(void)
{
#if defined __x86_64__ && defined __linux__
    return !syscall(ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA);
#else
    return false;
#endif
}
