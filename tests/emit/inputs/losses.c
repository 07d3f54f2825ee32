/* Trains mnist_cnn on made-up images, and prints the losses of some steps. */
#include "mnist_cnn.h"
#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 3, EXAMPLES = 9, PIXELS = 28 * 28 }; /* rows that fill no vector; an emulator is slow */

static uint8_t image[EXAMPLES * PIXELS], label[EXAMPLES];

int main(void)
{
    mnist_cnn *m = mnist_cnn_init(aligned_alloc(64, (mnist_cnn_bytes() + 63) / 64 * 64), 1);
    uint32_t state = 1;
    for (int step = 0; step < STEPS; step++) {
        const size_t examples = EXAMPLES - step;
        for (size_t i = 0; i < examples; i++) {
            label[i] = (uint8_t)(i % 10);
            for (int k = 0; k < PIXELS; k++) {
                state = state * 1664525u + 1013904223u;
                image[i * PIXELS + k] = (uint8_t)((state >> 24) * (k % 10 == label[i]));
            }
        }
        printf("%.7f\n", mnist_cnn_step(m, image, label, examples));
    }
    free(m);
    return 0;
}
