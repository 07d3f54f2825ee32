/* Fits states to data with the object alone, in batches and passes as its header says. */
#include "scaled.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    enum { ROWS = 101 };
    static float x[ROWS][2], z[ROWS][2];
    static double sums[SCALED_FIT_SUMS];
    double squares = 0;
    scaled *m = scaled_init(aligned_alloc(64, (SCALED_BYTES + 63) / 64 * 64), 1);
    for (int i = 0; i < ROWS; i++) {
        x[i][0] = (float)(i % 10) * 1000;
        x[i][1] = 7;
    }
    for (int pass = 0; pass < SCALED_FIT_PASSES; pass++) {
        for (int i = 0; i < SCALED_FIT_SUMS; i++)
            sums[i] = 0;
        for (size_t at = 0; at < ROWS; at += SCALED_BATCH)
            scaled_fit(m, x[at], ROWS - at < SCALED_BATCH ? ROWS - at : SCALED_BATCH, sums);
        scaled_fitted(m, sums, ROWS);
    }
    scaled_predict(m, x[0], ROWS, z[0]);
    for (int i = 0; i < ROWS; i++)
        squares += (double)z[i][0] * z[i][0];
    printf("%d passes, variance %.4f, constant %g\n", SCALED_FIT_PASSES, squares / ROWS, (double)z[3][1]);
    return 0;
}
