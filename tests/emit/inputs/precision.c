/* How far the product of precision.nn is from the sum in f64, in parts of the sum of sizes: on average no more than a
 * chain of multiply-adds in f32 is, and on neither side more than on the other. */
#include "precision.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 256, COLUMNS = 256, DEPTH = 784 };

static float x[ROWS * DEPTH], y[ROWS * COLUMNS];

static float noise(void)
{
    static unsigned long long state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)(state >> 40) / (1 << 23) - 1;
}

static float *weights_of(char *instance)
{
    for (int i = 0; i < precision_model.tensor_count; i++)
        if (!strcmp(precision_model.tensors[i].name, "w"))
            return (float *)(instance + precision_model.tensors[i].offset);
    exit(2);
}

int main(void)
{
    char *memory = aligned_alloc(64, (precision_bytes() + 63) / 64 * 64);
    precision *model = precision_init(memory, 1);
    float *w = weights_of(memory);
    for (int i = 0; i < ROWS * DEPTH; i++)
        x[i] = noise();
    for (int i = 0; i < COLUMNS * DEPTH; i++)
        w[i] = noise();
    precision_predict(model, x, ROWS, y);
    double apart = 0, side = 0;
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLUMNS; j++) {
            double sum = 0, size = 0;
            for (int k = 0; k < DEPTH; k++) {
                const double product = (double)x[i * DEPTH + k] * w[j * DEPTH + k];
                sum += product;
                size += fabs(product);
            }
            apart += fabs(y[i * COLUMNS + j] - sum) / size / (ROWS * COLUMNS);
            side += (y[i * COLUMNS + j] - sum) / size / (ROWS * COLUMNS);
        }
    printf("%.2g apart, %.2g to one side\n", apart, side);
    free(memory);
    return apart > 3e-8 || fabs(side) > 1e-9;
}
