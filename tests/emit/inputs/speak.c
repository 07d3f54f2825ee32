/* Writes greedily, a token a call, and compares with the prediction for all of them at once. */
#include "speaker.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH = 12, TOKENS = 300 };

int main(void)
{
    static float all[LENGTH][TOKENS], logits[TOKENS];
    uint16_t x[LENGTH] = {7};
    void *memory = aligned_alloc(64, (SPEAKER_BYTES + 63) / 64 * 64);
    memset(memory, 0xff, SPEAKER_BYTES);
    speaker *m = speaker_init(memory, 3);
    int same = 0;
    for (size_t t = 0; t < LENGTH; t++) {
        speaker_generate(m, t, x[t], logits);
        for (int v = 1, best = 0; t + 1 < LENGTH && v < TOKENS; v++)
            if (logits[v] > logits[best])
                x[t + 1] = (uint16_t)(best = v);
        memcpy(all[t], logits, sizeof logits);
    }
    static float whole[LENGTH][TOKENS];
    speaker_predict(m, x, 1, whole[0]);
    for (int t = 0; t < LENGTH; t++)
        for (int v = 0; v < TOKENS; v++)
            same += fabsf(all[t][v] - whole[t][v]) <= 1e-5f;
    printf("%d of %d alike\n", same, LENGTH * TOKENS);
    logits[0] = 77;
    speaker_generate(m, LENGTH, 0, logits); /* there is no such position */
    speaker_generate(m, 0, TOKENS, logits); /* nor token */
    printf("%g\n", (double)logits[0]);
    free(memory);
    return 0;
}
