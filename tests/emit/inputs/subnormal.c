/* Products below 1.2e-38 become 0 within the model, on every thread, and the caller's mode is as before. */
#include <stdio.h>
#include <stdlib.h>

#include "tiny.h"

enum { EXAMPLES = 64 };

static float product(volatile float a, volatile float b)
{
    return a * b;
}

int main(void)
{
    static float x[EXAMPLES * 512], y[EXAMPLES * 512];
    for (int i = 0; i < EXAMPLES * 512; i++)
        x[i] = i % 2 ? 1e-20f : 1;
    void *memory = aligned_alloc(64, (tiny_bytes() + 63) / 64 * 64);
    tiny *m = tiny_init(memory, 1);
    tiny_predict(m, x, EXAMPLES, y);
    int zeros = 0, others = 0;
    for (int i = 0; i < EXAMPLES * 512; i++) {
        zeros += i % 2 && y[i] == 0;
        others += i % 2 == 0 && y[i] == 1e-20f;
    }
    printf("%d zeros, %d others, the caller's product %s\n", zeros, others,
           product(1e-20f, 1e-20f) > 0 ? "stays" : "is lost");
    free(memory);
    return 0;
}
