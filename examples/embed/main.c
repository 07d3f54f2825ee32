/* A network inside another program: iris.nn, compiled to an object and a header, trained and asked
 * for predictions with nothing else — no runtime, no allocation but the block brought here.
 *
 *     iris_embedded ../data/iris.csv
 */
#include "iris.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FLOWERS = 150, FEATURES = 4, SPECIES = 3, BATCH = 16, HELD_OUT = 30, EPOCHS = 60 };

static const char *const names[SPECIES] = {"setosa", "versicolor", "virginica"};

typedef struct Flowers {
    float measures[FLOWERS][FEATURES]; /* (flower, feature) */
    uint8_t species[FLOWERS];
    int count;
} Flowers;

static int species_of(const char *name)
{
    for (int i = 0; i < SPECIES; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

static int read_flowers(Flowers *f, const char *path)
{
    FILE *in = fopen(path, "r");
    char line[200], name[40];
    if (!in)
        return 0;
    for (f->count = 0; f->count < FLOWERS && fgets(line, sizeof line, in);) {
        float *m = f->measures[f->count];
        if (sscanf(line, "%f,%f,%f,%f,%39s", &m[0], &m[1], &m[2], &m[3], name) != 5)
            continue; /* the header */
        int species = species_of(name);
        if (species >= 0)
            f->species[f->count++] = (uint8_t)species;
    }
    fclose(in);
    return f->count == FLOWERS;
}

static void swap_flowers(Flowers *f, int a, int b)
{
    float m[FEATURES];
    uint8_t s = f->species[a];
    memcpy(m, f->measures[a], sizeof m);
    memcpy(f->measures[a], f->measures[b], sizeof m);
    memcpy(f->measures[b], m, sizeof m);
    f->species[a] = f->species[b];
    f->species[b] = s;
}

/* The first `count` flowers in a random order (Fisher, Yates). */
static void shuffle(Flowers *f, int count)
{
    for (int i = count - 1; i > 0; i--)
        swap_flowers(f, i, rand() % (i + 1));
}

static double train_epoch(iris *net, Flowers *f, int count)
{
    double sum = 0;
    shuffle(f, count);
    for (int at = 0; at < count; at += BATCH) {
        int n = count - at < BATCH ? count - at : BATCH;
        sum += n * iris_step(net, f->measures[at], &f->species[at], (size_t)n);
    }
    return sum / count;
}

static int count_right(iris *net, const Flowers *f, int from, int to)
{
    float probs[BATCH][SPECIES];
    int right = 0;
    for (int at = from; at < to; at += BATCH) {
        int n = to - at < BATCH ? to - at : BATCH;
        iris_predict(net, f->measures[at], (size_t)n, probs[0]);
        for (int i = 0; i < n; i++) {
            int best = 0;
            for (int k = 1; k < SPECIES; k++)
                best = probs[i][k] > probs[i][best] ? k : best;
            right += best == f->species[at + i];
        }
    }
    return right;
}

int main(int argc, char **argv)
{
    static Flowers flowers;
    const char *path = argc > 1 ? argv[1] : "../data/iris.csv";
    if (!read_flowers(&flowers, path)) {
        fprintf(stderr, "%s: no iris data there\n", path);
        return 1;
    }
    srand(1);
    shuffle(&flowers, FLOWERS);

    void *memory = aligned_alloc(64, (iris_bytes() + 63) / 64 * 64);
    if (!memory)
        return 1;
    iris *net = iris_init(memory, 1);
    for (int epoch = 1; epoch <= EPOCHS; epoch++) {
        double loss = train_epoch(net, &flowers, FLOWERS - HELD_OUT);
        if (epoch % 10 == 0)
            printf("epoch %2d  loss %.4f\n", epoch, loss);
    }
    int right = count_right(net, &flowers, FLOWERS - HELD_OUT, FLOWERS);
    printf("%d of %d held-out flowers right, in %zu bytes of memory\n", right, HELD_OUT, iris_bytes());
    free(memory);
    return right < HELD_OUT * 9 / 10;
}
