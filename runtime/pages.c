/* Memory that a step passes all of: in large pages where the system has them, for otherwise the place of each
 * small one is looked up again and again. */
#include "internal.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { LARGE_PAGE = 2 << 20, ALIGNMENT = 64 };

void *memory_pages(size_t size)
{
    size_t align = size < LARGE_PAGE ? ALIGNMENT : LARGE_PAGE;
    size = (size + align - 1) / align * align;
    void *memory = aligned_alloc(align, size ? size : align);
#ifdef MADV_HUGEPAGE
    if (memory && align == LARGE_PAGE)
        madvise(memory, size, MADV_HUGEPAGE);
#endif
    return memory;
}
